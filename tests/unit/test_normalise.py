"""The normaliser: what becomes of each field, time and unit, and why something is refused."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from usp.ingest.normalise import Normalised, Normaliser
from usp.ingest.refusal import Refused
from usp.ingest.statements import DatasetStatements
from usp.models.dataset import RowFlag
from usp.models.datasets import DATASETS
from usp.models.profile import DeviceProfile, FieldMap, TimestampSide
from usp.models.reasons import Reason

ARRIVAL = datetime(2026, 11, 20, 9, 0, 30, tzinfo=UTC)
SENT = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)
TIME = "2026-11-20T09:00:00Z"
DEVICE = 7


def normalise(item: dict[str, Any], kind: str = "lamppost", **profile: Any) -> Normalised:
    """Normalise one item of a device with such a profile."""
    compiled = Normaliser(DeviceProfile(name="test", title="", kind=kind, **profile))
    return compiled(DEVICE, item, ARRIVAL)


def rows_of(result: Normalised) -> list[tuple[str, dict[str, Any]]]:
    """The rows by their columns, without those that are empty."""
    shown = []
    for dataset, row in result.rows:
        columns = DatasetStatements(DATASETS[dataset]).columns
        named = dict(zip(columns, row[:-1], strict=True))
        present = {name for name, bit in DATASETS[dataset].bit.items() if row[-1] & bit}
        assert present == {name for name in DATASETS[dataset].by_name if named[name] is not None}
        shown.append((dataset, {name: value for name, value in named.items() if value is not None}))
    return shown


def only_row(result: Normalised) -> dict[str, Any]:
    """The single row, where there is one."""
    ((_, row),) = rows_of(result)
    return row


def refused_item(item: dict[str, Any], **profile: Any) -> Reason:
    """Why a whole item is refused."""
    with pytest.raises(Refused) as caught:
        normalise(item, **profile)
    assert caught.value.refusal.detail
    return caught.value.refusal.reason


def test_an_item_becomes_a_row_of_each_dataset_it_speaks_of() -> None:
    """Every field goes to its own dataset, under its plain or its full name."""
    result = normalise({"time": TIME, "no2": 31.0, "lit": True, "wifi.rx_bytes": 5, "lighting.power": 40})
    standard = {"time": SENT, "device": DEVICE, "flagged": 0, "flags": 0, "received_at": ARRIVAL}
    assert rows_of(result) == [
        ("air_quality", standard | {"no2": 31.0}),
        ("lighting", standard | {"lit": True, "power": 40}),
        ("wifi", standard | {"rx_bytes": 5}),
    ]
    assert (result.refused, result.unmapped) == ([], {})


@pytest.mark.parametrize(
    ("sent", "meant"),
    [
        ("2026-11-20T09:00:00Z", SENT),
        ("2026-11-20t09:00:00z", SENT),
        ("2026-11-20T10:00:00+01:00", SENT),
        ("2026-11-20T09:00:00.123456Z", SENT + timedelta(microseconds=123456)),
        ("2016-12-31T23:59:60Z", datetime(2017, 1, 1, tzinfo=UTC)),
        ("2016-12-31t23:59:60.5z", datetime(2017, 1, 1, 0, 0, 0, 500000, tzinfo=UTC)),
        (1795165200, SENT),
        (1795165200.25, SENT + timedelta(milliseconds=250)),
        (1795165200000, SENT),
        (1795165200250.0, SENT + timedelta(milliseconds=250)),
        ("2000-01-01T00:00:00Z", datetime(2000, 1, 1, tzinfo=UTC)),
        (946684800, datetime(2000, 1, 1, tzinfo=UTC)),
    ],
)
def test_a_time_is_text_with_an_offset_or_counts_from_1970(sent: Any, meant: datetime) -> None:
    """RFC 3339, and seconds or, from 10^11 on, milliseconds since 1970."""
    row = only_row(normalise({"time": sent, "no2": 1.0}))
    assert row["time"] == meant
    assert row["time"].tzinfo is UTC


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        ("yesterday", Reason.BAD_TIME),
        ("", Reason.BAD_TIME),
        ("2026-02-30T00:00:00Z", Reason.BAD_TIME),
        ("2026-11-20T09:00:00+25:00", Reason.BAD_TIME),
        ("0001-01-01T00:00:00+14:00", Reason.BAD_TIME),
        ("9999-12-31T23:59:60Z", Reason.BAD_TIME),
        (True, Reason.BAD_TIME),
        ([], Reason.BAD_TIME),
        ({"seconds": 1}, Reason.BAD_TIME),
        (1e300, Reason.BAD_TIME),
        (-(10**18), Reason.BAD_TIME),
        ("2026-11-20T09:00:00", Reason.TIME_WITHOUT_OFFSET),
        ("2026-11-20", Reason.TIME_WITHOUT_OFFSET),
        ("2026-11-20T09:05:31Z", Reason.TIME_IN_FUTURE),
        (4e12, Reason.TIME_IN_FUTURE),
        ("1999-12-31T23:59:59Z", Reason.TOO_OLD),
        (0, Reason.TOO_OLD),
        (-1, Reason.TOO_OLD),
    ],
)
def test_an_item_with_an_impossible_time_is_refused(sent: Any, reason: Reason) -> None:
    """Whatever stands under `time`, the item is refused with a reason and nothing breaks."""
    assert refused_item({"time": sent, "no2": 1.0}) is reason


def test_a_time_ahead_by_up_to_five_minutes_is_taken() -> None:
    """Clocks differ; five minutes are forgiven."""
    assert only_row(normalise({"time": "2026-11-20T09:05:30Z", "no2": 1.0}))["flags"] == 0


def test_a_time_without_an_offset_is_read_in_the_zone_of_the_profile() -> None:
    """In Rome it is an hour later in winter, and two in summer."""
    winter = normalise({"time": "2026-11-20T09:30:00", "no2": 1.0}, zone="Europe/Rome")
    summer = normalise({"time": "2026-07-20T09:30:00", "no2": 1.0}, zone="Europe/Rome")
    assert only_row(winter)["time"] == datetime(2026, 11, 20, 8, 30, tzinfo=UTC)
    assert only_row(summer)["time"] == datetime(2026, 7, 20, 7, 30, tzinfo=UTC)
    assert refused_item({"time": "0001-01-01T00:00:00", "no2": 1.0}, zone="Europe/Rome") is Reason.BAD_TIME


@pytest.mark.parametrize("item", [{"no2": 1.0}, {"time": None, "no2": 1.0}])
def test_without_a_time_that_of_the_arrival_is_taken_and_flagged(item: dict[str, Any]) -> None:
    """The reading is kept, and says that its time is the platform's."""
    row = only_row(normalise(item))
    assert (row["time"], row["flags"]) == (ARRIVAL, RowFlag.TIME_ARRIVAL)


