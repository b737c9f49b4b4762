"""ChirpStack's messages: what each event becomes."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.vectors.uplinks.vector import ABSENT, vector

from usp.ingest.bridges.bridge import LORAWAN, Event, Label, Sender, Uplink
from usp.ingest.bridges.chirpstack import ChirpStackBridge
from usp.ingest.refusal import Refused
from usp.models.dataset import RowFlag
from usp.models.reasons import Reason

BRIDGE = ChirpStackBridge()
DEVICE = Sender(LORAWAN, "70b3d5e75e0000a1")
NINE = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)
#: Nine o'clock and 0.118 s as GPS counts it, and the same 1,024 weeks earlier.
GPS = "1479200418.118s"
GPS_ROLLED_OVER = "859885218.118s"


def up(changes: dict[str, Any] | None = None) -> Uplink:
    """The uplink, with some fields changed."""
    unwrapped = BRIDGE.unwrap(*vector("chirpstack_up", changes))
    assert type(unwrapped) is Uplink
    return unwrapped


def seconds(number: float) -> datetime:
    """A moment so long after nine o'clock."""
    return NINE + timedelta(seconds=number)


def test_an_uplink_is_an_item_with_radio_data() -> None:
    """Bytes for the codec, the server's time cut to microseconds, and the gateway that heard the device best."""
    assert up() == Uplink(
        sender=DEVICE,
        time=seconds(0.123456),
        flags=RowFlag.TIME_NETWORK.value,
        payload=b"\x01",
        port=1,
        health={"rssi": -71.0, "snr": 10.5, "frame_counter": 41.0},
    )


def test_a_decoded_object_needs_no_codec() -> None:
    """ChirpStack's own codec goes before ours; one that failed leaves null."""
    assert up({"object": {"occupied": True}}).fields == {"occupied": True}
    assert up({"object": {"occupied": True}}).payload is None
    assert up({"object": None}).payload == b"\x01"


def test_zeros_are_left_out() -> None:
    """No fCnt is frame 0, no rssi and snr are 0, no gateway is no radio data."""
    changes = {"fCnt": ABSENT, "rxInfo.0.rssi": ABSENT, "rxInfo.1": {"gatewayId": "0016c001f153a14d", "snr": 9.5}}
    assert up(changes).health == {"rssi": 0.0, "snr": 9.5, "frame_counter": 0.0}
    assert up({"rxInfo": []}).health == {"frame_counter": 41.0}
    assert up({"rxInfo": ABSENT}).health == {"frame_counter": 41.0}


def test_only_lora_has_a_signal_to_noise_ratio() -> None:
    """An FSK frame has none, which is not 0 dB."""
    assert up({"txInfo.modulation": {"fsk": {"datarate": 50000}}}).health == {"rssi": -36.0, "frame_counter": 41.0}


def test_behind_a_relay_the_relay_tells_how_it_heard_the_device() -> None:
    """What the gateways tell is how they heard the relay."""
    relayed = {"devEui": "0101010101010101", "frequency": 868100000, "dr": 5, "snr": 3, "rssi": -99, "worChannel": 0}
    assert up({"relayRxInfo": relayed}).health == {"rssi": -99.0, "snr": 3.0, "frame_counter": 41.0}


@pytest.mark.parametrize(
    ("changes", "time", "flag"),
    [
        ({"rxInfo.0.timeSinceGpsEpoch": GPS}, 0.118, RowFlag.TIME_GATEWAY),
        # ChirpStack has taken its time from a receiver with a rolled-over week counter.
        (
            {"rxInfo.0.timeSinceGpsEpoch": GPS_ROLLED_OVER, "time": "2007-04-06T09:00:00.118+00:00"},
            0.19,
            RowFlag.TIME_NETWORK,
        ),
        ({"rxInfo.0.timeSinceGpsEpoch": "soon"}, 0.123456, RowFlag.TIME_NETWORK),
        ({"time": ABSENT}, 0.19, RowFlag.TIME_NETWORK),
        ({"time": 5, "rxInfo.0.nsTime": None}, 0.12, RowFlag.TIME_GATEWAY),
        ({"rxInfo": []}, 0.123456, RowFlag.TIME_NETWORK),
    ],
)
def test_the_best_clock_tells_the_time(changes: dict[str, Any], time: float, flag: RowFlag) -> None:
    """A gateway's GPS, else the network server; a gateway's own clock where there is nothing else."""
    uplink = up(changes)
    assert (uplink.time, uplink.flags) == (seconds(time), flag)


def test_without_any_time_an_uplink_is_refused() -> None:
    """The time of arrival would make the same uplink two rows."""
    with pytest.raises(Refused) as error:
        up({"time": "never", "rxInfo": []})
    assert error.value.refusal.reason is Reason.BAD_TIME


def test_a_mac_only_uplink_is_health_alone() -> None:
    """Even where a codec has made something out of no bytes."""
    uplink = up({"fPort": 0, "data": "", "object": {"temperature": 0}})
    assert (uplink.fields, uplink.payload, uplink.refusal) == (None, None, None)
    assert uplink.health["frame_counter"] == 41


