"""A profile compiled once into a function: the fields of an item become rows, flags and refusals.

A row is a list in the order of the dataset's columns: time, device, period (interval datasets), the properties,
flagged, flags, received_at, and behind the columns, for the writer, the bits of the properties present.
"""

import difflib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from usp.ingest.refusal import Refusal, Refused, shown
from usp.ingest.times import measuring_time
from usp.models.dataset import Dataset, Property, RowFlag, ValueType
from usp.models.datasets import DATASETS
from usp.models.device import native_fields
from usp.models.profile import DeviceProfile, FieldMap, TimestampSide, unit_conversion
from usp.models.reasons import Reason

#: A reading that comes later than this after its measuring time is flagged `late`.
LATE_AFTER = timedelta(hours=1)
PERIODS_S = (0.001, 86400.0)

_FLOAT32_MAX = 3.4028234663852886e38
_FLOAT64_MAX = 1.7976931348623157e308
_NO_TIME = datetime.min.replace(tzinfo=UTC)

Row = list[Any]


class Normalised(NamedTuple):
    """What became of an item: (dataset, row) pairs, refused values, fields nobody knows."""

    rows: list[tuple[str, Row]]
    refused: list[Refusal]
    unmapped: dict[str, Any]


class _Slot(NamedTuple):
    """A row that an item may fill: a dataset at the time sent, or at the start of the measuring interval."""

    dataset: Dataset
    at_start: bool
    blank: Row


class _Target(NamedTuple):
    """Where a field's value goes. `low` and `high` bound what needs no second look."""

    slot: int
    column: int
    bit: int
    low: float
    high: float
    convert: Callable[[Any], Any] | None
    bottom: tuple[int, int] | None
    property: Property


class Normaliser:
    """One profile's compiled form; called for each item."""

    def __init__(self, profile: DeviceProfile) -> None:
        self._interval = profile.interval
        self._stamps_end = profile.timestamp is TimestampSide.END
        self._zone = ZoneInfo(profile.zone) if profile.zone else None
        self._slots: list[_Slot] = []
        self._fields = self._compile(profile)

    def _compile(self, profile: DeviceProfile) -> dict[str, _Target]:
        native = native_fields(profile.kind)
        fields = {name: self._target(dataset, prop, None, name) for name, (dataset, prop) in native.items()}
        for name, mapping in profile.fields.items():
            dataset, prop = native[mapping.property]
            fields[name] = self._target(dataset, prop, mapping, name)
        return fields

    def _target(self, dataset_name: str, prop: Property, mapping: FieldMap | None, field: str) -> _Target:
        dataset = DATASETS[dataset_name]
        at_start = dataset.interval or prop.at_interval_start
        offset = 3 if dataset.interval else 2
        limit = {ValueType.REAL: _FLOAT32_MAX, ValueType.DOUBLE: _FLOAT64_MAX}.get(prop.type, 0.0)
        bottom = None
        if prop.bottom_code is not None:
            bottom = (prop.bottom_code, dataset.bottom_bit[prop.name])
        return _Target(
            slot=self._slot(dataset, at_start=at_start),
            column=offset + dataset.properties.index(prop),
            bit=dataset.bit[prop.name],
            low=-limit if prop.low is None else prop.low,
            high=limit if prop.high is None else prop.high,
            convert=_converter(prop, mapping, field),
            bottom=bottom,
            property=prop,
        )

    def _slot(self, dataset: Dataset, *, at_start: bool) -> int:
        for number, slot in enumerate(self._slots):
            if slot.dataset is dataset and slot.at_start == at_start:
                return number
        period = [None] if dataset.interval else []
        blank: Row = [_NO_TIME, 0, *period, *([None] * len(dataset.properties)), 0, 0, _NO_TIME, 0]
        self._slots.append(_Slot(dataset, at_start, blank))
        return len(self._slots) - 1

    def __call__(  # noqa: C901, PLR0912 - in pieces it would cost twice as much, for each value
        self, device: int, item: dict[str, Any], received_at: datetime
    ) -> Normalised:
        """Normalise one item of `device`. Raises Refused where no part of it can be stored."""
        time, flags = measuring_time(item.get("time"), received_at, self._zone)
        age = received_at - time
        if age > LATE_AFTER:
            flags |= RowFlag.LATE.value
        rows: dict[int, Row] = {}
        refused: list[Refusal] = []
        unmapped: dict[str, Any] = {}
        fields, slots = self._fields, self._slots
        for name, value in item.items():
            target = fields.get(name)
            if target is None:
                if name not in ("time", "period"):
                    unmapped[name] = value
                continue
            if value is None:
                continue
            slot, column, bit, low, high, convert, bottom, _ = target
            kind = type(value)
            if convert is not None or (kind is not float and kind is not int):
                value = self._convert(target, name, value)  # noqa: PLW2901 - from the device's to ours
                if type(value) is Refusal:
                    refused.append(value)
                    continue
            row = rows.get(slot)
            if row is None:
                row = rows[slot] = slots[slot].blank.copy()
            flagged = coded = 0
            if bottom is not None and value < bottom[0]:
                value, coded = 0, bottom[1]  # noqa: PLW2901
            elif high > 0 and not low <= value <= high:
                limit = _FLOAT32_MAX if target.property.type is ValueType.REAL else _FLOAT64_MAX
                if not -limit <= value <= limit:
                    refused.append(self._refusal(target, name, Reason.OVERFLOW, f"Got {shown(value)}."))
                    continue
                flagged = bit
            if row[column] is not None:
                if row[column] != value:
                    detail = f"Got {shown(value)}, and the same item says {shown(row[column])} under another name."
                    refused.append(self._refusal(target, name, Reason.CONFLICTING_VALUE, detail))
                continue
            row[column] = value
            row[-4] |= flagged
            row[-3] |= coded
            row[-1] |= bit
        return self._finish(device, item, received_at, time, flags, rows, Normalised([], refused, unmapped))

    def _finish(
        self,
        device: int,
        item: dict[str, Any],
        received_at: datetime,
        time: datetime,
        flags: int,
        rows: dict[int, Row],
        result: Normalised,
    ) -> Normalised:
        start: datetime | None = None
        period: Any = None
        for number, row in rows.items():
            dataset, at_start, _ = self._slots[number]
            if not row[-1]:
                continue
            row[0] = time
            if at_start:
                if start is None:
                    period = item.get("period")
                    if period is None:
                        period = self._interval
                    refusal = _period_refusal(period, dataset.name)
                    if refusal is not None:
                        result.refused.append(refusal)
                        continue
                    start = time - timedelta(seconds=period) if self._stamps_end else time
                row[0] = start
                if dataset.interval:
                    row[2] = period
            row[1] = device
            row[-3] |= flags
            row[-2] = received_at
            result.rows.append((dataset.name, row))
        return result

    def _convert(self, target: _Target, field: str, value: Any) -> Any:
        """The value in the property's type and unit, or a Refusal."""
        try:
            if target.convert is not None:
                return target.convert(value)
        except Refused as refused:
            reason, detail, *_ = refused.refusal
            return self._refusal(target, field, reason, detail)
        return self._refusal(
            target,
            field,
            Reason.WRONG_TYPE,
            f"Got {shown(value)}, expected a number in {_unit(target.property)}.",
        )

    def _refusal(self, target: _Target, field: str, reason: Reason, detail: str) -> Refusal:
        return Refusal(reason, detail, field, self._slots[target.slot].dataset.name)


