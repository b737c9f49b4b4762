"""Cells of a file and what they mean: text as people and spreadsheets write it, and back."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields
from datetime import datetime
from difflib import get_close_matches
from typing import Any

from usp.errors import ListError
from usp.models.dataset import Visibility
from usp.models.device import Device, Mistake, Site, device_mistakes, site_mistakes
from usp.registry.addresses import parse_address
from usp.registry.outcome import Record

#: A cell with nothing but this takes out what is there; an empty one leaves it.
CLEAR = "-"

DEVICE_COLUMNS = tuple(f.name for f in fields(Device))
SITE_COLUMNS = tuple(f.name for f in fields(Site))

#: What else these columns are called; suggested, not taken: a file may hold several of them.
_OTHER_NAMES = {
    "deveui": "address", "dev_eui": "address", "eui": "address", "device_eui": "address", "longitude": "lon",
    "lng": "lon", "long": "lon", "x": "lon", "latitude": "lat", "y": "lat", "id": "name", "device": "name",
    "device_id": "name", "description": "title", "label": "title", "type": "kind", "model": "profile",
    "device_profile": "profile", "place": "site", "location": "site", "from": "since", "installed": "since",
}  # fmt: skip

# Excel writes them in the language of the user.
_TRUTH = {"true": True, "1": True, "yes": True, "vero": True, "false": False, "0": False, "no": False, "falso": False}

#: What a cleared column has.
_CLEARED: dict[str, Any] = {"title": "", "category": None, "parent": None, "site": None, "lon": None, "lat": None}


class Columns:
    """The columns of one kind of file, and how its rows are read."""

    def __init__(
        self,
        names: tuple[str, ...],
        cleared: Mapping[str, Any],
        convert: Mapping[str, Callable[[str], Any]],
        check: Callable[[Mapping[str, Any]], Iterable[Mistake]],
    ) -> None:
        self.names = names
        self._cleared = cleared
        self._convert = convert
        self._check = check

    def header(self, given: Iterable[str], file: object) -> list[str]:
        """The columns of a header. Raises ListError for those that there are not, with the nearest one."""
        columns = [name.strip().lower().replace(" ", "_") for name in given]
        named = [name for name in columns if name]
        wrong = [self._suggestion(name) for name in dict.fromkeys(named) if name not in self.names]
        wrong += [f"column {name!r} is there twice" for name in dict.fromkeys(named) if named.count(name) > 1]
        if "name" not in named and not wrong:
            wrong = [f"there is no column 'name'; the columns are {', '.join(self.names)}"]
        if wrong:
            text = "; ".join(wrong)
            raise ListError(f"{file}: {text}{'' if text.endswith('?') else '.'}")
        return columns

    def _suggestion(self, name: str) -> str:
        near = get_close_matches(name, [*self.names, *_OTHER_NAMES], n=1)
        meant = _OTHER_NAMES.get(near[0], near[0]) if near else None
        if meant not in self.names:
            return f"column {name!r} is not known; known are {', '.join(self.names)}"
        return f"column {name!r} is not known, did you mean {meant!r}?"

    def record(self, where: str, cells: Iterable[tuple[str, str]], mistakes: Iterable[Mistake] = ()) -> Record:
        """A row as values, with all that is wrong in it."""
        values: dict[str, Any] = {}
        wrong = [*mistakes]
        for column, cell in cells:
            text = cell.strip()
            if not text:
                continue
            try:
                values[column] = self._value(column, text)
            except ValueError as error:
                wrong.append(Mistake(column, str(error)))
        wrong_columns = {mistake.column for mistake in wrong}
        wrong += [
            m for m in self._check(values) if not {"lon", "lat"} & wrong_columns or m.column not in {"lon", "lat"}
        ]
        return Record(where, values, tuple(wrong))

    def _value(self, column: str, text: str) -> Any:
        if text == CLEAR and column in self._cleared:
            return self._cleared[column]
        if not text.isprintable():
            raise ValueError(f"{text!r} holds a control character.")
        return self._convert.get(column, str)(text)


def _number(text: str) -> float:
    # Half of Europe writes 9,19.
    dotted = text.replace(",", ".") if text.count(",") == 1 and "." not in text else text
    try:
        return float(dotted)
    except ValueError:
        raise ValueError(f"{text!r} is no number; degrees are written 9.1897.") from None


def _truth(text: str) -> bool:
    value = _TRUTH.get(text.lower())
    if value is None:
        raise ValueError(f"{text!r} is neither true nor false.")
    return value


def _visibility(text: str) -> Visibility:
    try:
        return Visibility(text.lower())
    except ValueError:
        raise ValueError(f"{text!r} is none of {', '.join(Visibility)}.") from None


def parse_time(text: str) -> datetime:
    """RFC 3339 with an offset. Raises ValueError that says so."""
    try:
        time = datetime.fromisoformat(text.strip())
    except ValueError:
        raise ValueError(f"{text!r} is no time; write 2026-11-20T09:00:00+01:00.") from None
    if time.tzinfo is None:
        raise ValueError(f"{text!r} has no offset; write {time.isoformat()}+01:00, or Z for UTC.")
    return time


def _address(text: str) -> str:
    parse_address(text)
    return text


DEVICES = Columns(
    DEVICE_COLUMNS,
    _CLEARED | {"address": None, "retired_at": None},
    {
        "lon": _number, "lat": _number, "approximate": _truth, "visibility": _visibility, "address": _address,
        "since": parse_time, "retired_at": parse_time,
    },
    device_mistakes,
)  # fmt: skip
SITES = Columns(SITE_COLUMNS, {"address": ""}, {"lon": _number, "lat": _number, "approximate": _truth}, site_mistakes)
