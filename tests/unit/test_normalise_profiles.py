"""What a profile adds to normalising: paths, sentinels, numbers as text, clocks, parts."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from usp.ingest.normalise import Normalised, Normaliser
from usp.ingest.parts import MAX_PARTS
from usp.ingest.refusal import Refused
from usp.models.dataset import RowFlag
from usp.models.datasets import DATASETS
from usp.models.profile import DeviceProfile
from usp.models.reasons import Reason
from usp.models.units import EXAMPLES, unit_conversion

ARRIVAL = datetime(2026, 11, 20, 9, 0, 30, tzinfo=UTC)
SENT = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)
NETWORK = (SENT + timedelta(seconds=20), RowFlag.TIME_NETWORK.value)


def compiled(kind: str = "lamppost", **profile: Any) -> Normaliser:
    """The normaliser of such a profile, as a YAML file would give it."""
    return Normaliser(DeviceProfile.model_validate({"name": "test", "title": "", "kind": kind, **profile}))


def normalise(item: dict[str, Any], kind: str = "lamppost", **profile: Any) -> Normalised:
    """An uplink's item, normalised."""
    return compiled(kind, **profile)(7, item, ARRIVAL, NETWORK)


def values(result: Normalised) -> dict[str, Any]:
    """The values of all rows, by property."""
    found: dict[str, Any] = {}
    for name, row in result.rows:
        dataset = DATASETS[name]
        sent = row[3 if dataset.interval else 2 : -4]
        found |= {p.name: v for p, v in zip(dataset.properties, sent, strict=True) if v is not None}
    return found


def time_and_flags(result: Normalised) -> tuple[datetime, int]:
    """Those of the first row."""
    row = result.rows[0][1]
    return row[0], row[-3]


def test_a_string_is_the_property() -> None:
    """The short form does for a field that is only called otherwise."""
    assert values(normalise({"pm25": 12.1}, fields={"pm25": "pm2_5"})) == {"pm2_5": 12.1}


@pytest.mark.parametrize("unit", EXAMPLES)
def test_every_unit_that_is_suggested_does(unit: str) -> None:
    """Whoever follows a mistake's hint makes no second one."""
    prop = next(p for dataset in DATASETS.values() for p in dataset.properties if p.unit == unit)
    for name in EXAMPLES[unit].partition(";")[0].split(", "):
        factor, _ = unit_conversion(name.partition(" (")[0], prop)
        assert factor > 0


def test_conversions_are_exact_to_the_last_digit_that_counts() -> None:
    """1 liter is 0.001 m³, and not 0.0010000000000000002."""
    fields = {"l": {"property": "water", "unit": "liter"}, "q": {"property": "reactive_power", "unit": "kvar"}}
    assert values(normalise({"l": 5, "q": 2.5}, "energy_meter", fields=fields)) == {
        "water": 0.005,
        "reactive_power": 2500,
    }


def test_a_path_leads_into_objects_and_arrays() -> None:
    """What lies beside it is shown under its own path; what no path leads to stays whole."""
    fields = {"air.pm25": "pm2_5", "lanes[1].count": "vehicles", "a.b[0][1].c": "no2"}
    item = {
        "air": {"pm25": 12.1, "pm4": 9.0},
        "lanes": [{"count": 3}, {"count": 5}],
        "a": {"b": [[{}, {"c": 31.0}]]},
        "x": {"y": {"z": 1}},
        "o3": 40.0,
    }
    result = normalise(item, fields=fields, interval=60)
    assert values(result) == {"pm2_5": 12.1, "vehicles": 5, "no2": 31.0, "o3": 40.0}
    assert result.unmapped == {"air.pm4": 9.0, "lanes[0]": {"count": 3}, "a.b[0][0]": {}, "x": {"y": {"z": 1}}}


