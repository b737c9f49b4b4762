"""The Things Stack v3: `v3/{application}[@{tenant}]/devices/{device}/{up|join|down/…|…}`, JSON.

Fields: TheThingsIndustries/lorawan-stack-docs `doc/data/api/ttn.lorawan.v3/messages`; topics: TheThingsNetwork/
lorawan-stack `pkg/applicationserver/io/mqtt/topics/v3.go`. Whatever is 0, false or empty is left out.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from usp.ingest.bridges import lorawan
from usp.ingest.bridges.bridge import LORAWAN, Event, Label, Sender, Uplink
from usp.ingest.refusal import Refusal, Refused, shown
from usp.models.dataset import RowFlag
from usp.models.reasons import Reason

_PREFIX = "v3/"
#: The network of devices whose messages tell no devEUI: without a join (ABP), they need none.
NETWORK = "things_stack"
#: The topics of other things than uplinks, and how they are counted. `up/normalized` repeats an uplink.
_EVENTS = {
    "up/normalized": "up_normalized",
    "down/queued": "down_queued",
    "down/sent": "down_sent",
    "down/ack": "down_ack",
    "down/nack": "down_nack",
    "down/failed": "down_failed",
    "down/invalidated": "down_invalidated",
    "down/push": "down_push",
    "down/replace": "down_replace",
    "location/solved": "location_solved",
    "service/data": "service_data",
}
_NETWORK = RowFlag.TIME_NETWORK.value
_GATEWAY = RowFlag.TIME_GATEWAY.value


class ThingsStackBridge:
    """Uplinks become items; everything else is an event."""

    door = "things_stack"
    prefix = _PREFIX
    # The Things Stack's own server puts the application in place of the first +, and sends all that the key may read.
    subscriptions = (_PREFIX + "+/devices/+/#",)

    @staticmethod
    def sender(topic: str) -> Sender:
        """Application and device as the topic gives them; which devEUI that is, only the message tells."""
        parts = topic.split("/", 4)
        application = parts[1] if len(parts) > 1 else ""
        return Sender(NETWORK, _address(application.partition("@")[0], parts[3] if len(parts) > 3 else ""))

    def unwrap(self, topic: str, payload: bytes) -> Uplink | Event:
        """`up` as an item. Raises Refused where it cannot be understood."""
        kind = _kind(topic)
        by_topic = self.sender(topic)
        if kind == "up":
            message = lorawan.decoded(payload)
            return _uplink(_sender(by_topic, message), message)
        try:
            message = lorawan.decoded(payload)
            sender = _sender(by_topic, message)
        except Refused:
            message, sender = {}, by_topic
        if kind == "join":
            return Event(sender, kind, _join_time(message))
        return Event(sender, _EVENTS.get(kind, "other"))

    @staticmethod
    def label(payload: bytes) -> Label:
        """The ids of device and application, brand and model of the device repository, and the device's attributes."""
        try:
            message = lorawan.decoded(payload)
        except Refused:
            return Label()
        ids = lorawan.part(message, "end_device_ids")
        content = lorawan.part(message, "uplink_message") or lorawan.part(message, "join_accept")
        version = lorawan.part(content, "version_ids")
        model = (lorawan.text(version.get("brand_id")), lorawan.text(version.get("model_id")))
        return Label(
            lorawan.text(ids.get("device_id")),
            lorawan.text(lorawan.part(ids, "application_ids").get("application_id")),
            " ".join(filter(None, model)),
            lorawan.tags(content.get("attributes")),
        )


def _kind(topic: str) -> str:
    """What comes behind the device."""
    parts = topic.split("/", 4)
    if len(parts) == 5 and parts[0] == "v3" and parts[2] == "devices" and parts[1] and parts[3] and parts[4]:
        return parts[4]
    raise Refused(Reason.WRONG_TOPIC, f"Got {shown(topic)}, expected v3/{{application}}/devices/{{device}}/up.")


def _address(application: str, device: str) -> str:
    return lorawan.text(f"{application}/{device}")


