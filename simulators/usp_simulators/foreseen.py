"""What ought to become of an uplink that a network server publishes: its rows, or why it is refused.

Written by hand from `docs/lorawan.md`, not derived from the platform.
"""

from dataclasses import dataclass

import orjson

from usp_simulators.lorawan import CLOCK_NETWORK, Envelope, Network, Sent, Uplink
from usp_simulators.message import Fate, Row
from usp_simulators.payloads import Values
from usp_simulators.sensors import Sensor

#: Of these only the topic tells who speaks.
_UNREADABLE = {"not_json", "address_mismatch"}


@dataclass(frozen=True)
class Frame:
    """A frame sent at a second, and the values that it carries; none where it only answers the network."""

    at: int
    sensor: Sensor
    uplink: Uplink
    values: Values | None


def read(network: Network, frame: Frame, envelope: Envelope, *, registered: bool) -> Sent:
    """An uplink whose reading is stored, if anybody knows the device."""
    if not registered:
        return refused(network, frame, envelope, "unknown_device")
    radio = _radio(network, frame.uplink, decides=frame.values is None)
    time, clock = network.time(frame.uplink)
    if frame.values is None:
        return _sent(network, frame, envelope[0], orjson.dumps(envelope[1]), Fate(time, [radio]))
    rows = [*frame.sensor.rows(frame.values, time, clock), radio]
    fate = Fate(time, rows, unmapped=frame.sensor.unmapped(frame.values))
    return _sent(network, frame, envelope[0], orjson.dumps(envelope[1]), fate)


def state(network: Network, frame: Frame, *, registered: bool) -> Sent | None:
    """The message that tells of the battery alone, where there is one."""
    found = network.state(frame.uplink)
    if found is None:
        return None
    envelope, time = found
    if not registered:
        return refused(network, frame, envelope, "unknown_device")
    rows = [Row("device_health", time, {"battery": frame.uplink.battery}, clock=CLOCK_NETWORK)]
    return _sent(network, frame, envelope[0], orjson.dumps(envelope[1]), Fate(time, rows))


def radio_only(
    network: Network, frame: Frame, reason: str, field: str = "", *, spoil: tuple[bytes, bytes] | None = None
) -> Sent:
    """An uplink whose reading is refused; `spoil` puts other bytes into its message."""
    topic, content = network.up(frame.uplink)
    body = orjson.dumps(content)
    body = body.replace(*spoil) if spoil else body
    time, _ = network.time(frame.uplink)
    rows = [_radio(network, frame.uplink, decides=False)]
    return _sent(network, frame, topic, body, Fate(time, rows, reason, field, raw=body))


def refused(network: Network, frame: Frame, envelope: Envelope, reason: str, *, cut: bool = False) -> Sent:
    """A message of which nothing is stored; `cut` leaves its first half."""
    topic, content = envelope
    body = orjson.dumps(content)
    body = body[: len(body) // 2] if cut else body
    return _sent(network, frame, topic, body, Fate(None, [], reason, raw=body))


def _radio(network: Network, uplink: Uplink, *, decides: bool) -> Row:
    time, clock = network.time(uplink)
    return Row("device_health", time, dict(network.health(uplink)), clock=clock, decides=decides)


def _sent(network: Network, frame: Frame, topic: str, body: bytes, fate: Fate) -> Sent:
    station = frame.uplink.station
    address = network.address(station, readable=fate.reason not in _UNREADABLE)
    told = Fate(fate.time, fate.rows, fate.reason, fate.field, unmapped=fate.unmapped, raw=fate.raw, address=address)
    return Sent(frame.at, station.name, topic, body, [told])
