"""The Things Stack's messages: what each topic becomes."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.vectors.uplinks.vector import ABSENT, vector

from usp.ingest.bridges.bridge import LORAWAN, Event, Label, Sender, Uplink
from usp.ingest.bridges.things_stack import NETWORK, ThingsStackBridge
from usp.ingest.refusal import Refused
from usp.models.dataset import RowFlag
from usp.models.reasons import Reason

BRIDGE = ThingsStackBridge()
DEVICE = Sender(LORAWAN, "70b3d5e75e0000a1")
BY_TOPIC = Sender(NETWORK, "parking/via-papi-3")
TOPIC = "v3/parking@comune/devices/via-papi-3/"
NINE = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)


def up(changes: dict[str, Any] | None = None) -> Uplink:
    """The uplink, with some fields changed."""
    unwrapped = BRIDGE.unwrap(*vector("things_stack_up", changes))
    assert type(unwrapped) is Uplink
    return unwrapped


def content(changes: dict[str, Any]) -> Uplink:
    """The uplink, with some fields of its `uplink_message` changed."""
    return up({f"uplink_message.{path}": value for path, value in changes.items()})


def seconds(number: float) -> datetime:
    """A moment so long after nine o'clock."""
    return NINE + timedelta(seconds=number)


def test_an_uplink_is_an_item_with_radio_data() -> None:
    """Decoded fields, a gateway's GPS time, and the gateway that heard the device best."""
    health = {"rssi": -97.0, "snr": 7.25, "frame_counter": 14.0, "battery": 90.118576}
    assert up() == Uplink(
        sender=DEVICE,
        time=seconds(0.098),
        flags=RowFlag.TIME_GATEWAY.value,
        fields={"occupied": True},
        port=1,
        health=health,
    )


@pytest.mark.parametrize("fields", [ABSENT, None, {}, "on"])
def test_without_decoded_fields_the_bytes_go_to_the_codec(fields: Any) -> None:
    """With the port they came on."""
    uplink = content({"decoded_payload": fields})
    assert (uplink.fields, uplink.payload, uplink.port) == (None, b"\x01", 1)


def test_zeros_are_left_out() -> None:
    """No f_cnt is frame 0, no snr is 0 dB."""
    changes = {"f_cnt": ABSENT, "rx_metadata": [{"gateway_ids": {}, "rssi": -97}]}
    assert content(changes).health == {"rssi": -97.0, "snr": 0.0, "frame_counter": 0.0}


def test_a_battery_is_stored_when_it_was_told() -> None:
    """Later messages repeat what the device said in an earlier frame."""
    assert "battery" not in content({"f_cnt": 15}).health
    assert "battery" not in content({"last_battery_percentage.value": None}).health


@pytest.mark.parametrize("told", [{"message_id": "01"}, {}])
def test_a_foreign_network_may_keep_its_signal_quality_to_itself(told: dict[str, Any]) -> None:
    """What Packet Broker does not tell is not 0 dBm."""
    foreign = {"gateway_ids": {"gateway_id": "packetbroker"}, "packet_broker": told}
    assert content({"rx_metadata": [foreign]}).health == {"frame_counter": 14.0, "battery": 90.118576}


@pytest.mark.parametrize(
    ("changes", "time", "flag"),
    [
        ({"uplink_message.rx_metadata.0.gps_time": ABSENT}, 0.187593, RowFlag.TIME_NETWORK),
        ({"uplink_message.rx_metadata.0.gps_time": "2007-04-06T09:00:00Z"}, 0.187593, RowFlag.TIME_NETWORK),
        ({"uplink_message.rx_metadata": [], "uplink_message.received_at": ABSENT}, 0.395136, RowFlag.TIME_NETWORK),
        (
            {
                "uplink_message.rx_metadata.0.gps_time": ABSENT,
                "uplink_message.received_at": ABSENT,
                "received_at": ABSENT,
            },
            0.097237,
            RowFlag.TIME_GATEWAY,
        ),
        (
            {"uplink_message.rx_metadata": [], "uplink_message.received_at": ABSENT, "received_at": ABSENT},
            0.097237,
            RowFlag.TIME_GATEWAY,
        ),
    ],
)
def test_the_best_clock_tells_the_time(changes: dict[str, Any], time: float, flag: RowFlag) -> None:
    """GPS, else the network server, else the application server; a gateway's own clock where there is nothing else."""
    uplink = up(changes)
    assert (uplink.time, uplink.flags) == (seconds(time), flag)


def test_without_any_time_an_uplink_is_refused() -> None:
    """The time of arrival would make the same uplink two rows."""
    with pytest.raises(Refused) as error:
        up({"received_at": ABSENT, "uplink_message": {"f_port": 1, "frm_payload": "AQ=="}})
    assert error.value.refusal.reason is Reason.BAD_TIME


