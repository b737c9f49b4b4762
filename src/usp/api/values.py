"""URL text to values, one function for each sort; an error says what would be right."""

import math
import re
import struct
from collections.abc import Collection
from datetime import UTC, datetime, tzinfo

from usp.api.problems import UnknownName, nearest, shown
from usp.errors import QueryError
from usp.models.dataset import Property, ValueType

#: RFC 3339 with offset. A '+' that was not percent-encoded arrives as a space: nothing else could stand there.
_TIME = re.compile(r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d(?:\.\d+)?)([Zz]|[-+ ]\d\d:\d\d)", re.ASCII)
_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_NUMBER = re.compile(r"[-+ ]?(\d+(\.\d*)?|\.\d+)([eE][-+]?\d+)?", re.ASCII)
_WHOLE = re.compile(r"\d{1,9}", re.ASCII)


def moment(parameter: str, text: str, zone: tzinfo = UTC) -> datetime:
    """RFC 3339 with offset; a date alone is its midnight in `zone`."""
    try:
        if _DATE.fullmatch(text):
            return datetime.fromisoformat(text).replace(tzinfo=zone).astimezone(UTC)
        if found := _TIME.fullmatch(text):
            day, clock, offset = found.groups()
            offset = offset.upper().replace(" ", "+")
            return datetime.fromisoformat(f"{day}T{clock}{offset}").astimezone(UTC)
    except (ValueError, OverflowError):
        raise QueryError(
            f"`{parameter}` is {shown(text)}; there is no such day or hour.", parameter=parameter
        ) from None
    raise QueryError(
        f"`{parameter}` is {shown(text)}; a time is written 2026-11-20T09:00:00Z, or with an offset "
        "2026-11-20T10:00:00%2B01:00, and a date alone is its midnight in "
        f"{zone}.",
        parameter=parameter,
    )


def words(parameter: str, text: str) -> tuple[str, ...]:
    """A list by comma, each word once."""
    parts = text.split(",")
    if not all(parts):
        raise QueryError(f"`{parameter}` is {shown(text)}; a list is written a,b,c.", parameter=parameter)
    return tuple(dict.fromkeys(parts))


def known_words(parameter: str, text: str, known: Collection[str]) -> tuple[str, ...]:
    """A list by comma of words that are all known."""
    return tuple(known_word(parameter, word, known) for word in words(parameter, text))


def known_word(parameter: str, word: str, known: Collection[str]) -> str:
    """One of the known words."""
    if word not in known:
        raise UnknownName(
            f"`{parameter}` {shown(word)} is none of {', '.join(known)}.",
            parameter=parameter,
            suggestion=nearest(word, known),
        )
    return word


def whole(parameter: str, text: str, highest: int, why: str) -> int:
    """A whole number from 1 to `highest`."""
    number = int(text) if _WHOLE.fullmatch(text) else 0
    if not 1 <= number <= highest:
        raise QueryError(f"`{parameter}` is {shown(text)}; {why}.", parameter=parameter)
    return number


def numbers(parameter: str, text: str, count: int, example: str) -> tuple[float, ...]:
    """So many numbers by comma."""
    parts = text.split(",")
    if len(parts) != count or not all(_NUMBER.fullmatch(part) for part in parts):
        raise QueryError(f"`{parameter}` is {shown(text)}; write {example}.", parameter=parameter)
    values = tuple(float(part.strip()) for part in parts)
    if not all(math.isfinite(value) for value in values):
        raise QueryError(f"`{parameter}` is {shown(text)}; write {example}.", parameter=parameter)
    return values


def stored_value(prop: Property, text: str) -> float | bool | str:
    """What `text` would be in the property's column."""
    if prop.states:
        return _state(prop, text, prop.states)
    if prop.type is ValueType.BOOLEAN:
        return _state(prop, text, ("true", "false")) == "true"
    if not _NUMBER.fullmatch(text):
        raise QueryError(f"`where` compares {prop.name} with {shown(text)}, which is no number.", parameter="where")
    try:
        # An infinity would pass as single precision.
        value = _finite(float(text.strip()))
        # The nearest single-precision number: 12.1 as it is stored.
        return struct.unpack("<f", struct.pack("<f", value))[0] if prop.type is ValueType.REAL else value
    except OverflowError:
        raise QueryError(
            f"`where` compares {prop.name} with {shown(text)}, which no stored value can be.",
            parameter="where",
        ) from None


def _finite(value: float) -> float:
    if not math.isfinite(value):
        raise OverflowError
    return value


def _state(prop: Property, text: str, states: tuple[str, ...]) -> str:
    if text not in states:
        raise UnknownName(
            f"`where` compares {prop.name} with {shown(text)}; it takes {', '.join(states)}.",
            parameter="where",
            suggestion=nearest(text.lower(), states),
        )
    return text