@pytest.mark.parametrize("context", [{"sessionKeyId": "0102"}, {"appSKey": {"kekLabel": "k", "aesKey": "AQ=="}}])
def test_an_end_to_end_encrypted_payload_is_refused_and_its_radio_data_kept(context: dict[str, Any]) -> None:
    """Decoding it would give numbers that nobody measured."""
    uplink = up({"joinServerContext": context, "object": {"occupied": True}})
    assert uplink.refusal is not None
    assert uplink.refusal.reason is Reason.END_TO_END_ENCRYPTED
    assert (uplink.fields, uplink.payload) == (None, None)
    assert uplink.health == up().health


@pytest.mark.parametrize("context", [None, {}, {"sessionKeyId": "", "appSKey": None}])
def test_an_empty_join_server_context_means_nothing(context: Any) -> None:
    """A non-empty one says that the payload is encrypted."""
    assert up({"joinServerContext": context}).payload == b"\x01"


def test_a_broken_payload_is_refused_and_its_radio_data_kept() -> None:
    """The frame was heard, whatever was in it."""
    uplink = up({"data": "AQ"})
    assert uplink.refusal is not None
    assert uplink.refusal.reason is Reason.BAD_FRAME
    assert uplink.health == up().health


def test_a_status_is_the_battery() -> None:
    """In percent."""
    assert BRIDGE.unwrap(*vector("chirpstack_status")) == Uplink(
        sender=DEVICE,
        time=datetime(2026, 11, 20, 9, 5, 0, 927172, tzinfo=UTC),
        flags=RowFlag.TIME_NETWORK.value,
        health={"battery": 88.3},
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"externalPowerSource": True},
        {"batteryLevelUnavailable": True},
        {"batteryLevel": "full"},
        {"batteryLevel": 0},
        {"batteryLevel": ABSENT},
        {"batteryLevel": ABSENT, "externalPowerSource": ABSENT, "batteryLevelUnavailable": ABSENT},
    ],
)
def test_a_status_without_a_battery_is_an_event(changes: dict[str, Any]) -> None:
    """A device on mains has no battery at 0 %."""
    assert BRIDGE.unwrap(*vector("chirpstack_status", changes)) == Event(DEVICE, "status")


def test_a_join_begins_a_new_run_of_the_counter() -> None:
    """Frames are counted from 0 again; a join that cannot be read is an event all the same."""
    topic, payload = vector("chirpstack_join")
    joined = datetime(2026, 11, 20, 8, 0, 0, 823500, tzinfo=UTC)
    assert BRIDGE.unwrap(topic, payload) == Event(DEVICE, "join", joined)
    assert BRIDGE.unwrap(topic, b"\n$") == Event(DEVICE, "join")


@pytest.mark.parametrize("event", ["ack", "txack", "log", "location", "integration"])
def test_other_events_are_counted_by_name(event: str) -> None:
    """Whatever is in them."""
    topic = vector("chirpstack_up")[0].replace("/up", f"/{event}")
    assert BRIDGE.unwrap(topic, b"anything") == Event(DEVICE, event)


def test_events_of_later_versions_are_counted_as_others() -> None:
    """So that counts stay few, whatever is published there."""
    assert BRIDGE.unwrap(vector("chirpstack_up")[0].replace("/up", "/aurora"), b"") == Event(DEVICE, "other")


@pytest.mark.parametrize(
    "topic",
    [
        "application/",
        "application/1/device/70b3d5e75e0000a1/event",
        "application/1/device/70b3d5e75e0000a1/event/",
        "application/1/device/70b3d5e75e0000a1/command/down",
        "application/1/device/70b3d5e75e0000a1/event/up/more",
        "application/1/device/lamp-1/event/up",
    ],
)
def test_a_wrong_topic_is_refused(topic: str) -> None:
    """With the form that is expected."""
    with pytest.raises(Refused) as error:
        BRIDGE.unwrap(topic, b"{}")
    assert error.value.refusal.reason is Reason.WRONG_TOPIC
    assert BRIDGE.sender(topic).network == LORAWAN


def test_the_message_must_not_name_another_device_than_its_topic() -> None:
    """A broker's rules are about topics: nobody speaks for a device whose topic they may not use."""
    with pytest.raises(Refused) as error:
        up({"deviceInfo.devEui": "70b3d5e75e0000a2"})
    assert error.value.refusal.reason is Reason.ADDRESS_MISMATCH
    assert up({"deviceInfo.devEui": "70B3D5E75E0000A1"}).sender == DEVICE
    assert up({"deviceInfo": ABSENT}).sender == DEVICE


def test_what_the_network_calls_a_device_is_its_label() -> None:
    """Names and tags, for people who have never seen it."""
    label = Label("Via Papi 3", "Parking", "Bosch TPS110", {"site": "corvetto"})
    assert BRIDGE.label(vector("chirpstack_up")[1]) == label
    assert BRIDGE.label(b"?") == Label()


def test_ten_thousand_gateways_are_heard() -> None:
    """The best of them is found."""
    heard = [{"rssi": -100, "snr": -n / 1000} for n in range(10_000)]
    assert up({"rxInfo": heard}).health["snr"] == 0