def _period_refusal(period: Any, dataset: str) -> Refusal | None:
    """Why values of a measuring interval cannot be stored with this length of it; None where they can."""
    if period is None:
        return Refusal(Reason.NO_INTERVAL, "Send `period` in seconds.", "period", dataset)
    if type(period) not in (int, float) or not PERIODS_S[0] <= period <= PERIODS_S[1]:
        return Refusal(Reason.BAD_PERIOD, f"Got {shown(period)}.", "period", dataset)
    return None


def _unit(prop: Property) -> str:
    return prop.unit or "no unit"


def _converter(prop: Property, mapping: FieldMap | None, field: str) -> Callable[[Any], Any] | None:
    """What turns a sent value into a stored one; None for a number that is stored as it is sent."""
    values = mapping.values if mapping else {}
    if prop.type is ValueType.BOOLEAN:
        return lambda value: _boolean(values.get(_key(value), value) if values else value)
    if prop.type is ValueType.TEXT:
        return lambda value: _state(values.get(_key(value), value) if values else value, prop)
    if mapping is None or (mapping.unit is None and mapping.scale == 1.0 and mapping.offset == 0.0):
        return None
    factor, zero = unit_conversion(mapping.unit, prop, field) if mapping.unit else (1.0, 0.0)
    scale, shift = mapping.scale * factor, mapping.offset * factor + zero

    def convert(value: Any) -> float:
        if type(value) not in (int, float):
            raise Refused(Reason.WRONG_TYPE, f"Got {shown(value)}, expected a number.")
        return float(value * scale + shift)

    return convert


def _key(value: Any) -> str:
    """How a sent value is written among a profile's `values`: as in JSON."""
    return {True: "true", False: "false"}.get(value, str(value)) if type(value) is bool else str(value)


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
