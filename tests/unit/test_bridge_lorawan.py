"""What both network servers' messages have in common: devEUI, clocks, gateways, frames."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from usp.ingest.bridges import lorawan
from usp.ingest.refusal import Refused
from usp.models.reasons import Reason

NINE = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)


def seconds(number: float) -> datetime:
    """A moment so long after nine o'clock."""
    return NINE + timedelta(seconds=number)


@pytest.mark.parametrize(
    "text",
    [
        "70b3d5e75e0000a1",
        "70B3D5E75E0000A1",
        "70-B3-D5-E7-5E-00-00-A1",
        "70:b3:d5:e7:5e:00:00:a1",
        "70 B3 D5 E7 5E 00 00 A1",
        " 70b3d5e75e0000a1\n",
    ],
)
def test_a_dev_eui_may_be_written_as_it_is_printed(text: str) -> None:
    """Case and separators do not matter: the device is the same."""
    assert lorawan.dev_eui(text) == "70b3d5e75e0000a1"


@pytest.mark.parametrize(
    "text", ["", "70b3d5e75e0000a", "70b3d5e75e0000a12", "70b3d5e75e0000g1", "\uff170b3d5e75e0000a1"]
)
def test_what_is_no_dev_eui_is_not_taken_for_one(text: str) -> None:
    """A devEUI has 16 hexadecimal digits."""
    assert lorawan.dev_eui(text) is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-11-20T09:00:00.123456789Z", seconds(0.123456)),
        ("2026-11-20T09:00:00.999999999+00:00", seconds(0.999999)),
        ("2026-11-20T10:00:00+01:00", NINE),
        ("2026-11-20T09:00:00", None),
        ("yesterday", None),
        ("0001-01-01T00:00:00+14:00", None),
        (None, None),
        (1795165200, None),
    ],
)
def test_nanoseconds_are_cut_off(text: Any, expected: datetime | None) -> None:
    """The same nine digits are always the same microsecond, so a repeated uplink is the same row."""
    assert lorawan.timestamp(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # 2022-07-18T09:34:15Z, with the 18 leap seconds between GPS time and UTC.
        ("1342172073.775023242s", datetime(2022, 7, 18, 9, 34, 15, 775023, tzinfo=UTC)),
        ("1342172073s", datetime(2022, 7, 18, 9, 34, 15, tzinfo=UTC)),
        ("1342172073", None),
        ("-5s", None),
        ("99999999999s", None),
        (1342172073, None),
    ],
)
def test_gps_time_is_told_in_utc(text: Any, expected: datetime | None) -> None:
    """GPS counts seconds since 1980 and knows no leap seconds."""
    assert lorawan.gps_timestamp(text) == expected


@pytest.mark.parametrize(
    ("clocks", "server", "expected"),
    [
        ([], 0, None),
        ([-0.2, -0.3], 0, -0.3),
        ([-0.3, -0.2], 0, -0.3),
        # Hours without a connection: the gateway sends later what it heard.
        ([-6 * 3600], 0, -6 * 3600),
        # A roll-over of the week counter (1,024 weeks), and a clock that runs ahead.
        ([-619315200], 0, None),
        ([-619315200, -0.2], 0, -0.2),
        ([3600], 0, None),
        # Three hours off, beside one that agrees with the server.
        ([-10800, -0.1], 0, -0.1),
        ([-10800, -0.1], None, -0.1),
    ],
)
def test_a_gateway_clock_that_cannot_be_right_is_left_out(
    clocks: list[float], server: float | None, expected: float | None
) -> None:
    """The earliest of the clocks that agree, so that the order of the gateways does not matter."""
    found = lorawan.gateway_time([seconds(c) for c in clocks], None if server is None else seconds(server))
    assert found == (None if expected is None else seconds(expected))


def test_both_radio_values_are_those_of_one_gateway() -> None:
    """The gateway with the highest snr; of two equal ones, the one with the stronger signal."""
    heard: list[dict[str, Any]] = [
        {"rssi": -36, "snr": 4.5},
        {"rssi": -90, "snr": 10.5},
        {"rssi": -71, "snr": 10.5},
        {"rssi": "?", "snr": 99},
    ]
    assert lorawan.radio(heard, has_snr=True) == {"rssi": -71.0, "snr": 10.5}
    assert lorawan.radio(heard, has_snr=False) == {"rssi": -36.0}
    assert lorawan.radio([], has_snr=True) == {}
    assert lorawan.radio([{}], has_snr=True) == {"rssi": 0.0, "snr": 0.0}


def test_damaged_receptions_count_for_nothing() -> None:
    """A gateway that received the frame with a wrong checksum says nothing about it."""
    heard: list[Any] = [{"rssi": -20, "snr": 12, "crcStatus": "BAD_CRC"}, None, {"rssi": -80, "snr": 2}]
    assert lorawan.receptions(heard) == [{"rssi": -80, "snr": 2}]
    assert lorawan.receptions("many") == []


