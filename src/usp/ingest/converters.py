"""What turns a value as a device sends it into one as it is stored: units, states, sentinels."""

import difflib
import math
import re
from collections.abc import Callable, Iterable
from typing import Any

from usp.ingest.refusal import Refused, shown
from usp.models.dataset import Property, ValueType
from usp.models.profile import FieldMap, Plain, written
from usp.models.reasons import Reason
from usp.models.units import unit_conversion

Converter = Callable[[Any], Any]

#: What JSON takes for a number, and a plus sign in front of it, which some devices write.
_NUMBER = re.compile(r"[+-]?\d{1,300}(\.\d{0,300})?([eE][+-]?\d{1,3})?", re.ASCII)


def converter(prop: Property, mapping: FieldMap | None, missing: Iterable[Plain] = ()) -> Converter | None:
    """What turns a sent value into a stored one, or into None where it means that there is none.

    None for a number that is stored as it is sent. A converter raises Refused, without field and dataset.
    `missing` are the sentinels of the whole profile.
    """
    convert: Converter | None
    if prop.type is ValueType.BOOLEAN:
        convert = _looked_up(mapping, _boolean)
    elif prop.type is ValueType.TEXT:
        convert = _looked_up(mapping, lambda value: _state(value, prop))
    else:
        convert = _number(prop, mapping)
    sentinels = frozenset(map(_tagged, (*missing, *(mapping.missing if mapping else ()))))
    if not sentinels:
        return convert
    parse = mapping is not None and mapping.parse

    def unless_missing(value: Any) -> Any:
        if is_missing(value, sentinels) or (parse and is_missing(_read(value), sentinels)):
            return None
        if convert is None and type(value) not in (int, float):
            raise wrong_number(value, prop)
        return value if convert is None else convert(value)

    return unless_missing


def sentinels_of(missing: Iterable[Plain]) -> frozenset[tuple[bool, Plain]]:
    """Sentinels in the form that `is_missing` takes."""
    return frozenset(map(_tagged, missing))


def is_missing(value: Any, sentinels: frozenset[tuple[bool, Plain]]) -> bool:
    """Whether a sent value means that there is none."""
    return type(value) in (int, float, str, bool) and _tagged(value) in sentinels


def _tagged(value: Plain) -> tuple[bool, Plain]:
    # True equals 1, but nobody who writes 1 means it.
    return (isinstance(value, bool), value)


def wrong_number(value: Any, prop: Property) -> Refused:
    """What there is to say of something that is no number."""
    hint = ""
    if type(value) is str and type(_read(value)) is float:
        hint = " A profile with `parse: true` for this field reads numbers in quotes."
    return Refused(Reason.WRONG_TYPE, f"Got {shown(value)}, expected a number in {prop.unit or 'no unit'}.{hint}")


def _number(prop: Property, mapping: FieldMap | None) -> Converter | None:
    if mapping is None:
        return None
    factor, zero = unit_conversion(mapping.unit, prop) if mapping.unit else (1.0, 0.0)
    scale, shift = mapping.scale * factor, mapping.offset * factor + zero
    if (scale, shift, mapping.parse) == (1.0, 0.0, False):
        return None
    parse = mapping.parse
    # 9 Wh are 0.009 kWh: divided they are, multiplied by 0.001 they are 0.009000000000000001.
    inverse = round(1 / scale) if 0 < abs(scale) < 1 else 0
    divides = shift == 0.0 and inverse != 0 and math.isclose(1 / scale, inverse, rel_tol=1e-12)

    def convert(value: Any) -> float:
        if parse:
            value = _read(value)
        if type(value) not in (int, float):
            raise wrong_number(value, prop)
        return float(value / inverse if divides else value * scale + shift)

    return convert


def _read(value: Any) -> Any:
    """A number that was written as text; anything else as it is."""
    if type(value) is str:
        text = value.strip()
        if _NUMBER.fullmatch(text) is not None:
            return float(text)
    return value


def _looked_up(mapping: FieldMap | None, check: Converter) -> Converter:
    if mapping is None or not mapping.values:
        return check
    values = mapping.values

    def convert(value: Any) -> Any:
        meant = values.get(written(value)) if type(value) in (int, float, str, bool) else None
        if meant is not None:
            return meant
        try:
            return check(value)
        except Refused as refused:
            reason, detail, *_ = refused.refusal
            raise Refused(reason, f"{detail} The profile's `values` are {', '.join(map(shown, values))}.") from None

    return convert


def _boolean(value: Any) -> bool:
    if type(value) is bool:
        return value
    raise Refused(Reason.WRONG_TYPE, f"Got {shown(value)}, expected true or false.")


def _state(value: Any, prop: Property) -> str:
    if type(value) is not str:
        raise Refused(Reason.WRONG_TYPE, f"Got {shown(value)}, expected one of {', '.join(prop.states)}.")
    if value in prop.states:
        return value
    near = difflib.get_close_matches(value[:80].lower(), prop.states, n=1)
    hint = f"; did you mean {near[0]}?" if near else f", expected one of {', '.join(prop.states)}."
    raise Refused(Reason.UNKNOWN_STATE, f"Got {shown(value)}{hint}")
