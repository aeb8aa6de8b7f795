"""The words that columns are named by, in English and German, and what is usual of each kind of medium."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection
from dataclasses import dataclass


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


SPEND = _words(
    """
    spend spends spending cost costs kosten ausgabe ausgaben invest investment investments budget
    budgets expenditure expense expenses adspend mediaspend werbekosten werbeausgaben gasto gastos
    """
)
# Robyn's own data end so: tv_S is spend, facebook_I impressions, search_clicks_P what people did.
SPEND_ENDING, EXPOSURE_ENDINGS = "S", ("I", "P")
# In the order in which they are preferred where a channel has several: what was shown before what was done.
EXPOSURE = _words(
    """
    impressions impression impr imps imp impressionen impresiones grp grps trp trps reach reichweite
    contacts kontakte views aufrufe circulation auflage sends sent clicks click klicks clics visits
    opens
    """
)
REVENUE = _words(
    """
    revenue revenues umsatz umsaetze sales turnover erloes erloese gmv income ventas ingresos verkaeufe
    einnahmen
    """
)
CONVERSIONS = _words(
    """
    conversions conversion kpi orders order bestellungen auftraege installs downloads signups signup
    leads registrations registrierungen subscriptions abschluesse bookings buchungen transactions units
    absatz purchases customers kunden neukunden policies
    """
)
# Not marketing, and not what marketing brings.
CONTEXT = _words(
    """
    competitor competitors competition wettbewerb wettbewerber konkurrenz price prices preis preise
    temperature temperatur temp weather wetter rain regen sun unemployment arbeitslosigkeit cpi
    inflation gdp index covid corona stringency lockdown promo promos promotion promotions discount
    discounts rabatt rabatte aktion aktionen event events stores filialen distribution trends stock
    bestand confidence konsumklima
    """
)
ORGANIC = _words(
    """
    newsletter newsletters email emails mail mails mailing crm organic seo push sms pr blog posts
    """
)
# What marketing brings about: as an explanation it would take the effect away from the channels.
RESULT = _words(
    """
    profit margin gewinn marge deckungsbeitrag sessions traffic pageviews basket warenkorb aov roas cpa
    cpc cpm ctr conversionrate cvr returns retouren
    """
)
CALENDAR = _words(
    """
    week weeks woche kw year jahr month monat day tag weekday wochentag quarter quartal index id row nr
    unnamed
    """
)
TOTAL = _words(
    """
    total gesamt sum summe all overall
    """
)
MONEY = _words(
    """
    eur usd gbp chf euro dollar net netto gross brutto in media marketing ads ad werbung
    """
)


@dataclass(frozen=True)
class MediumKind:
    """What is usual of a kind of medium: the part of its effect that stays from one week to the next."""

    label: str
    theta: tuple[float, float]
    words: frozenset[str]


# Ranges as Robyn recommends them for weekly data (hyper_limits and demo.R).
KINDS = (
    MediumKind(
        "television and video",
        (0.3, 0.8),
        frozenset(
            _words(
                """
            tv television fernsehen ctv video youtube yt cinema kino
            """
            )
        ),
    ),
    MediumKind(
        "print, radio and outdoor",
        (0.1, 0.4),
        frozenset(
            _words(
                """
            ooh dooh outdoor plakat plakate aussenwerbung print zeitung zeitschrift magazine
            magazines newspaper newspapers radio audio podcast podcasts spotify flyer flyers
            catalogue katalog directmail billboard
            """
            )
        ),
    ),
    MediumKind(
        "digital",
        (0.0, 0.3),
        frozenset(
            _words(
                """
            search sea sem google adwords bing brand branded generic shopping facebook fb meta
            instagram ig social tiktok snapchat snap pinterest linkedin twitter x display
            programmatic banner affiliate affiliates retargeting remarketing influencer amazon
            criteo online digital performance pmax paid
            """
            )
        ),
    ),
)
ORGANIC_KIND = MediumKind("media without spend", (0.1, 0.4), frozenset(ORGANIC))
UNKNOWN_KIND = MediumKind("a channel of no kind that the name tells", (0.0, 0.8), frozenset())
UMLAUTS = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss", "Ä": "Ae", "Ö": "Oe", "Ü": "Ue"})


def tokens(name: str) -> list[str]:
    """The words of a column's name: ``TV-Spend (EUR)``, ``tvSpend`` and ``tv_spend`` begin alike."""
    text = unicodedata.normalize("NFKD", unicodedata.normalize("NFC", name).translate(UMLAUTS))
    text = re.sub(r"(?<=[a-z0-9])(?=[A-Z][a-z])", " ", text)
    return [word for word in re.split(r"[^0-9a-zA-Z]+", text) if word]


def lowered(name: str) -> list[str]:
    """The words of a name in small letters."""
    return [word.lower() for word in tokens(name)]


def has_any(name: str, words: Collection[str]) -> bool:
    """Whether a name has one of these words, also at the end of a German compound: TV-Werbekosten, Onlineumsatz."""
    return any(word in words or _ends_with_any(word, words) for word in lowered(name))


def _ends_with_any(word: str, words: Collection[str]) -> bool:
    return any(len(ending) >= 5 and word.endswith(ending) and word != ending for ending in words)


def kind_of(name: str) -> MediumKind:
    """The kind of medium that a name speaks of."""
    words = set(lowered(name))
    return next((kind for kind in KINDS if kind.words & words), UNKNOWN_KIND)


def stem(name: str) -> str:
    """What is left of a column's name without the words for spend, exposure and money: the channel."""
    words = tokens(name)
    if len(words) > 1 and words[-1] in (SPEND_ENDING, *EXPOSURE_ENDINGS):
        words = words[:-1]
    small = [word.lower() for word in words]
    kept = [word for word in small if word not in SPEND and word not in EXPOSURE]
    named = [word for word in kept if word not in MONEY]
    return "_".join(named or kept or small)