@pytest.mark.parametrize(("value", "expected"), [(None, 0), (0, 0), (7, 7), (2**32 - 1, 2**32 - 1)])
def test_a_frame_counter_that_was_left_out_is_zero(value: Any, expected: float) -> None:
    """Both servers leave out zeros; the first frame after a join has number 0."""
    assert lorawan.frame_counter(value) == expected


@pytest.mark.parametrize("value", [-1, 2**32, True, 1.5, "7", [], {}])
def test_what_is_no_frame_counter_is_not_stored(value: Any) -> None:
    """A counter is a whole number of 32 bits."""
    assert lorawan.frame_counter(value) is None


@pytest.mark.parametrize(
    ("port", "data", "fields"),
    [
        (None, None, None),
        (None, "", {}),
        (0, "", None),
        # MAC commands are not the application's.
        (0, "AgMH", None),
        # A codec that was run on no bytes at all.
        (0, "", {"temperature": 0}),
        (None, None, {"temperature": 0}),
        # A relay's own frames (TS011).
        (226, "", None),
    ],
)
def test_a_frame_without_a_message_says_nothing(port: Any, data: Any, fields: Any) -> None:
    """Such a frame tells that the device is there, and no reading."""
    assert lorawan.frame(port, data, fields, encrypted=False) == lorawan.Frame()
    assert lorawan.frame(port, data, None, encrypted=True) == lorawan.Frame()


@pytest.mark.parametrize(
    ("port", "data", "fields", "expected"),
    [
        (1, "AQ==", None, lorawan.Frame(None, b"\x01", 1)),
        (1, "AQ==", {}, lorawan.Frame(None, b"\x01", 1)),
        (1, "AQ==", "on", lorawan.Frame(None, b"\x01", 1)),
        (1, "AQ==", {"occupied": True}, lorawan.Frame({"occupied": True}, None, 1)),
        # The Things Stack's documentation has such a message: decoded, and without f_port.
        (None, "gkHe", {"luminosity": 0.64}, lorawan.Frame({"luminosity": 0.64}, None, 0)),
        ("one", "AQ==", {"occupied": True}, lorawan.Frame({"occupied": True}, None, None)),
        # The press of a button may be a frame without a payload.
        (5, "", None, lorawan.Frame(None, b"", 5)),
        (5, None, None, lorawan.Frame(None, b"", 5)),
    ],
)
def test_what_the_network_server_decoded_goes_before_the_bytes(
    port: Any, data: Any, fields: Any, expected: lorawan.Frame
) -> None:
    """Fields where there are some, else the bytes for a codec."""
    assert lorawan.frame(port, data, fields, encrypted=False) == expected


@pytest.mark.parametrize(
    ("port", "data"), [(1, "AQ"), (1, "not base64!"), (1, "AQ==AQ=="), (1, "é"), (1, 5), (1, ["AQ=="]), (256, "AQ==")]
)
def test_a_broken_frame_is_refused(port: Any, data: Any) -> None:
    """Half a payload would decode to something that was never measured."""
    refusal = lorawan.frame(port, data, None, encrypted=False).refusal
    assert refusal is not None
    assert refusal.reason is Reason.BAD_FRAME


@pytest.mark.parametrize(
    ("payload", "reason", "words"),
    [
        (b"", Reason.NOT_JSON, ""),
        (b"\n$3ac7e3c4-4401-4b8d-9386-a5c902f9202d\x12\x0c", Reason.NOT_JSON, "json=true"),
        (b'\n{"time": }', Reason.NOT_JSON, "unexpected"),
        (b"[" * 5000, Reason.NOT_JSON, ""),
        (b"[1]", Reason.NOT_AN_OBJECT, "array of 1"),
    ],
)
def test_what_is_no_message_is_refused_with_what_it_is(payload: bytes, reason: Reason, words: str) -> None:
    """Whoever runs the network server learns what to set."""
    with pytest.raises(Refused) as error:
        lorawan.decoded(payload)
    assert error.value.refusal.reason is reason
    assert words in error.value.refusal.detail


def test_names_and_tags_are_kept_within_bounds() -> None:
    """A label is for people; the database knows no NUL in a text."""
    assert lorawan.text("a\0b" + 300 * "c") == "ab" + 197 * "c"
    assert lorawan.text(7) == ""
    assert lorawan.tags({"site": "lodi", "floor": 3, "": "x"}) == {"site": "lodi"}
    assert len(lorawan.tags({str(n): "x" for n in range(1000)})) == 50
    assert lorawan.tags(["site"]) == {}
