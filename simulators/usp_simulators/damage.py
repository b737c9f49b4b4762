"""What damaged readings look like, and what ought to become of each: written by hand, not derived from the platform."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import orjson

from usp_simulators.message import Fate, rows_of


@dataclass(frozen=True, slots=True)
class Reading:
    """What a device has to say; `time` is what its clock shows."""

    device: str
    kind: str
    time: datetime
    payload: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Item:
    """One item as it is sent, and its fate. One that is `alone` cannot be an element of an array."""

    device: str
    raw: bytes
    fate: Fate
    last: str = "up"
    alone: bool = False

    @property
    def topic(self) -> str:
        """The MQTT topic it is published to."""
        return f"usp/v1/{self.device}/{self.last}"


#: Makes an item of a reading; the number chooses among its variants.
Damage = Callable[[Reading, int], Item]

#: For each kind a field that it always sends, whose other value is as plausible.
ANOTHER = {
    "lamppost": "no2",
    "parking_sensor": "occupied",
    "charging_point": "energy",
    "energy_meter": "energy_import",
    "indoor_sensor": "co2",
}
#: For each kind values that no street has; not all of them are in every message, so they may come in addition.
IMPLAUSIBLE: dict[str, tuple[tuple[str, float], ...]] = {
    "lamppost": (
        *(("no2", 4000.5), ("pm10", -1), ("co2", 100), ("temperature", -90.5), ("humidity", 140.25)),
        *(("rainfall", 500), ("laeq", 300.5), ("lafmin", -12), ("dimming", 130), ("lighting.power", 9_999)),
    ),
    "parking_sensor": (("battery", 130), ("battery_voltage", 99.5), ("rssi", 31)),
    "charging_point": (("power", 900_000), ("session_energy", -0.5), ("current", 1_001), ("soc", 101)),
    "energy_meter": (("active_power", -2e7), ("frequency", 70.5), ("power_factor", 3.25), ("voltage", 1e9)),
    "indoor_sensor": (("co2", 60_000), ("temperature", 200.5), ("humidity", -3)),
}
#: A field of each kind that is stored as a 32-bit number.
SMALL = {
    "lamppost": "no2",
    "parking_sensor": "battery",
    "charging_point": "power",
    "energy_meter": "active_power",
    "indoor_sensor": "co2",
}
UNMAPPED: tuple[tuple[str, Any], ...] = (
    ("firmware", "2.4.1"),
    ("uptime_s", 86_400),
    ("no\x002", 31.0),
    ("position", {"lon": 9.19, "lat": 45.46}),
)


def as_it_is(reading: Reading) -> Item:
    """Undamaged."""
    rows = rows_of(reading.kind, reading.time, reading.payload)
    return Item(reading.device, orjson.dumps(reading.payload), Fate(reading.time, rows))


def out_of_range(reading: Reading, variant: int) -> Item:
    """One value that is implausible: stored and flagged."""
    field, value = _one(IMPLAUSIBLE[reading.kind], variant)
    payload = reading.payload | {field: value}
    rows = rows_of(reading.kind, reading.time, payload, flagged=field)
    return Item(reading.device, orjson.dumps(payload), Fate(reading.time, rows))


def with_unknown_field(reading: Reading, variant: int) -> Item:
    """A field that no profile knows: counted, and the rest stored."""
    item = as_it_is(reading)
    name, value = _one(UNMAPPED, variant)
    return replace(
        item, raw=orjson.dumps(reading.payload | {name: value}), fate=replace(item.fate, unmapped=(_kept(name),))
    )


def with_other_value(reading: Reading) -> Item:
    """The same device and time with another value."""
    field = ANOTHER[reading.kind]
    value = reading.payload[field]
    changed = not value if isinstance(value, bool) else value + 0.5
    return with_raw(as_it_is(replace(reading, payload=reading.payload | {field: changed})))


def without_a_field(reading: Reading, variant: int) -> Item:
    """A part of the reading; all of it where it has only one field beside the time."""
    fields = [name for name in reading.payload if name != "time"]
    left_out = _one(fields, variant) if len(fields) > 1 else ""
    return as_it_is(replace(reading, payload={n: v for n, v in reading.payload.items() if n != left_out}))


def with_raw(item: Item) -> Item:
    """The same, that a rejection may have to hold."""
    return replace(item, fate=replace(item.fate, raw=item.raw))


def refused(reading: Reading, raw: bytes, reason: str, field: str = "", **more: Any) -> Item:
    """An item of which nothing is stored."""
    unmapped = more.pop("unmapped", ())
    fate = Fate(None, [], reason, field, unmapped=unmapped, raw=raw)
    return Item(reading.device, raw, fate, **more)


def _not_json(reading: Reading, variant: int) -> Item:
    whole = orjson.dumps(reading.payload)
    raw = _one(
        (
            whole[: len(whole) // 2],
            b"",
            whole + b"\x00",
            b'{"note":"\xc3\x28",' + whole[1:],
            b'{"note":"\\ud800",' + whole[1:],
            b'{"no2":NaN,' + whole[1:],
            b'{"no2":-Infinity}',
            b"[" * 3000,
            b"\x00\x01\xff\xfe" * 8,
        ),
        variant,
    )
    return refused(reading, raw, "not_json", alone=True)


def _not_an_object(reading: Reading, variant: int) -> Item:
    return refused(reading, _one((b"42", b'"on"', b"true", b"null"), variant), "not_an_object")


def _empty_array(reading: Reading, _variant: int) -> Item:
    return refused(reading, b"[]", "not_an_object", alone=True)


def _wrong_topic(reading: Reading, variant: int) -> Item:
    last = _one(("upp", "data", "up/1", "UP"), variant)
    return refused(reading, orjson.dumps(reading.payload), "wrong_topic", last=last, alone=True)


def _unknown_device(reading: Reading, variant: int) -> Item:
    stranger = replace(reading, device=_one((f"{reading.device}-new", reading.device.upper(), "größe"), variant))
    return refused(stranger, orjson.dumps(reading.payload), "unknown_device", alone=True)


def _bad_time(reading: Reading, variant: int) -> Item:
    time = _one(("yesterday", "", "2026-11-31T10:00:00Z", True, [], "12:00:00Z", 1e300), variant)
    return refused(reading, orjson.dumps(reading.payload | {"time": time}), "bad_time", "time")


def _no_offset(reading: Reading, _variant: int) -> Item:
    local = reading.payload["time"].removesuffix("Z")
    return refused(reading, orjson.dumps(reading.payload | {"time": local}), "time_without_offset", "time")


def _nothing_known(reading: Reading, variant: int) -> Item:
    time = {"time": reading.payload["time"]}
    if variant % 2:
        return refused(reading, orjson.dumps(time | {"firmware": "2.4.1"}), "no_known_field", unmapped=("firmware",))
    return refused(reading, orjson.dumps(dict.fromkeys(reading.payload) | time), "no_known_field")


def _wrong_type(reading: Reading, variant: int) -> Item:
    field = _one([name for name in reading.payload if name != "time"], variant)
    value = _one(("31.0", [31.0], {"value": 31.0}), variant)
    if field == "status":
        value = 3
    return _spoilt(reading, field, value, "wrong_type")


def _overflow(reading: Reading, variant: int) -> Item:
    return _spoilt(reading, SMALL[reading.kind], _one((1e39, -1e39, 1e300), variant), "overflow")


def _unknown_state(reading: Reading, variant: int) -> Item:
    if reading.kind != "charging_point":
        return _wrong_type(reading, variant)
    return _spoilt(reading, "status", _one(("Charging", "char\x00ging", "exploded", ""), variant), "unknown_state")


def _bad_period(reading: Reading, variant: int) -> Item:
    """Only what was measured over an interval needs to know its length."""
    if reading.kind != "lamppost":
        return _overflow(reading, variant)
    payload = reading.payload | {"period": _one((-60, 0, "60", 1e6), variant)}
    rows = rows_of(reading.kind, reading.time, reading.payload)
    kept = [row for row in rows if row.time == reading.time]
    told = (("period", "bad_period"),) * (len(rows) - len(kept))
    raw = orjson.dumps(payload)
    return Item(reading.device, raw, Fate(reading.time, kept, refused=told, raw=raw))


def _spoilt(reading: Reading, field: str, value: Any, reason: str) -> Item:
    """One value that is refused; the others are stored, if there are others."""
    raw = orjson.dumps(reading.payload | {field: value})
    others = {name: value for name, value in reading.payload.items() if name != field}
    rows = rows_of(reading.kind, reading.time, others)
    if not rows:
        return refused(reading, raw, reason, field)
    return Item(reading.device, raw, Fate(reading.time, rows, refused=((field, reason),), raw=raw))


#: Everything that `corrupt` does, each as often as the others.
CORRUPTIONS: tuple[Damage, ...] = (
    _not_json,
    _not_json,
    _not_an_object,
    _empty_array,
    _wrong_topic,
    _unknown_device,
    _bad_time,
    _no_offset,
    _nothing_known,
    _wrong_type,
    _overflow,
    _unknown_state,
    _bad_period,
)


def _kept(name: str) -> str:
    """PostgreSQL has no text with NUL characters in it."""
    return name.replace("\x00", "\N{REPLACEMENT CHARACTER}")


def _one(of: Any, variant: int) -> Any:
    return of[variant % len(of)]
