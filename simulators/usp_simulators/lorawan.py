"""LoRaWAN as the network servers see it: devices with a frame counter, joins, and the gateways that hear a frame.

What the servers make of it stands in `chirpstack` and `things_stack`; `fleet` lets many devices speak.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, Protocol

from usp_simulators.message import Fate

#: The bits of the column `flags` that say whose clock a time is of.
CLOCK_NETWORK, CLOCK_GATEWAY = 2, 4
SECOND = 1_000_000_000
#: From a frame's end until the network server has it of all gateways that heard it.
DEDUPLICATION = 200_000_000
#: GPS time began in 1980 and has been 18 seconds ahead of UTC since 2017. Receivers count its weeks modulo 1024.
GPS_EPOCH = int(datetime(1980, 1, 6, tzinfo=UTC).timestamp()) * SECOND
GPS_AHEAD = 18 * SECOND
ROLLOVER = 1024 * 7 * 86400 * SECOND

_CHANNELS = (868_100_000, 868_300_000, 868_500_000, 867_100_000, 867_300_000, 867_500_000, 867_700_000, 867_900_000)


@dataclass(frozen=True)
class Gateway:
    """One gateway: with a GPS receiver or without, or with one that has not noticed a roll-over of its weeks."""

    eui: str
    name: str
    gps: bool
    rolled_over: bool = False

    def clock(self, at: int) -> int | None:
        """What its GPS says at a moment, in nanoseconds since 1970."""
        return (at - ROLLOVER if self.rolled_over else at) if self.gps else None


@dataclass(frozen=True)
class Reception:
    """How one gateway heard a frame, and when, in nanoseconds since 1970. A damaged one counts for nothing."""

    gateway: Gateway
    at: int
    rssi: int
    snr: float
    damaged: bool = False


@dataclass(frozen=True)
class Session:
    """What begins with a join: a new address and new keys."""

    dev_addr: str
    key_id: bytes


@dataclass(frozen=True)
class Station:
    """A device as its network server knows it. Without a devEUI it never joins, and has a name only."""

    eui: str | None
    name: str
    profile: str
    maker: tuple[str, str]


@dataclass(frozen=True)
class Uplink:
    """A frame, sent at `sent` nanoseconds since 1970. Without a port it answers the network and carries no reading.

    `fields` is what the network server has decoded of it; `battery` the device's answer, in percent, to the question
    after its state.
    """

    station: Station
    session: Session
    sent: int
    counter: int
    port: int | None
    payload: bytes
    fields: Mapping[str, Any] | None
    heard: tuple[Reception, ...]
    frequency: int
    spreading: int = 7
    battery: float | None = None
    encrypted: bool = False

    @property
    def collected(self) -> int:
        """When the network server had it."""
        return self.sent + DEDUPLICATION

    @property
    def gps(self) -> int | None:
        """The earliest moment that a right GPS clock tells."""
        moments = [r.at for r in self.heard if r.gateway.gps and not r.gateway.rolled_over and not r.damaged]
        return min(moments, default=None)

    @property
    def best(self) -> Reception:
        """The gateway that heard it best: highest signal-to-noise ratio, then the strongest signal."""
        return max((r for r in self.heard if not r.damaged), key=lambda r: (r.snr, r.rssi))

    @property
    def radio(self) -> dict[str, float]:
        """What it tells of the radio, by property of device_health."""
        return {"rssi": self.best.rssi, "snr": self.best.snr, "frame_counter": self.counter}


#: A topic, and the message before it is written as JSON.
Envelope = tuple[str, dict[str, Any]]


class Network(Protocol):
    """A network server: how it writes, and what the platform ought to read in that."""

    gateways: tuple[Gateway, ...]

    @property
    def name(self) -> str:
        """How it is called in `usp simulate`; the door's name too."""

    def address(self, station: Station, *, readable: bool = True) -> str:
        """Who speaks, as a rejection has it; of a message that cannot be read only the topic tells."""

    def up(self, uplink: Uplink) -> Envelope:
        """An uplink."""

    def again(self, envelope: Envelope, uplink: Uplink) -> Envelope:
        """The same uplink, as it comes by another path."""

    def join(self, station: Station, session: Session, at: int) -> Envelope:
        """A join that was accepted."""

    def state(self, uplink: Uplink) -> tuple[Envelope, datetime] | None:
        """The message that tells the device's battery, and the time in it; where there is one of its own."""

    def events(self, uplink: Uplink) -> list[tuple[str, Envelope]]:
        """What else it may tell about a device, and how that is counted."""

    def time(self, uplink: Uplink) -> tuple[datetime, int]:
        """The uplink's time, and whose clock that is."""

    def health(self, uplink: Uplink) -> dict[str, float]:
        """What the uplink's message tells of the device and its radio, by property of device_health."""

    def simulated(self, envelope: Envelope) -> Envelope | None:
        """The message, made up in the server's console; None where it has no such thing."""


@dataclass(frozen=True)
class Sent:
    """A message as it is published."""

    at: int
    device: str
    topic: str
    body: bytes
    fates: list[Fate] = field(default_factory=list)


def moment(at: int, cut: int = 1_000) -> datetime:
    """Nanoseconds since 1970 as a moment, cut off below `cut` nanoseconds."""
    microseconds = at // cut * cut // 1_000
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=microseconds)


def written(at: int, digits: int = 9, offset: str = "Z") -> str:
    """RFC 3339 with nanoseconds, as both servers write it."""
    seconds, rest = divmod(at, SECOND)
    fraction = f".{rest:09d}"[: 1 + digits]
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S") + fraction + offset


def identifier(rng: Random) -> str:
    """A random UUID (version 4)."""
    digits = f"{rng.getrandbits(128):032x}"
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-8{digits[17:20]}-{digits[20:]}"


def make_gateways(prefix: str, count: int) -> tuple[Gateway, ...]:
    """Gateways of a town: two of three know the time by GPS, and one of these is years behind."""
    return tuple(
        Gateway(f"0016c001{number:08x}", f"{prefix}-{number}", gps=number % 3 != 0, rolled_over=number == 1)
        for number in range(count)
    )


def heard(rng: Random, gateways: tuple[Gateway, ...], sent: int) -> tuple[Reception, ...]:
    """Who hears a frame: one to four gateways, each in its own way. One of them may hear nothing but noise."""
    near = rng.randrange(len(gateways))
    receptions = []
    for step in range(rng.choice((1, 1, 2, 2, 3, 4))):
        gateway = gateways[(near + step) % len(gateways)]
        # 300 m are a microsecond. A signal at 0 dB, or -0.0, is as good as any other.
        at = sent + rng.randrange(900, 30_000)
        receptions.append(Reception(gateway, at, -rng.randrange(30, 125), rng.randrange(-80, 56) / 4))
    if len(receptions) > 1 and rng.random() < 0.05:
        receptions[0] = replace(receptions[0], damaged=True, snr=15.0)
    if rng.random() < 0.02:
        receptions[-1] = replace(receptions[-1], rssi=0, snr=0.0)
    return tuple(receptions)


def channel(rng: Random) -> int:
    """A frequency of Europe's plan (EU868), in Hz."""
    return rng.choice(_CHANNELS)
