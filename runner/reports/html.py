"""HTML from plain values: nothing reaches the page unescaped but what these functions make themselves."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from html import escape

# How a column stands: text at the left, numbers at the right.
Alignment = str


class Markup(str):
    """HTML that was made here and is not escaped again."""

    __slots__ = ()


def text(value: object) -> Markup:
    """A value as HTML: escaped, unless it is Markup."""
    return value if isinstance(value, Markup) else Markup(escape(str(value), quote=True))


def tag(name: str, *content: object, **attributes: object) -> Markup:
    """An element; ``class_`` stands for class, underscores in attributes for hyphens."""
    inner = "".join(text(part) for part in content)
    return Markup(f"<{name}{_attributes(attributes)}>{inner}</{name}>")


def void(name: str, **attributes: object) -> Markup:
    """An element without content, such as img."""
    return Markup(f"<{name}{_attributes(attributes)}>")


def _attributes(attributes: dict[str, object]) -> str:
    return "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(str(value), quote=True)}"'
        for key, value in attributes.items()
    )


def join(parts: Sequence[object]) -> Markup:
    """Parts one after the other."""
    return Markup("".join(text(part) for part in parts))


def bullets(items: Sequence[object]) -> Markup:
    """A list."""
    return tag("ul", *(tag("li", item) for item in items))


def table(
    heads: Sequence[object],
    rows: Sequence[Sequence[object]],
    *,
    left: int = 1,
    caption: str = "",
    best: int | None = None,
) -> Markup:
    """A table that scrolls on its own where the screen is narrow.

    Args:
        heads: names of the columns. rows: their cells.
        left: so many columns hold text; the others hold numbers. caption: said above it. best: row to mark.
    """
    head = tag("tr", *(tag("th", h, scope="col", class_=_align(i, left)) for i, h in enumerate(heads)))
    body = [
        tag(
            "tr",
            *(_cell(value, i, left) for i, value in enumerate(row)),
            **({"class_": "best"} if r == best else {}),
        )
        for r, row in enumerate(rows)
    ]
    inner = tag("table", tag("thead", head), tag("tbody", *body), aria_label=caption or str(heads[0]))
    # The caption stands outside: it must not scroll away with a wide table.
    told = [tag("p", caption, class_="caption")] if caption else []
    return join([*told, tag("div", inner, class_="scroll", tabindex="0")])


def _cell(value: object, column: int, left: int) -> Markup:
    if column == 0:
        return tag("th", value, scope="row", class_="text")
    return tag("td", value, class_=_align(column, left))


def _align(column: int, left: int) -> Alignment:
    return "text" if column < left else "number"


def definitions(pairs: Sequence[tuple[object, object]]) -> Markup:
    """Terms and what they are."""
    return tag("dl", *(tag("div", tag("dt", term), tag("dd", value)) for term, value in pairs))


def figure(source: str, alt: str, caption: object, *, wide: bool = False, link: str = "") -> Markup:
    """A picture with its caption; ``link`` opens the file itself."""
    picture = void("img", src=source, alt=alt, loading="lazy")
    shown = tag("a", picture, href=link) if link else picture
    kind = "wide" if wide else "plain"
    return tag("figure", tag("div", shown, class_="frame"), tag("figcaption", caption), class_=kind)


def data_uri(png: bytes) -> str:
    """A PNG inside the page."""
    return "data:image/png;base64," + base64.b64encode(png).decode("ascii")


def swatch(colour: str) -> Markup:
    """A small coloured square; colours are ours, never data."""
    return tag("span", class_="swatch", style=f"background:{colour}", aria_hidden="true")