def test_a_key_that_is_called_like_a_path_is_found_first() -> None:
    """Some devices send names with dots; the platform's own full names are such."""
    fields = {"air.pm25": "pm2_5", "lighting.energy": {"property": "lighting.energy", "scale": 0.1}}
    item = {"air": {"pm25": 2.0}, "air.pm25": 1.0, "lighting.energy": 50, "lighting.power": 40}
    assert values(normalise(item, fields=fields)) == {"pm2_5": 1.0, "energy": 5.0, "power": 40}


@pytest.mark.parametrize("air", [None, 5, "x", [], [1], {"pm25": {"deep": 1}}, {"pm25": None}, {"PM25": 1}])
def test_a_path_that_leads_nowhere_breaks_nothing(air: Any) -> None:
    """The rest of the item is stored."""
    assert values(normalise({"air": air, "no2": 31.0}, fields={"air.pm25": "pm2_5"})) == {"no2": 31.0}


def test_a_path_costs_what_it_is_long_and_not_what_is_sent() -> None:
    """However deep and wide a payload is, only what the profile leads to is entered."""
    deep: Any = 1
    for _ in range(10_000):
        deep = {"a": [deep]}
    result = normalise({"air": {"pm25": 1.0, "junk": deep}, "a": deep}, fields={"air.pm25": "pm2_5", "a.a": "no2"})
    assert values(result) == {"pm2_5": 1.0}
    assert [refusal.reason for refusal in result.refused] == [Reason.WRONG_TYPE]


def test_the_unit_beside_a_value_is_no_reading() -> None:
    """Vendors' codecs name it; the profile knows it already."""
    item = {"t": {"value": 9.5, "unit": "°C", "displayName": "Temperature", "status": 0}}
    result = normalise(item, fields={"t.value": "temperature"})
    assert (values(result), result.unmapped) == ({"temperature": 9.5}, {"t.status": 0})


@pytest.mark.parametrize("sent", [0xFFFF, 65535.0, -999, "n/a", True])
def test_a_sentinel_is_no_value_and_no_mistake(sent: Any) -> None:
    """It is left out without a word, in a field of its own or in all of them."""
    missing = [0xFFFF, -999, "n/a", True]
    own = normalise({"t": sent, "no2": 1.0}, fields={"t": {"property": "temperature", "missing": missing}})
    assert (values(own), own.refused) == ({"no2": 1.0}, [])
    every = normalise({"temperature": sent, "lit": sent, "no2": 1.0}, missing=missing)
    assert (values(every), every.refused) == ({"no2": 1.0}, [])


def test_a_sentinel_is_compared_as_it_is_sent() -> None:
    """Before it is scaled; and 1 is not true."""
    fields = {"t": {"property": "temperature", "missing": 0, "offset": 5}, "l": {"property": "lit", "missing": 1}}
    assert values(normalise({"t": -5, "l": True}, fields=fields)) == {"temperature": 0, "lit": True}


def test_what_is_no_number_is_still_refused_beside_sentinels() -> None:
    """A sentinel opens no door for other texts."""
    result = normalise({"no2": "warm"}, missing="n/a")
    assert [refusal.reason for refusal in result.refused] == [Reason.WRONG_TYPE]


@pytest.mark.parametrize(("sent", "read"), [("23.5", 23.5), (" -4 ", -4.0), ("+1e2", 100.0), (7, 7.0), ("5.", 5.0)])
def test_numbers_as_text_are_read_where_the_profile_says_so(sent: Any, read: float) -> None:
    """Vendors' codecs often round by making text of numbers."""
    assert values(normalise({"t": sent}, fields={"t": {"property": "no", "parse": True}})) == {"no": read}


@pytest.mark.parametrize("sent", ["", "nan", "inf", "1_0", "0x10", "23,5", "٣", "23.5 °C", True, [1], "9" * 400])
def test_other_texts_are_refused(sent: Any) -> None:
    """Only what JSON takes for a number is one."""
    result = normalise({"t": sent}, fields={"t": {"property": "no", "parse": True}})
    assert [refusal.reason for refusal in result.refused] == [Reason.WRONG_TYPE]