def test_a_reading_that_comes_after_more_than_an_hour_is_flagged_late() -> None:
    """An hour sharp is not late yet."""
    assert only_row(normalise({"time": "2026-11-20T08:00:30Z", "no2": 1.0}))["flags"] == 0
    assert only_row(normalise({"time": "2026-11-20T08:00:29Z", "no2": 1.0}))["flags"] == RowFlag.LATE


def test_an_interval_stands_at_its_start() -> None:
    """A device stamps the end of its interval, where its profile does not say otherwise."""
    row = only_row(normalise({"time": TIME, "laeq": 61.5}, interval=300))
    assert (row["time"], row["period"]) == (SENT - timedelta(seconds=300), 300.0)
    row = only_row(normalise({"time": TIME, "laeq": 61.5}, interval=300, timestamp=TimestampSide.START))
    assert (row["time"], row["period"]) == (SENT, 300.0)
    row = only_row(normalise({"time": TIME, "laeq": 61.5, "period": 0.5}, interval=300))
    assert (row["time"], row["period"]) == (SENT - timedelta(seconds=0.5), 0.5)


def test_an_interval_that_began_before_the_checks_allow_is_judged_by_the_time_sent() -> None:
    """The future and the past are measured at the time as it was sent."""
    row = only_row(normalise({"time": "2000-01-01T00:00:00Z", "laeq": 61.5}, interval=60))
    assert row["time"] == datetime(1999, 12, 31, 23, 59, tzinfo=UTC)


