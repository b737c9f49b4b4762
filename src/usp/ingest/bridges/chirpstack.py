"""ChirpStack v4: `application/{id}/device/{devEUI}/event/{event}`, JSON.

Fields and topics: chirpstack/chirpstack `api/proto/integration/integration.proto` and `api/proto/gw/gw.proto`. Outer
messages come with their zeros, inner ones (rxInfo) without.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from usp.ingest.bridges import lorawan
from usp.ingest.bridges.bridge import LORAWAN, Event, Label, Sender, Uplink
from usp.ingest.refusal import Refused, shown
from usp.models.dataset import RowFlag
from usp.models.reasons import Reason

_PREFIX = "application/"
#: What is counted under its own name. A later version's events are counted as `other`: counts stay few.
_EVENTS = frozenset(("join", "ack", "txack", "log", "location", "integration"))
_NETWORK = RowFlag.TIME_NETWORK.value
_GATEWAY = RowFlag.TIME_GATEWAY.value


class ChirpStackBridge:
    """Uplinks and device states become items; everything else is an event."""

    door = "chirpstack"
    prefix = _PREFIX
    # Commands for devices go through the same broker and are none of ours.
    subscriptions = (_PREFIX + "+/device/+/event/+",)

    @staticmethod
    def sender(topic: str) -> Sender:
        """The devEUI as the topic gives it."""
        parts = topic.split("/", 4)
        address = parts[3] if len(parts) > 3 else ""
        return Sender(LORAWAN, lorawan.dev_eui(address) or lorawan.text(address))

    @staticmethod
    def unwrap(topic: str, payload: bytes) -> Uplink | Event:
        """`up` and `status` as items. Raises Refused where they cannot be understood."""
        sender, event = _address(topic)
        if event == "up":
            return _uplink(sender, _message(sender, payload))
        if event == "status":
            return _status(sender, _message(sender, payload))
        if event == "join":
            return Event(sender, event, _join_time(sender, payload))
        return Event(sender, event if event in _EVENTS else "other")

    @staticmethod
    def label(payload: bytes) -> Label:
        """The names of device, application and device profile, and the device's tags."""
        try:
            info = lorawan.part(lorawan.decoded(payload), "deviceInfo")
        except Refused:
            return Label()
        return Label(
            lorawan.text(info.get("deviceName")),
            lorawan.text(info.get("applicationName")),
            lorawan.text(info.get("deviceProfileName")),
            lorawan.tags(info.get("tags")),
        )


def _address(topic: str) -> tuple[Sender, str]:
    """Who speaks, and the event."""
    match topic.split("/"):
        case ["application", application, "device", device, "event", event] if application and event:
            eui = lorawan.dev_eui(device)
            if eui is not None:
                return Sender(LORAWAN, eui), event
    expected = "application/{id}/device/{devEUI}/event/{event}"
    raise Refused(Reason.WRONG_TOPIC, f"Got {shown(topic)}, expected {expected}.")


def _message(sender: Sender, payload: bytes) -> dict[str, Any]:
    message = lorawan.decoded(payload)
    named = lorawan.part(message, "deviceInfo").get("devEui")
    if named and type(named) is str and named != sender.address:
        lorawan.check_address(sender.address, lorawan.dev_eui(named) or named)
    return message


def _uplink(sender: Sender, message: dict[str, Any]) -> Uplink:
    heard = lorawan.receptions(message.get("rxInfo"))
    time, flags = _time(message.get("time"), heard)
    frame = lorawan.frame(
        message.get("fPort"), message.get("data"), message.get("object"), encrypted=_is_encrypted(message)
    )
    return Uplink(
        sender=sender,
        time=time,
        flags=flags,
        fields=frame.fields,
        payload=frame.payload,
        port=frame.port,
        health=_health(message, heard),
        refusal=frame.refusal,
    )


def _time(reported: Any, heard: Sequence[dict[str, Any]]) -> tuple[datetime, int]:
    """The best time of an uplink, and whose clock that is.

    `time` is the first gateway's GPS time, else a gateway's clock within 30 s of the server's, else the server's.
    As ChirpStack believes any GPS, it is held against `nsTime`, the server's own clock, where newer versions tell it.
    """
    time = lorawan.timestamp(reported)
    server = None
    clocks = []
    for each in heard:
        if server is None and "nsTime" in each:
            server = lorawan.timestamp(each["nsTime"])
        if "timeSinceGpsEpoch" in each:
            clock = lorawan.gps_timestamp(each["timeSinceGpsEpoch"])
            if clock is not None:
                clocks.append(clock)
    if clocks:
        by_gateway = lorawan.gateway_time(clocks, server or time)
        if by_gateway is not None:
            return by_gateway, _GATEWAY
    if time is not None and (server is None or lorawan.is_possible(time, server)):
        return time, _NETWORK
    if server is not None:
        return server, _NETWORK
    others = [clock for each in heard if (clock := lorawan.timestamp(each.get("gwTime"))) is not None]
    by_gateway = lorawan.gateway_time(others, None)
    if by_gateway is not None:
        return by_gateway, _GATEWAY
    raise Refused(Reason.BAD_TIME, f"Got {shown(reported)}, and no other time in the message.", "time")


def _health(message: dict[str, Any], heard: Sequence[dict[str, Any]]) -> dict[str, float]:
    relayed = lorawan.part(message, "relayRxInfo")
    modulation = lorawan.part(lorawan.part(message, "txInfo"), "modulation")
    # Through a relay (TS011), rxInfo tells how the relay was heard, and relayRxInfo how the device was.
    health = lorawan.radio([relayed] if relayed else heard, has_snr=not modulation or "lora" in modulation)
    counter = lorawan.frame_counter(message.get("fCnt"))
    if counter is not None:
        health["frame_counter"] = counter
    return health


def _is_encrypted(message: dict[str, Any]) -> bool:
    """Whether only the join server's owner holds the AppSKey, so that `data` is still encrypted."""
    context = message.get("joinServerContext")
    return any(context.values()) if type(context) is dict else bool(context)


def _status(sender: Sender, message: dict[str, Any]) -> Uplink | Event:
    """The battery as DevStatusAns tells it, in percent; an event where the device does not know it.

    LoRaWAN 1.0.4, 5.5: 0 means external power, 255 that the device cannot measure its battery; an empty one tells 1,
    which is 0.4 %. So a level of 0 is none, also where neither of the flags is there.
    """
    level = lorawan.number(message.get("batteryLevel"))
    if not level or message.get("externalPowerSource") or message.get("batteryLevelUnavailable"):
        return Event(sender, "status")
    time = lorawan.timestamp(message.get("time"))
    if time is None:
        raise Refused(Reason.BAD_TIME, f"Got {shown(message.get('time'))}.", "time")
    return Uplink(sender=sender, time=time, flags=_NETWORK, health={"battery": level})


def _join_time(sender: Sender, payload: bytes) -> datetime | None:
    """When the frame counter began anew; a join that cannot be read is counted all the same."""
    try:
        return lorawan.timestamp(_message(sender, payload).get("time"))
    except Refused:
        return None
