"""Names of the user's choosing as names of folders: whatever they hold, none leads elsewhere and no two share one."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence

# Room for suffixes and temporary names in the 255 bytes that a file system gives.
LONGEST = 100
_HASH_DIGITS = 10
_PLAIN = re.compile(r"\w(?:[\w .+-]*[\w+-])?")
# Devices of Windows, whatever follows the first dot.
_DEVICE = re.compile(r"(?i)(con|prn|aux|nul|com\d|lpt\d)(\..*)?")


def folder_names(names: Sequence[str]) -> dict[str, str]:
    """A folder for every name: the name itself where it can be one, else what of it can and a digest of all of it.

    ``../x`` -> ``x-9d2a7c41f0``; ``Nord`` and ``nord``, which are one folder on some systems, get a digest each.

    Args:
        names: any texts, all different, such as the models of a portfolio.
    Returns:
        Name -> folder, in the order given: at most LONGEST bytes of letters, digits and `` .+-_``, all different also
        where case does not count.
    Raises:
        ValueError: a name is given twice.
    """
    if len(set(names)) < len(names):
        raise ValueError("a name is given twice")
    kept = {name: name if is_folder_name(name) else _digested(name) for name in names}
    shared = Counter(map(_folded, kept.values()))
    return {
        name: folder if shared[_folded(folder)] == 1 else _digested(name) for name, folder in kept.items()
    }


def is_folder_name(name: str) -> bool:
    """Whether a name is a folder's just as it is, on every system."""
    fits = len(name.encode(errors="replace")) <= LONGEST and unicodedata.is_normalized("NFC", name)
    return fits and _PLAIN.fullmatch(name) is not None and _DEVICE.fullmatch(name) is None


def _digested(name: str) -> str:
    """What can be read of a name, and a digest by which it differs from all others."""
    digest = hashlib.sha256(name.encode(errors="surrogatepass")).hexdigest()[:_HASH_DIGITS]
    ascii_part = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    readable = re.sub(r"[^A-Za-z0-9]+", "-", ascii_part).strip("-")[: LONGEST - _HASH_DIGITS - 1].rstrip("-")
    return f"{readable or 'x'}-{digest}"


def _folded(folder: str) -> str:
    return unicodedata.normalize("NFC", folder.casefold())