def test_rain_stands_at_the_start_of_its_interval_and_the_weather_at_its_own_time() -> None:
    """What fell during an interval belongs to its start; it has a row of its own there."""
    result = normalise({"time": TIME, "temperature": 9.5, "rainfall": 0.4}, interval=60)
    (_, weather), (_, rain) = rows_of(result)
    assert (weather["time"], weather["temperature"]) == (SENT, 9.5)
    assert (rain["time"], rain["rainfall"]) == (SENT - timedelta(seconds=60), 0.4)
    assert "rainfall" not in weather
    assert "temperature" not in rain


def test_a_value_of_an_interval_of_unknown_length_is_refused_beside_the_others() -> None:
    """Neither the item nor the profile tells how long it was measured."""
    result = normalise({"time": TIME, "laeq": 61.5, "rainfall": 0.4, "no2": 31.0})
    assert [dataset for dataset, _ in result.rows] == ["air_quality"]
    assert {(r.reason, r.dataset) for r in result.refused} == {
        (Reason.NO_INTERVAL, "noise"),
        (Reason.NO_INTERVAL, "weather"),
    }


@pytest.mark.parametrize("period", [0, -1, 86401, "60", True, [60]])
def test_an_impossible_period_is_refused(period: Any) -> None:
    """A period is a number of seconds above 0 and up to a day; what needs none is stored without it."""
    result = normalise({"time": TIME, "laeq": 61.5, "no2": 31.0, "period": period}, interval=60)
    assert [dataset for dataset, _ in result.rows] == ["air_quality"]
    assert [refusal.reason for refusal in result.refused] == [Reason.BAD_PERIOD]


def test_a_property_said_twice_in_one_item_keeps_the_first() -> None:
    """A property has two names; the second value is refused, and its flag does not reach the first."""
    result = normalise({"time": TIME, "no2": 31.0, "air_quality.no2": 5000.0})
    assert only_row(result)["no2"] == 31.0
    assert only_row(result)["flagged"] == 0
    assert [refusal.reason for refusal in result.refused] == [Reason.CONFLICTING_VALUE]


def test_a_value_outside_its_range_is_stored_and_flagged() -> None:
    """Bounds themselves are plausible; only the value beyond carries the flag."""
    bits = DATASETS["air_quality"].bit
    row = only_row(normalise({"time": TIME, "pm10": 1840.0, "no2": 1000, "no": 0, "co2": 249}))
    assert (row["pm10"], row["no2"], row["no"], row["co2"]) == (1840.0, 1000, 0, 249)
    assert row["flagged"] == bits["pm10"] | bits["co2"]


def test_a_few_people_are_bottom_coded_and_flagged() -> None:
    """Fewer than five clients are stored as none, and nothing tells how many they were."""
    bit = DATASETS["wifi"].bottom_bit["clients"]
    assert only_row(normalise({"time": TIME, "clients": 4}))["clients"] == 0
    assert only_row(normalise({"time": TIME, "clients": 4}))["flags"] == bit
    assert only_row(normalise({"time": TIME, "clients": 5}))["flags"] == 0
    negative = only_row(normalise({"time": TIME, "clients": -1}))
    assert (negative["clients"], negative["flagged"], negative["flags"]) == (0, 0, bit)


@pytest.mark.parametrize(
    ("kind", "item", "reason"),
    [
        ("lamppost", {"no2": "31"}, Reason.WRONG_TYPE),
        ("lamppost", {"no2": True}, Reason.WRONG_TYPE),
        ("lamppost", {"no2": [31]}, Reason.WRONG_TYPE),
        ("lamppost", {"lit": 1}, Reason.WRONG_TYPE),
        ("lamppost", {"lit": "true"}, Reason.WRONG_TYPE),
        ("charging_point", {"status": 3}, Reason.WRONG_TYPE),
        ("charging_point", {"status": "Charging"}, Reason.UNKNOWN_STATE),
        ("charging_point", {"status": "on fire"}, Reason.UNKNOWN_STATE),
        ("lamppost", {"no2": 3.5e38}, Reason.OVERFLOW),
        ("lamppost", {"no2": -3.5e38}, Reason.OVERFLOW),
    ],
)
def test_a_value_that_cannot_be_stored_is_refused_and_its_siblings_are_not(
    kind: str, item: dict[str, Any], reason: Reason
) -> None:
    """The refusal names the field; a battery level beside it is stored."""
    result = normalise({"time": TIME, **item, "battery": 80}, kind)
    assert [dataset for dataset, _ in result.rows] == ["device_health"]
    (refusal,) = result.refused
    assert (refusal.reason, refusal.field) == (reason, next(iter(item)))
    assert refusal.dataset in DATASETS
    assert refusal.detail


