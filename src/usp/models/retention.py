"""How long raw readings are kept, as people write it: for all datasets, or for each."""

import difflib
import re
from collections.abc import Mapping
from datetime import timedelta

from usp.models.datasets import DATASETS

#: How long each dataset's raw readings are kept; what is not named is kept for ever.
Retention = Mapping[str, timedelta]

DEFAULT = "default"
FOREVER = "forever"
#: Rows go by whole weeks, so that less would not be kept; and devices that were cut off send late.
SHORTEST = timedelta(days=7)
LONGEST = timedelta(days=100 * 365)

_UNITS = {"d": timedelta(days=1), "w": timedelta(weeks=1), "y": timedelta(days=365)}
_LENGTH = re.compile(r"(\d{1,5})([dwy])", re.ASCII)
_EXAMPLES = "such as 90d, 52w or 2y (a year is 365 days)"


def parse_retention(text: str | None) -> Retention:
    """`400d`, or `noise=90d,wifi=30d,energy=forever,default=2y`; ValueError says what would be right."""
    found: dict[str, timedelta | None] = {}
    for part in (text or "").split(","):
        name, given, length = (word.strip() for word in part.partition("="))
        if not given:
            if not name and not found and not (text or "").strip():
                return {}
            name, length = DEFAULT, name
        if name not in DATASETS and name != DEFAULT:
            near = difflib.get_close_matches(name, [*DATASETS, DEFAULT], n=1, cutoff=0.0)
            raise ValueError(f"there is no dataset {name!r}; the nearest is {near[0]}")
        if name in found:
            raise ValueError(f"{name} is given twice")
        found[name] = _length(name, length)
    default = found.pop(DEFAULT, None)
    every = {name: found.get(name, default) for name in DATASETS}
    return {name: length for name, length in every.items() if length is not None}


def _length(name: str, text: str) -> timedelta | None:
    if text.lower() == FOREVER:
        return None
    match = _LENGTH.fullmatch(text.lower())
    of = "" if name == DEFAULT else f" for {name}"
    if match is None:
        raise ValueError(f"got {text!r}{of}, expected a number and d, w or y, {_EXAMPLES}, or {FOREVER}")
    length = int(match[1]) * _UNITS[match[2]]
    if not SHORTEST <= length <= LONGEST:
        limits = f"{SHORTEST.days}d to {LONGEST.days // 365}y"
        raise ValueError(f"got {text!r}{of}, expected {limits}, or {FOREVER}")
    return length
