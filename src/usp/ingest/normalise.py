"""A profile compiled once into a function: the fields of an item become rows, flags and refusals.

A row is a list in the order of the dataset's columns: time, device, period (interval datasets), the properties,
flagged, flags, received_at, and behind the columns, for the writer, the bits of the properties present.
"""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from usp.ingest.converters import Converter, converter, is_missing, sentinels_of, wrong_number
from usp.ingest.parts import Part, Splitter
from usp.ingest.paths import flatten, tree_of
from usp.ingest.refusal import Refusal, Refused, shown
from usp.ingest.times import Oldest, measuring_time
from usp.models.dataset import Dataset, Property, RowFlag, ValueType
from usp.models.datasets import DATASETS
from usp.models.device import native_fields
from usp.models.profile import DeviceProfile, FieldMap, TimestampSide
from usp.models.reasons import Reason

#: A reading that comes later than this after its measuring time is flagged `late`.
LATE_AFTER = timedelta(hours=1)
PERIODS_S = (0.001, 86400.0)

_FLOAT32_MAX = 3.4028234663852886e38
_FLOAT64_MAX = 1.7976931348623157e308
_NO_LIMITS: Mapping[str, Oldest] = MappingProxyType({})
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
    convert: Converter | None
    bottom: tuple[int, int] | None
    property: Property


class Normaliser:
    """One profile's compiled form; called for each item.

    A device with parts (`has_children`) is first taken apart by `split`, and each part normalised by the profile of
    the device that it is; `measured` is the time of parts that have none of their own.
    """

    def __init__(self, profile: DeviceProfile) -> None:
        self.has_children = bool(profile.children)
        self._splitter = Splitter(profile.children)
        self._interval = profile.interval
        self._stamps_end = profile.timestamp is TimestampSide.END
        self._zone = ZoneInfo(profile.zone) if profile.zone else None
        self._time = profile.time
        self._no_time = sentinels_of(profile.missing)
        self._tree = tree_of([*profile.fields, *([profile.time] if profile.time else [])])
        self._ignored = frozenset(("time", "period", profile.time, *_descriptions(profile)))
        self._slots: list[_Slot] = []
        self._fields = self._compile(profile)

    def _compile(self, profile: DeviceProfile) -> dict[str, _Target]:
        native = native_fields(profile.kind)
        fields = {name: self._target(*found, None, profile) for name, found in native.items()}
        for name, mapping in profile.fields.items():
            fields[name] = self._target(*native[mapping.property], mapping, profile)
        return fields

    def _target(self, dataset_name: str, prop: Property, mapping: FieldMap | None, profile: DeviceProfile) -> _Target:
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
            convert=converter(prop, mapping, profile.missing),
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

    def meaning_of(self, field: str) -> tuple[str, str] | None:
        """The dataset and the property that a field is; None where it is none, or one of a part."""
        target = self._fields.get(field)
        return None if target is None else (self._slots[target.slot].dataset.name, target.property.name)

    def split(self, item: Mapping[str, Any]) -> tuple[dict[str, Any], list[Part]]:
        """The item without its parts, and (name, item) of each part; a part's device is called `<device>-<name>`.

        The item given is not changed. What cannot be named stays in it. Raises Refused where there are too many.
        """
        return self._splitter(item)

    def measured(
        self, item: Mapping[str, Any], received_at: datetime, at: tuple[datetime, int] | None = None
    ) -> tuple[datetime, int]:
        """When an item was measured, and the flags that tell whose clock said so. Raises Refused.

        The field that the profile names goes before `at`, the network server's (time, flags); without either it is
        the item's `time`.
        """
        if self._time is not None:
            sent = flatten(item, self._tree).get(self._time)
            if sent is not None and not is_missing(sent, self._no_time):
                try:
                    return measuring_time(sent, received_at, self._zone)
                except Refused as refused:
                    # A clock that nobody has set yet begins in 1970 or 1980.
                    if at is None or refused.refusal.reason is not Reason.TOO_OLD:
                        raise
        return measuring_time(item.get("time"), received_at, self._zone) if at is None else at

    def __call__(  # noqa: C901, PLR0912, PLR0915 - in pieces it would cost twice as much, for each value
        self,
        device: int,
        item: Mapping[str, Any],
        received_at: datetime,
        at: tuple[datetime, int] | None = None,
        oldest: Mapping[str, Oldest] = _NO_LIMITS,
    ) -> Normalised:
        """Normalise one item of `device`. Raises Refused where no part of it can be stored.

        `at` is the time, with its flags, that a network server gives; without it the item itself says when it is of.
        `oldest` is how far back datasets reach.
        """
        if self._time is None and at is None:
            time, flags = measuring_time(item.get("time"), received_at, self._zone)
        else:
            time, flags = self.measured(item, received_at, at)
        if self._tree:
            item = flatten(item, self._tree)
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
                if name not in self._ignored:
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
                if value is None:
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
        result = self._finish(device, item, received_at, time, flags, rows, Normalised([], refused, unmapped))
        return without_old(result, time, oldest) if oldest else result

    def _finish(
        self,
        device: int,
        item: Mapping[str, Any],
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
        """The value in the property's type and unit, None where it says that there is none, or a Refusal."""
        try:
            if target.convert is None:
                raise wrong_number(value, target.property)
            return target.convert(value)
        except Refused as refused:
            reason, detail, *_ = refused.refusal
            return self._refusal(target, field, reason, detail)

    def _refusal(self, target: _Target, field: str, reason: Reason, detail: str) -> Refusal:
        return Refusal(reason, detail, field, self._slots[target.slot].dataset.name)


def without_old(result: Normalised, time: datetime, oldest: Mapping[str, Oldest]) -> Normalised:
    """The same, with datasets that do not reach back to `time`, as it was sent, refused beside the others."""
    too_old = {}
    for name, row in result.rows:
        limit = oldest.get(name)
        if limit is not None and (time < limit.sent or row[0] < limit.row):
            detail = f"Got {time.isoformat()}; {name} is taken in from {limit.sent.isoformat(timespec='minutes')} on."
            too_old[name] = Refusal(Reason.TOO_OLD, detail, "", name)
    if not too_old:
        return result
    rows = [(name, row) for name, row in result.rows if name not in too_old]
    return result._replace(rows=rows, refused=[*result.refused, *too_old.values()])


def _descriptions(profile: DeviceProfile) -> Iterator[str]:
    """Vendors' codecs give a value together with its unit and name; those are no readings."""
    for name in profile.fields:
        if name.endswith(".value"):
            yield from (name.removesuffix("value") + word for word in ("unit", "displayName"))


def _period_refusal(period: Any, dataset: str) -> Refusal | None:
    """Why values of a measuring interval cannot be stored with this length of it; None where they can."""
    if period is None:
        return Refusal(Reason.NO_INTERVAL, "Send `period` in seconds.", "period", dataset)
    if type(period) not in (int, float) or not PERIODS_S[0] <= period <= PERIODS_S[1]:
        return Refusal(Reason.BAD_PERIOD, f"Got {shown(period)}.", "period", dataset)
    return None