def _sender(by_topic: Sender, message: dict[str, Any]) -> Sender:
    """The device by its devEUI, so that it is the same one behind any network server."""
    ids = lorawan.part(message, "end_device_ids")
    application = lorawan.part(ids, "application_ids").get("application_id")
    device = ids.get("device_id")
    if type(device) is str and type(application) is str:
        lorawan.check_address(by_topic.address, _address(application, device))
    named = ids.get("dev_eui")
    eui = lorawan.dev_eui(named) if type(named) is str else None
    return by_topic if eui is None else Sender(LORAWAN, eui)


def _uplink(sender: Sender, message: dict[str, Any]) -> Uplink:
    content = lorawan.part(message, "uplink_message")
    if not content:
        raise Refused(Reason.BAD_FRAME, "The message has no uplink_message.", "uplink_message")
    heard = lorawan.receptions(content.get("rx_metadata"))
    time, flags = _time(message, content, heard)
    if message.get("simulated"):
        refusal = Refusal(Reason.SIMULATED)
        return Uplink(sender=sender, time=time, flags=flags, refusal=refusal)
    # With skip_payload_crypto the payload stays encrypted, which app_s_key shows.
    frame = lorawan.frame(
        content.get("f_port"),
        content.get("frm_payload"),
        content.get("decoded_payload"),
        encrypted=bool(content.get("app_s_key")),
    )
    return Uplink(
        sender=sender,
        time=time,
        flags=flags,
        fields=frame.fields,
        payload=frame.payload,
        port=frame.port,
        health=_health(content, heard),
        refusal=frame.refusal,
    )


def _time(message: dict[str, Any], content: dict[str, Any], heard: Sequence[dict[str, Any]]) -> tuple[datetime, int]:
    """The best time of an uplink, and whose clock that is.

    `gps_time` is exact to a millisecond; then comes the network server's clock, then the application server's. The
    accuracy of a gateway's `time` is undefined by its documentation, so it only serves where there is nothing else.
    """
    server = lorawan.timestamp(content.get("received_at")) or lorawan.timestamp(message.get("received_at"))
    clocks = _clocks(heard, "gps_time")
    if clocks:
        by_gateway = lorawan.gateway_time(clocks, server)
        if by_gateway is not None:
            return by_gateway, _GATEWAY
    if server is not None:
        return server, _NETWORK
    others = _clocks([*heard, lorawan.part(content, "settings")], "time")
    by_gateway = lorawan.gateway_time(others, None)
    if by_gateway is not None:
        return by_gateway, _GATEWAY
    raise Refused(Reason.BAD_TIME, "The message holds neither received_at nor a gateway's time.", "time")


def _clocks(parts: Sequence[dict[str, Any]], name: str) -> list[datetime]:
    return [clock for each in parts if name in each and (clock := lorawan.timestamp(each[name])) is not None]


def _health(content: dict[str, Any], heard: Sequence[dict[str, Any]]) -> dict[str, float]:
    data_rate = lorawan.part(lorawan.part(content, "settings"), "data_rate")
    # A foreign network behind Packet Broker may keep its signal quality to itself: neither value is not 0 and 0.
    known = [each for each in heard if "rssi" in each or "snr" in each or "packet_broker" not in each]
    health = lorawan.radio(known, has_snr=not data_rate or "lora" in data_rate)
    counter = lorawan.frame_counter(content.get("f_cnt"))
    if counter is not None:
        health["frame_counter"] = counter
    battery = lorawan.part(content, "last_battery_percentage")
    # It is repeated in every later message; new it is in the one whose frame answered DevStatusReq.
    if battery.get("value") is not None and lorawan.frame_counter(battery.get("f_cnt")) == counter:
        level = lorawan.number(battery["value"])
        if level is not None:
            health["battery"] = level
    return health


def _join_time(message: dict[str, Any]) -> datetime | None:
    """When the frame counter began anew; a simulated join changes nothing."""
    if message.get("simulated"):
        return None
    accepted = lorawan.part(message, "join_accept")
    return lorawan.timestamp(accepted.get("received_at")) or lorawan.timestamp(message.get("received_at"))
