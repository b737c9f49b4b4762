"""What a bucket should tell, computed from raw rows in the plainest way: one loop, no partials, no SQL."""

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

from usp.models.dataset import Aggregation, Dataset, Property

HOUR = timedelta(hours=1)
TICK = timedelta(microseconds=1)


@dataclass
class PlainDevice:
    """A device, the rules of its profile, and where it stood: (site, from, to)."""

    name: str
    interval: float | None = None
    max_hold: float = 90000.0
    modulus: dict[str, float] = field(default_factory=dict)
    stays: list[tuple[str | None, datetime, datetime]] = field(default_factory=list)
    retired: datetime | None = None

    def site(self, at: datetime) -> str | None:
        """Where it stood at the start of the hour of UTC in which this moment lies."""
        hour = at.replace(minute=0, second=0, microsecond=0)
        return next((site for site, start, end in self.stays if start <= hour < end), None)


@dataclass
class PlainRow:
    """A raw row: values by property, those of them that are flagged, and the length of its interval."""

    device: str
    time: datetime
    values: dict[str, Any]
    flagged: set[str] = field(default_factory=set)
    period: float = 600.0


@dataclass
class Question:
    """What is asked of the rows of a dataset."""

    dataset: Dataset
    asked: list[tuple[Property, str]]
    bucket: str
    by: str
    start: datetime
    end: datetime
    zone: str = "Europe/Rome"
    sites: tuple[str, ...] = ()


_FIXED = {"15m": 15, "30m": 30, "1h": 60, "3h": 180, "6h": 360, "12h": 720}


def bucket_start(bucket: str, at: datetime, zone: ZoneInfo, whole: datetime) -> datetime:
    """When the bucket begins in which a moment lies."""
    if bucket == "whole":
        return whole
    if bucket in _FIXED:
        minutes = at.hour * 60 + at.minute
        return at.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(
            minutes=minutes - minutes % _FIXED[bucket]
        )
    day = at.astimezone(zone).replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
    if bucket == "1w":
        day -= timedelta(days=day.weekday())
    if bucket in {"1mo", "1y"}:
        day = day.replace(day=1)
    if bucket == "1y":
        day = day.replace(month=1)
    return day.astimezone(UTC)


def grid(question: Question) -> list[tuple[datetime, datetime]]:
    """All buckets that meet the window: what differs from quarter of an hour to quarter of an hour."""
    if question.bucket == "whole":
        return [(question.start, question.end)]
    zone, found = ZoneInfo(question.zone), []
    at = bucket_start(question.bucket, question.start, zone, question.start)
    while at < question.end:
        start, at = at, at + timedelta(minutes=15)
        while bucket_start(question.bucket, at, zone, question.start) == start:
            at += timedelta(minutes=15)
        found.append((start, at))
    return found


@dataclass
class Group:
    """One bucket of a device, of a site, or of all."""

    question: Question
    key: str
    devices: list[PlainDevice]
    start: datetime
    end: datetime

    def has(self, device: PlainDevice, at: datetime) -> bool:
        """Whether what a device does at a moment belongs to it."""
        if self.question.by == "site" and device.site(at) != self.key:
            return False
        return not self.question.sites or device.site(at) in self.question.sites