def test_a_number_as_text_is_refused_with_a_hint() -> None:
    """Whoever reads the rejection knows which key of the profile helps."""
    (refusal,) = normalise({"no2": "31"}).refused
    assert "parse: true" in refusal.detail
    (refusal,) = normalise({"no2": "many"}).refused
    assert "parse" not in refusal.detail


def test_a_sentinel_may_hide_in_text() -> None:
    """-999 is meant whether it comes as text or as a number."""
    fields = {"t": {"property": "temperature", "parse": True, "missing": -999}}
    assert normalise({"t": "-999.0"}, fields=fields) == ([], [], {})


def test_states_come_from_numbers_texts_and_booleans() -> None:
    """Keys are written as in YAML; ChirpStack sends every number as a real."""
    status = {"property": "status", "values": {0: "available", 1.0: "charging", "true": "faulted", "Idle": "finishing"}}
    for sent, meant in (
        (0, "available"),
        (1.0, "charging"),
        ("1", "charging"),
        (True, "faulted"),
        ("Idle", "finishing"),
    ):
        assert values(normalise({"s": sent}, "charging_point", fields={"s": status})) == {"status": meant}
    occupied = {"property": "occupied", "values": {0: False, 1: True}}
    assert values(normalise({"o": 1.0}, "parking_sensor", fields={"o": occupied})) == {"occupied": True}
    assert values(normalise({"o": 0}, "parking_sensor", fields={"o": occupied})) == {"occupied": False}
    (refusal,) = normalise({"o": 2}, "parking_sensor", fields={"o": occupied}).refused
    assert "'0', '1'" in refusal.detail


def test_an_uplink_has_the_networks_time() -> None:
    """What the payload calls `time` is not meant, unless the profile says so."""
    item = {"no2": 1.0, "time": "2026-11-20T09:00:00Z"}
    assert time_and_flags(normalise(item)) == NETWORK
    assert time_and_flags(normalise(item, time="time")) == (SENT, 0)


@pytest.mark.parametrize("ts", ["2026-11-20T10:00:00", 1795165200, 1795165200000.0])
def test_the_payloads_own_time_goes_before_the_networks(ts: Any) -> None:
    """As text, in the zone of the profile, or as epoch."""
    result = normalise({"h": {"ts": ts}, "no2": 1.0}, time="h.ts", zone="Europe/Rome")
    assert (time_and_flags(result), result.unmapped) == ((SENT, 0), {})


@pytest.mark.parametrize("ts", [None, "unset", 0, "1970-01-01T00:03:00Z", 315964800])
def test_a_clock_that_is_not_set_leaves_the_time_to_the_network(ts: Any) -> None:
    """It begins in 1970 or 1980, or says nothing."""
    assert time_and_flags(normalise({"ts": ts, "no2": 1.0}, time="ts", missing="unset")) == NETWORK


def test_a_wrong_time_in_the_payload_is_refused() -> None:
    """A clock that is ahead, or text that is no time, is somebody's to put right."""
    for ts, reason in (("soon", Reason.BAD_TIME), ("2026-11-20T12:00:00Z", Reason.TIME_IN_FUTURE)):
        with pytest.raises(Refused) as caught:
            normalise({"ts": ts, "no2": 1.0}, time="ts")
        assert caught.value.refusal.reason is reason
    with pytest.raises(Refused):
        compiled(time="ts")(7, {"ts": 0, "no2": 1.0}, ARRIVAL)


def test_without_a_network_the_profiles_field_or_the_items_time_counts() -> None:
    """A native item may carry its time under another name."""
    normaliser = compiled(time="ts")
    assert time_and_flags(normaliser(7, {"ts": "2026-11-20T09:00:00Z", "no2": 1.0}, ARRIVAL)) == (SENT, 0)
    assert time_and_flags(normaliser(7, {"time": "2026-11-20T09:00:00Z", "no2": 1.0}, ARRIVAL)) == (SENT, 0)
    assert time_and_flags(normaliser(7, {"no2": 1.0}, ARRIVAL)) == (ARRIVAL, RowFlag.TIME_ARRIVAL)


