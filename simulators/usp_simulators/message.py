"""What a device sends, and the rows that ought to be stored because of it."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

import orjson

from usp_simulators.days import Day

#: How long lampposts measure sound and count traffic and rain before they send: the interval of their profiles.
INTERVAL = 60
_INTERVAL = timedelta(seconds=INTERVAL)
#: Fewer Wi-Fi clients than this are stored as none.
FEWEST_CLIENTS = 5

_AIR = ("pm1", "pm2_5", "pm10", "no", "no2", "o3", "so2", "co", "co2")
_WEATHER = ("temperature", "humidity", "pressure", "wind_speed", "wind_direction", "rainfall", "illuminance")
_NOISE = ("laeq", "lafmax", "lafmin", "la10", "la50", "la90")
_TRAFFIC = ("vehicles", "cars", "heavy", "motorcycles", "bicycles", "pedestrians", "speed", "occupancy")
_HEALTH = dict.fromkeys(("battery", "battery_voltage", "rssi", "snr"), "device_health")

#: The dataset of each field that a device of a kind sends without naming the dataset. Written out on purpose: a test
#: that compares what is stored with this must not share the platform's own idea of it.
DATASET_OF: dict[str, dict[str, str]] = {
    "lamppost": dict.fromkeys(_AIR, "air_quality")
    | dict.fromkeys(_WEATHER, "weather")
    | dict.fromkeys(_NOISE, "noise")
    | dict.fromkeys(_TRAFFIC, "traffic")
    | dict.fromkeys(("lit", "dimming"), "lighting")
    | dict.fromkeys(("rx_bytes", "tx_bytes"), "wifi"),
    "parking_sensor": {"occupied": "parking"} | _HEALTH,
    "charging_point": dict.fromkeys(
        ("status", "power", "energy", "session_energy", "current", "voltage", "soc"), "charging"
    ),
    "energy_meter": dict.fromkeys(
        (
            *("active_power", "energy_import", "energy_export", "reactive_power", "power_factor", "frequency"),
            *("voltage", "voltage_l1", "voltage_l2", "voltage_l3"),
            *("current", "current_l1", "current_l2", "current_l3", "heat", "water"),
        ),
        "energy",
    ),
    "indoor_sensor": dict.fromkeys(("temperature", "humidity", "co2"), "indoor_climate") | _HEALTH,
}


@dataclass(frozen=True, slots=True)
class Row:
    """One row, or a part of one, that ought to be stored; parts of the same dataset and time add up.

    `flagged` names the values that lie out of range, `coded` those that were too small to be told. `clock` is the bit
    of the column `flags` that says whose clock the time is of. Radio data beside a reading decide nothing: whether the
    item is stored or a duplicate goes by its other rows.
    """

    dataset: str
    time: datetime
    values: dict[str, Any]
    period: int | None = None
    flagged: tuple[str, ...] = ()
    coded: tuple[str, ...] = ()
    clock: int = 0
    decides: bool = True


@dataclass(frozen=True, slots=True)
class Fate:
    """What ought to become of one item, on its own: the rows it has, or the reason for which all of it is refused.

    `refused` are pairs of field and reason: values kept out beside the others. `raw` is the item itself, given where a
    rejection may have to hold it. `address` is who speaks as a rejection has it, where that is not the device's name.
    An `event` is no item and only counted; at `restart` it lets the device's frame counter begin anew.
    """

    time: datetime | None
    rows: list[Row]
    reason: str = ""
    field: str = ""
    refused: tuple[tuple[str, str], ...] = ()
    unmapped: tuple[str, ...] = ()
    raw: bytes | None = None
    address: str = ""
    event: str = ""
    restart: datetime | None = None


class Sendable(Protocol):
    """What goes to the broker in one piece; `at` is when, in seconds since 1970."""

    @property
    def at(self) -> int:
        """When it is due."""

    @property
    def device(self) -> str:
        """Who speaks, as the topic has it."""

    @property
    def topic(self) -> str:
        """The MQTT topic it is published to."""

    @property
    def body(self) -> bytes:
        """The MQTT payload."""

    @property
    def fates(self) -> list[Fate]:
        """What ought to become of each item in it."""


@dataclass(slots=True)
class Message:
    """One message of one device; `at` counts seconds since 1970, `payload` is the native JSON object."""

    at: int
    device: str
    kind: str
    payload: dict[str, Any]

    @property
    def time(self) -> datetime:
        """The time the device puts on it."""
        return datetime.fromtimestamp(self.at, UTC)

    @property
    def topic(self) -> str:
        """The MQTT topic it is published to."""
        return f"usp/v1/{self.device}/up"

    @property
    def body(self) -> bytes:
        """The MQTT payload."""
        return orjson.dumps(self.payload)

    @property
    def rows(self) -> list[Row]:
        """The rows it ought to become."""
        return rows_of(self.kind, self.time, self.payload)

    @property
    def fates(self) -> list[Fate]:
        """A message is one item."""
        return [Fate(self.time, self.rows)]


def rows_of(kind: str, time: datetime, payload: dict[str, Any], flagged: str = "") -> list[Row]:
    """The rows that a device's values of a time ought to become; `flagged` names a field that is out of range."""
    found: dict[tuple[str, datetime], dict[str, Any]] = {}
    marked: tuple[tuple[str, datetime], str] | None = None
    coded = False
    for field, value in payload.items():
        if field == "time":
            continue
        dataset, _, name = field.rpartition(".")
        dataset = dataset or DATASET_OF[kind][field]
        # An interval is stored at its start, and so is the rain that fell during it.
        key = (dataset, time - _INTERVAL if dataset in {"noise", "traffic"} or name == "rainfall" else time)
        few = dataset == "wifi" and name == "clients" and value < FEWEST_CLIENTS
        coded |= few
        found.setdefault(key, {})[name] = 0 if few else value
        if field == flagged:
            marked = (key, name)
    return [
        Row(
            dataset,
            start,
            values,
            INTERVAL if dataset in {"noise", "traffic"} else None,
            (marked[1],) if marked is not None and marked[0] == (dataset, start) else (),
            ("clients",) if coded and dataset == "wifi" else (),
        )
        for (dataset, start), values in found.items()
    ]


class Model(Protocol):
    """A simulated device."""

    def messages(self, day: Day, start: int, end: int) -> Iterator[Message]:
        """What it sends at start ≤ t < end, all within `day`, in order of time."""
        ...


def stamp(at: int) -> str:
    """RFC 3339, as devices write it."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def ticks(start: int, end: int, interval: int, phase: int) -> range:
    """Return the seconds in start ≤ t < end that lie `phase` after a multiple of `interval`."""
    return range(start + (phase - start) % interval, end, interval)