class Plain:
    """Answers questions about rows."""

    def __init__(self, devices: Iterable[PlainDevice], rows: Iterable[PlainRow], now: datetime) -> None:
        self.devices = {d.name: d for d in devices}
        self.rows = sorted(rows, key=lambda row: row.time)
        self.now = now

    def answer(self, question: Question) -> list[dict[str, Any]]:
        """The rows of the answer, without what is null."""
        found = []
        for start, end in grid(question):
            for key, devices in self._groups(question, start, end).items():
                told: dict[str, Any] = {"start": f"{start:%Y-%m-%dT%H:%M:%S}Z"}
                if start.microsecond:
                    told["start"] = start.isoformat().replace("+00:00", "Z")
                told |= {question.by: key} if question.by != "all" else {}
                told |= self._bucket(Group(question, key, devices, start, end))
                found.append({name: value for name, value in told.items() if value is not None})
        return found

    def _groups(self, question: Question, start: datetime, end: datetime) -> dict[str, list[PlainDevice]]:
        names = {p.name for p, _ in question.asked}
        groups: dict[str, list[PlainDevice]] = {}
        for device in sorted(self.devices.values(), key=lambda d: d.name):
            if not any(r.device == device.name and names & r.values.keys() for r in self.rows):
                continue
            if start >= self._until(question, device):
                continue
            sites = {device.site(hour) for hour in _hours(start, end)}
            if question.sites:
                sites &= set(question.sites)
            if question.sites and not sites:
                continue
            keys = {device.name if question.by == "device" else ""}
            if question.by == "site":
                keys = {site for site in sites if site is not None}
            for key in keys:
                groups.setdefault(key, []).append(device)
        return dict(sorted(groups.items()))

    def _until(self, question: Question, device: PlainDevice) -> datetime:
        """Until when a device is in service: what it has reported after its retirement it has reported."""
        if device.retired is None:
            return datetime.max.replace(tzinfo=UTC)
        names = {p.name for p, _ in question.asked}
        reported = (r.time + TICK for r in self.rows if r.device == device.name and names & r.values.keys())
        return max([device.retired, *reported])

    def _bucket(self, group: Group) -> dict[str, Any]:
        props = {p.name for p, _ in group.question.asked}
        told: dict[str, Any] = {}
        rows = [
            row
            for row in self.rows
            for device in group.devices
            if row.device == device.name and group.start <= row.time < group.end and group.has(device, row.time)
        ]
        for prop, statistic in group.question.asked:
            good = [row for row in rows if prop.name in row.values and prop.name not in row.flagged]
            if statistic in {"increase", "changes", "seconds"}:
                told |= self._between(group, prop, statistic, good)
            else:
                told[f"{prop.name}_{statistic}"] = _of_values(prop, statistic, good)
        told["count"] = sum(1 for row in rows if (row.values.keys() & props) - row.flagged)
        told["flagged"] = sum(len(row.values.keys() & props & row.flagged) for row in rows)
        return told | self._coverage(group, rows)

    def _coverage(self, group: Group, rows: list[PlainRow]) -> dict[str, Any]:
        props = {p.name for p, _ in group.question.asked}
        states = [p for p in group.question.dataset.properties if p.aggregation is Aggregation.STATE]
        expected = by_interval = by_state = known = count = 0.0
        for device in group.devices:
            last = min(self.now, self._until(group.question, device))
            gone = sum(
                max((min(until, last) - since).total_seconds(), 0)
                for since, until in _pieces(group.start, group.end)
                if group.has(device, since)
            )
            if device.interval is None:
                by_state += gone
                for state in states:
                    known += sum(self._held(group, state, [device]).values()) / len(states)
            else:
                by_interval += gone
                expected += gone / device.interval
                count += sum(1 for r in rows if r.device == device.name and (r.values.keys() & props) - r.flagged)
        shares = []
        if by_interval and expected:
            shares.append((by_interval, count / expected))
        if by_state and states:
            shares.append((by_state, known / by_state))
        weight = sum(w for w, _ in shares)
        return {
            "expected": round(expected) if any(d.interval for d in group.devices) else None,
            "coverage": sum(w * share for w, share in shares) / weight if weight else None,
        }

    def _between(self, group: Group, prop: Property, statistic: str, good: list[PlainRow]) -> dict[str, Any]:
        """What happens between readings: increases, changes, and how long states hold."""
        name = f"{prop.name}_{statistic}"
        if statistic == "increase":
            known = any(r.time <= group.end for d in group.devices for r in self._valid(prop, d))
            steps = [step for d in group.devices for step in self._steps(group, prop, d)]
            return {name: sum(steps) if known else None}
        held = self._held(group, prop, group.devices)
        if not held and not good:
            return {}
        if statistic == "changes":
            return {name: sum(self._changes(group, prop, d) for d in group.devices)}
        columns = [f"{prop.name}_{state}_seconds" for state in prop.states] or [name]
        return {column: held.get(state, 0.0) for column, state in zip(columns, prop.states or (True,), strict=True)}

    def _valid(self, prop: Property, device: PlainDevice) -> list[PlainRow]:
        return [
            row
            for row in self.rows
            if row.device == device.name and prop.name in row.values and prop.name not in row.flagged
        ]

    def _steps(self, group: Group, prop: Property, device: PlainDevice) -> Iterator[float]:
        for before, row in pairwise(self._valid(prop, device)):
            # R(b) - R(a), R(x) being the last reading at or before x.
            if group.start < row.time <= group.end and group.has(device, row.time - TICK):
                yield _step(before.values[prop.name], row.values[prop.name], device.modulus.get(prop.name))

    def _changes(self, group: Group, prop: Property, device: PlainDevice) -> int:
        return sum(
            before.values[prop.name] != row.values[prop.name]
            for before, row in pairwise(self._valid(prop, device))
            if group.start <= row.time < group.end and group.has(device, row.time)
        )

    def _held(self, group: Group, prop: Property, devices: list[PlainDevice]) -> dict[Any, float]:
        found: dict[Any, float] = {}
        for device in devices:
            rows = self._valid(prop, device)
            for number, row in enumerate(rows):
                until = min(
                    row.time + timedelta(seconds=device.max_hold), self.now, self._until(group.question, device)
                )
                if number + 1 < len(rows):
                    until = min(until, rows[number + 1].time)
                for since, to in _pieces(max(row.time, group.start), min(until, group.end)):
                    if group.has(device, since):
                        state = row.values[prop.name]
                        found[state] = found.get(state, 0.0) + (to - since).total_seconds()
        return found