def split(item: dict[str, Any], *children: dict[str, str]) -> tuple[dict[str, Any], list[tuple[str, dict[str, Any]]]]:
    """An item and its parts."""
    normaliser = compiled(children=list(children))
    assert normaliser.has_children
    return normaliser.split(item)


@pytest.mark.parametrize(
    ("rule", "parts", "rest"),
    [
        (
            {"path": "lanes[*]", "name": "lane-{index}"},
            [("lane-1", {"id": "A 1", "n": 3}), ("lane-2", {"n": 5})],
            set(),
        ),
        ({"path": "lanes[*]", "name": "{id}"}, [("a-1", {"n": 3})], {"lanes[1]"}),
        ({"path": "lanes[0]", "name": "first"}, [("first", {"id": "A 1", "n": 3})], {"lanes"}),
        ({"path": "flats.*", "name": "flat-{key}"}, [("flat-1a", {"kwh": 7}), ("flat-2", {"value": 9})], set()),
        ({"path": "hall.meter", "name": "hall"}, [("hall", {"kwh": 1})], {"hall"}),
        ({"path": "counts[*]", "name": "{index}"}, [("1", {"value": 4}), ("3", {"value": 6})], set()),
        ({"prefix": "ch1_", "name": "1"}, [("1", {"n": 8})], {"ch02_n", "ch_n"}),
        ({"prefix": "ch{index}_", "name": "{index}"}, [("1", {"n": 8}), ("2", {"n": 9})], {"ch_n"}),
        ({"path": "nowhere[*]", "name": "{index}"}, [], set()),
        ({"path": "flats[*]", "name": "{index}"}, [], {"flats"}),
        ({"path": "temperature", "name": "t"}, [("t", {"value": 9.5})], set()),
    ],
)
def test_parts_are_items_of_their_own(
    rule: dict[str, str], parts: list[tuple[str, dict[str, Any]]], rest: set[str]
) -> None:
    """Elements of arrays and objects, single objects, fields that begin alike; what has no name stays."""
    item = {
        "temperature": 9.5,
        "lanes": [{"id": "A 1", "n": 3}, {"n": 5}],
        "flats": {"1A": {"kwh": 7}, "2": 9},
        "hall": {"meter": {"kwh": 1}, "lit": True},
        "counts": [4, None, 6],
        "ch1_n": 8,
        "ch02_n": 9,
        "ch_n": 0,
    }
    before = repr(item)
    left, found = split(item, rule)
    assert found == parts
    assert rest <= set(left)
    root = rule.get("path", "").split("[")[0].split(".")[0]
    assert (root in left) == (root in rest)
    assert repr(item) == before


def test_parts_measure_when_the_whole_does() -> None:
    """Its time and period hold for them, where they have none of their own."""
    item = {"time": "t", "period": 60, "lanes": [{"n": 1}, {"n": 2, "time": "u"}]}
    _, parts = split(item, {"path": "lanes[*]", "name": "{index}"})
    assert parts == [("1", {"n": 1, "time": "t", "period": 60}), ("2", {"n": 2, "time": "u", "period": 60})]
    normaliser = compiled(time="ts", children=[{"path": "lanes[*]", "name": "{index}"}])
    assert normaliser.measured({"ts": "2026-11-20T09:00:00Z"}, ARRIVAL, NETWORK) == (SENT, 0)
    assert normaliser.measured({}, ARRIVAL, NETWORK) == NETWORK


def test_too_many_parts_are_refused() -> None:
    """A part is worth an item, and a message may have so many of them."""
    split({"lanes": [1] * MAX_PARTS}, {"path": "lanes[*]", "name": "{index}"})
    with pytest.raises(Refused) as caught:
        split({"lanes": [1] * (MAX_PARTS + 1)}, {"path": "lanes[*]", "name": "{index}"})
    assert caught.value.refusal.reason is Reason.TOO_LARGE