def test_a_simulated_uplink_is_refused_with_all_it_says() -> None:
    """Nobody measured anything, and no gateway heard it."""
    uplink = up({"simulated": True})
    assert uplink.refusal is not None
    assert uplink.refusal.reason is Reason.SIMULATED
    assert (uplink.fields, uplink.payload, dict(uplink.health)) == (None, None, {})


def test_a_mac_only_uplink_is_health_alone() -> None:
    """Without f_port and payload the device only answered the network."""
    uplink = content({"f_port": ABSENT, "frm_payload": ABSENT, "decoded_payload": ABSENT})
    assert (uplink.fields, uplink.payload, uplink.refusal) == (None, None, None)
    assert uplink.health == up().health


def test_a_payload_that_stayed_encrypted_is_refused_and_its_radio_data_kept() -> None:
    """`skip_payload_crypto` is set; the key in the message shows it."""
    uplink = content({"app_s_key": {"key": "AQ=="}, "decoded_payload": ABSENT})
    assert uplink.refusal is not None
    assert uplink.refusal.reason is Reason.END_TO_END_ENCRYPTED
    assert uplink.payload is None
    assert uplink.health == up().health


@pytest.mark.parametrize("value", [ABSENT, None, {}, "up"])
def test_an_uplink_without_content_is_refused(value: Any) -> None:
    """Its frame counter would look like 0."""
    with pytest.raises(Refused) as error:
        up({"uplink_message": value})
    assert error.value.refusal.reason is Reason.BAD_FRAME


def test_a_join_begins_a_new_run_of_the_counter() -> None:
    """By the network server's clock, else by the application server's; a simulated one changes nothing."""
    topic, payload = vector("things_stack_join")
    joined = datetime(2026, 11, 20, 8, 0, 0, 736532, tzinfo=UTC)
    assert BRIDGE.unwrap(topic, payload) == Event(DEVICE, "join", joined)
    later = datetime(2026, 11, 20, 8, 0, 0, 935284, tzinfo=UTC)
    assert BRIDGE.unwrap(*vector("things_stack_join", {"join_accept": ABSENT})) == Event(DEVICE, "join", later)
    assert BRIDGE.unwrap(*vector("things_stack_join", {"simulated": True})) == Event(DEVICE, "join")
    assert BRIDGE.unwrap(topic, b"?") == Event(BY_TOPIC, "join")


@pytest.mark.parametrize(
    ("rest", "kind"),
    [
        ("up/normalized", "up_normalized"),
        ("down/queued", "down_queued"),
        ("down/invalidated", "down_invalidated"),
        ("down/push", "down_push"),
        ("location/solved", "location_solved"),
        ("service/data", "service_data"),
        ("aurora", "other"),
        ("up/more", "other"),
    ],
)
def test_other_topics_are_counted_by_name(rest: str, kind: str) -> None:
    """Among them the repetition of an uplink in normalized form, which would count twice."""
    assert BRIDGE.unwrap(TOPIC + rest, vector("things_stack_up")[1]) == Event(DEVICE, kind)
    assert BRIDGE.unwrap(TOPIC + rest, b"anything") == Event(BY_TOPIC, kind)


@pytest.mark.parametrize(
    "topic", ["v3/", "v3/a/devices/b", "v3/a/devices/b/", "v3/a/gateways/b/up", "v3//devices/b/up"]
)
def test_a_wrong_topic_is_refused(topic: str) -> None:
    """With the form that is expected."""
    with pytest.raises(Refused) as error:
        BRIDGE.unwrap(topic, b"{}")
    assert error.value.refusal.reason is Reason.WRONG_TOPIC
    assert BRIDGE.sender(topic).network == NETWORK


@pytest.mark.parametrize(
    "changes",
    [
        {"end_device_ids.device_id": "via-papi-4"},
        {"end_device_ids.application_ids.application_id": "lamps"},
    ],
)
def test_the_message_must_not_name_another_device_than_its_topic(changes: dict[str, Any]) -> None:
    """A broker's rules are about topics: nobody speaks for a device whose topic they may not use."""
    with pytest.raises(Refused) as error:
        up(changes)
    assert error.value.refusal.reason is Reason.ADDRESS_MISMATCH


@pytest.mark.parametrize("value", [ABSENT, None, "", "none", 7])
def test_a_device_without_dev_eui_has_the_address_of_its_topic(value: Any) -> None:
    """Devices that never join (ABP) need none."""
    assert up({"end_device_ids.dev_eui": value}).sender == BY_TOPIC


def test_the_open_source_edition_has_no_tenants() -> None:
    """Its topics name the application alone."""
    topic, payload = vector("things_stack_up", {"end_device_ids.dev_eui": ABSENT})
    assert BRIDGE.unwrap(topic.replace("@comune", ""), payload).sender == BY_TOPIC


def test_what_the_network_calls_a_device_is_its_label() -> None:
    """Ids, brand and model, and the device's attributes."""
    label = Label("via-papi-3", "parking", "bosch tps110-eu", {"site": "corvetto"})
    assert BRIDGE.label(vector("things_stack_up")[1]) == label
    assert BRIDGE.label(b"?") == Label()