def test_a_refused_value_leaves_no_empty_row() -> None:
    """An item of which nothing can be stored becomes no row at all."""
    result = normalise({"time": TIME, "no2": 1e39})
    assert (result.rows, len(result.refused)) == ([], 1)


def test_a_register_may_be_larger_than_any_real() -> None:
    """Counters are stored in double precision."""
    assert only_row(normalise({"time": TIME, "rx_bytes": 10**18}))["rx_bytes"] == 10**18
    assert only_row(normalise({"time": TIME, "rx_bytes": 1e39}))["rx_bytes"] == 1e39


def test_no_value_is_nothing() -> None:
    """A field that is null is not a reading, and not a mistake."""
    assert normalise({"time": TIME, "no2": None, "lit": None}) == ([], [], {})


def test_unknown_fields_are_shown_and_not_refused() -> None:
    """They may become known when a profile learns them; `time` and `period` are not among them."""
    result = normalise({"time": TIME, "period": 60, "uptime": 5, "no2": 1.0, "temperature_2": None})
    assert result.unmapped == {"uptime": 5, "temperature_2": None}
    assert len(result.rows) == 1


def test_a_profile_brings_foreign_names_and_units_into_ours() -> None:
    """A scale and an offset correct first, the unit is converted then."""
    fields = {
        "T": FieldMap(property="temperature", unit="degF"),
        "P": FieldMap(property="pressure", unit="Pa", scale=10),
        "NO2_ugm3": FieldMap(property="no2", offset=-1.5),
    }
    row = dict(rows_of(normalise({"time": TIME, "T": 50, "P": 10132.5, "NO2_ugm3": 31}, fields=fields)))
    assert row["weather"]["temperature"] == pytest.approx(10.0)
    assert row["weather"]["pressure"] == pytest.approx(1013.25)
    assert row["air_quality"]["no2"] == 29.5


def test_what_cannot_be_converted_is_refused() -> None:
    """A conversion may meet a text, and may make a number too large."""
    fields = {"T": FieldMap(property="temperature", scale=1e300)}
    (text,) = normalise({"time": TIME, "T": "warm"}, fields=fields).refused
    (large,) = normalise({"time": TIME, "T": 1e200}, fields=fields).refused
    assert (text.reason, text.field) == (Reason.WRONG_TYPE, "T")
    assert (large.reason, large.field) == (Reason.OVERFLOW, "T")


def test_a_profile_translates_states() -> None:
    """What a device sends is looked up as JSON writes it; what is not listed has to be one of ours."""
    status = FieldMap(property="status", values={"2": "charging", "true": "faulted", "Idle": "available"})
    for sent, meant in ((2, "charging"), (True, "faulted"), ("Idle", "available"), ("preparing", "preparing")):
        row = only_row(normalise({"time": TIME, "s": sent}, "charging_point", fields={"s": status}))
        assert row["status"] == meant
    (refusal,) = normalise({"time": TIME, "s": 9}, "charging_point", fields={"s": status}).refused
    assert refusal.reason is Reason.WRONG_TYPE
    occupied = FieldMap(property="occupied", values={"1": True, "0": False})
    row = only_row(normalise({"time": TIME, "o": 0}, "parking_sensor", fields={"o": occupied}))
    assert row["occupied"] is False


def test_items_do_not_share_rows() -> None:
    """One compiled profile serves all devices; nothing of one item is seen in the next."""
    compiled = Normaliser(DeviceProfile(name="test", title="", kind="lamppost"))
    first = compiled(1, {"time": TIME, "no2": 5000.0, "clients": 1}, ARRIVAL)
    second = compiled(2, {"time": TIME, "o3": 1.0}, ARRIVAL)
    assert only_row(second) == {
        "time": SENT, "device": 2, "o3": 1.0, "flagged": 0, "flags": 0, "received_at": ARRIVAL,
    }  # fmt: skip
    assert dict(rows_of(first))["air_quality"]["no2"] == 5000.0