def _of_values(prop: Property, statistic: str, good: list[PlainRow]) -> Any:
    values = [row.values[prop.name] for row in good]
    if statistic == "count":
        return len(values)
    if not values:
        return None
    if statistic == "mean":
        return _mean(prop, good)
    if statistic == "last":
        return values[-1]
    extreme: dict[str, Callable[[list[Any]], Any]] = {"min": min, "max": max, "sum": sum}
    return extreme[statistic](values)


def _mean(prop: Property, rows: list[PlainRow]) -> float | None:
    pairs = [(row.values[prop.name], row) for row in rows]
    if prop.aggregation is Aggregation.ENERGETIC_MEAN:
        time = sum(row.period for _, row in pairs)
        return 10 * math.log10(sum(row.period * 10 ** (v / 10) for v, row in pairs) / time) if time else None
    if prop.aggregation is Aggregation.WEIGHTED_MEAN:
        weights = [(v, row.values[prop.weight]) for v, row in pairs if prop.weight in row.values.keys() - row.flagged]
        total = sum(w for _, w in weights)
        return sum(v * w for v, w in weights) / total if total else None
    if prop.aggregation is Aggregation.VECTOR_MEAN:
        sin = sum(math.sin(math.radians(v)) for v, _ in pairs)
        cos = sum(math.cos(math.radians(v)) for v, _ in pairs)
        return math.degrees(math.atan2(sin, cos)) % 360 if math.hypot(sin, cos) > 1e-9 * len(pairs) else None
    return sum(v for v, _ in pairs) / len(pairs) if pairs else None


def _step(before: float, now: float, modulus: float | None) -> float:
    if now >= before:
        return now - before
    if modulus is not None and 0 <= now + modulus - before < modulus / 10:
        return now + modulus - before
    return now


def _hours(start: datetime, end: datetime) -> list[datetime]:
    return [since for since, _ in _pieces(start, end)]


def _pieces(start: datetime, end: datetime) -> Iterator[tuple[datetime, datetime]]:
    """A span of time cut at full hours."""
    while start < end:
        until = min(start.replace(minute=0, second=0, microsecond=0) + HOUR, end)
        yield start, until
        start = until
