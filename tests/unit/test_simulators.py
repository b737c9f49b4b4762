from collections import Counter, defaultdict
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from usp.models.dataset import Aggregation, ValueType
from usp.models.datasets import DATASETS
from usp.models.device import native_fields
from usp_simulators import Message, Simulation, district
from usp_simulators.message import DATASET_OF
from usp_simulators.simulate import select

DAY = 86400
#: Midnight UTC of a Wednesday.
WEDNESDAY = int(datetime(2026, 11, 18, tzinfo=UTC).timestamp())
SUNDAY = WEDNESDAY + 4 * DAY


@pytest.fixture(scope="module")
def milan() -> Simulation:
    """Return the whole district."""
    return Simulation(district())


@pytest.fixture(scope="module")
def days(milan: Simulation) -> list[Message]:
    """Return everything sent on two days."""
    return list(milan.messages(WEDNESDAY, WEDNESDAY + 2 * DAY))


moments = st.integers(
    int(datetime(2026, 2, 1, tzinfo=UTC).timestamp()), int(datetime(2027, 2, 1, tzinfo=UTC).timestamp())
)


@settings(max_examples=25, deadline=None)
@given(start=moments, first=st.integers(0, 9000), second=st.integers(0, 9000))
def test_a_restart_continues_where_it_stopped(start: int, first: int, second: int) -> None:
    """What is sent in two runs is what one run would have sent, wherever it was broken, and by another process too."""
    cut, end = start + first, start + first + second
    registry = district()
    some = select(registry, 12)
    whole = list(Simulation(registry, only=some).messages(start, end))
    fresh = Simulation(registry, only=some)
    assert [*fresh.messages(cut, end)] == [m for m in whole if m.at >= cut]
    assert [*fresh.messages(start, cut)] == [m for m in whole if m.at < cut]


@pytest.mark.parametrize(
    "around",
    [
        pytest.param(datetime(2026, 3, 29, 1, tzinfo=UTC), id="23 hours"),
        pytest.param(datetime(2026, 10, 25, 1, tzinfo=UTC), id="25 hours"),
        pytest.param(datetime(2026, 12, 31, 23, tzinfo=UTC), id="new year"),
        pytest.param(datetime(2026, 7, 1, 2, tzinfo=UTC), id="the registers' epoch"),
    ],
)
def test_registers_never_fall_and_time_has_no_holes(milan: Simulation, around: datetime) -> None:
    """Over clock changes and year ends too, a day's registers begin where the last ended."""
    middle = int(around.timestamp())
    standing: dict[tuple[str, str], float] = {}
    times = defaultdict(list)
    for message in milan.messages(middle - 12 * 3600, middle + 12 * 3600):
        times[message.device].append(message.at)
        for row in message.rows:
            for name, value in row.values.items():
                if DATASETS[row.dataset].by_name[name].aggregation is Aggregation.COUNTER:
                    key = message.device, f"{row.dataset}.{name}"
                    assert value >= standing.get(key, 0.0), (key, message.time)
                    standing[key] = value
    for device, at in times.items():
        gaps = {b - a for a, b in pairwise(at)}
        assert min(gaps) > 0, device
        assert gaps == {60} if device.startswith("lamp") else max(gaps) <= 1800, device
    assert standing


def test_messages_come_in_order_of_time_one_of_a_device_at_a_time(days: list[Message]) -> None:
    """The key of a row is device and time, so no two messages of a device share a time."""
    assert all(a.at <= b.at for a, b in pairwise(days))
    assert max(Counter((m.device, m.at) for m in days).values()) == 1


def test_two_days_fit_into_a_demonstrations_start(days: list[Message]) -> None:
    """Yesterday and today are few enough to be sent within seconds."""
    assert 100_000 < len(days) < 160_000


def test_each_kind_is_heard_of_within_half_a_minute(days: list[Message]) -> None:
    """A demonstration shows life everywhere at once."""
    for kind in DATASET_OF:
        at = [m.at for m in days if m.kind == kind]
        assert max(b - a for a, b in pairwise(at)) <= 30, kind


def test_another_seed_makes_another_city(days: list[Message]) -> None:
    """The seed is what the numbers hang on."""
    other = list(Simulation(district(), seed=2).messages(WEDNESDAY, WEDNESDAY + 600))
    assert other != days[: len(other)]


def test_a_device_sends_the_same_whether_others_speak_or_not(days: list[Message]) -> None:
    """Choosing devices silences the others, no more."""
    name = "cp-lodi-1"
    alone = list(Simulation(district(), only=[name]).messages(WEDNESDAY, WEDNESDAY + DAY))
    assert alone == [m for m in days if m.device == name and m.at < WEDNESDAY + DAY]


def test_every_value_fits_the_vocabulary(days: list[Message]) -> None:
    """Fields are those of the native door, values within what is plausible and of the right type."""
    for message in days[::7]:
        fields = native_fields(message.kind)
        for name, value in message.payload.items():
            if name == "time":
                continue
            dataset, prop = fields[name]
            assert (name if "." in name else f"{DATASET_OF[message.kind][name]}.{name}") == f"{dataset}.{prop.name}"
            if prop.states:
                assert value in prop.states
            elif prop.type is ValueType.BOOLEAN:
                assert isinstance(value, bool)
            else:
                low = prop.low if prop.low is not None else 0
                assert low <= value <= (prop.high or float("inf")), (message.device, name, value)


def test_rows_are_where_the_contract_puts_them(milan: Simulation) -> None:
    """Intervals and rain go to the interval's start, few Wi-Fi clients become none."""
    messages = milan.messages(WEDNESDAY + 2 * 3600, WEDNESDAY + 3 * 3600)
    lamps = [m for m in messages if m.payload.get("wifi.clients", 9) in range(1, 5) and "vehicles" in m.payload]
    message = lamps[0]
    rows = {(row.dataset, row.time): row for row in message.rows}
    start = message.time - timedelta(seconds=60)
    assert rows["noise", start].period == rows["traffic", start].period == 60
    assert rows["noise", start].values["laeq"] == message.payload["laeq"]
    assert rows["weather", start].values == {"rainfall": message.payload["rainfall"]}
    assert rows["weather", message.time].period is None
    assert rows["wifi", message.time].values["clients"] == 0
    assert rows["lighting", message.time].values["power"] == message.payload["lighting.power"]


def test_a_lampposts_values_agree_with_each_other(days: list[Message]) -> None:
    """Fine dust is part of coarse dust, loud levels are above quiet ones, classes add up, no speed without vehicles."""
    for p in (m.payload for m in days if m.kind == "lamppost"):
        assert p["pm1"] <= p["pm2_5"] <= p["pm10"]
        assert p["lafmin"] <= p["la90"] <= p["la50"] <= p["la10"] <= p["lafmax"]
        assert p["la50"] <= p["laeq"] <= p["lafmax"]
        assert p["lit"] == (p["dimming"] > 0) == (p["lighting.power"] > 10)
        if "vehicles" in p:
            assert p["vehicles"] == p["cars"] + p["heavy"] + p["motorcycles"]
            assert min(p["cars"], p["heavy"], p["motorcycles"]) >= 0
            assert ("speed" in p) == (p["vehicles"] > 0)


def integral(values: list[tuple[int, float]]) -> float:
    """Return the kWh under watts over seconds, drawn in straight lines."""
    return sum((a + b) / 2 * (y - x) for (x, a), (y, b) in pairwise(values)) / 3.6e6


@pytest.mark.parametrize(
    ("device", "power", "register", "sign"),
    [
        ("lamp-viale-umbria-1", "lighting.power", "lighting.energy", 1),
        ("meter-tito-livio-common", "active_power", "energy_import", 1),
        ("meter-tito-livio-pv", "active_power", "energy_export", -1),
        ("meter-fiamma-main", "active_power", "energy_import", 1),
        ("meter-fiamma-flat-1", "active_power", "energy_import", 1),
        ("cp-lodi-1", "power", "energy", 1),
        ("cp-porta-romana-4", "power", "energy", 1),
    ],
)
def test_energy_is_the_integral_of_power(
    days: list[Message], device: str, power: str, register: str, sign: int
) -> None:
    """A register grows by what its power amounts to."""
    sent = [m for m in days if m.device == device]
    used = sent[-1].payload[register] - sent[0].payload[register]
    watts = [(m.at, max(0.0, sign * m.payload[power])) for m in sent]
    assert used > 0
    # Power is sampled once a minute at best, so a switch in between is seen late.
    assert integral(watts) == pytest.approx(used, rel=0.03)


def test_a_building_takes_from_the_grid_what_it_uses_and_does_not_make(milan: Simulation) -> None:
    """At every moment main = dwellings + common + roof, and import less export follows."""
    noon = int(datetime(2026, 7, 14, 10, tzinfo=UTC).timestamp())
    names = [f"meter-benaco-{what}" for what in ("main", "common", "pv")]
    messages = [m for m in milan.messages(noon, noon + 7200) if m.device in names]
    by_time: dict[int, dict[str, Any]] = defaultdict(dict)
    for message in messages:
        by_time[message.at][message.device] = message.payload
    together = [by_time[at] for at in sorted(by_time) if len(by_time[at]) == 3]
    assert len(together) == 24
    for sent in together:
        main, common, roof = (sent[name]["active_power"] for name in names)
        assert roof < 0 < common
        assert main - common - roof > 5000
    first, last = together[0], together[-1]

    def net(name: str) -> float:
        grown: dict[str, float] = {r: last[name][r] - first[name][r] for r in ("energy_import", "energy_export")}
        return grown["energy_import"] - grown["energy_export"]

    dwellings = net(names[0]) - net(names[1]) - net(names[2])
    assert dwellings > 10


def test_charging_goes_through_its_states(milan: Simulation) -> None:
    """A cable is plugged before it charges, and pulled before the point is free; energy flows only in between."""
    follows = {
        "available": {"preparing", "reserved", "faulted"},
        "reserved": {"preparing"},
        "preparing": {"charging"},
        "charging": {"suspended", "finishing"},
        "suspended": {"finishing"},
        "finishing": {"available"},
        "faulted": {"available"},
    }
    points = [d for d in district() if d.kind == "charging_point"]
    last: dict[str, Message] = {}
    seen = Counter[str]()
    for message in Simulation(points).messages(WEDNESDAY, WEDNESDAY + 3 * DAY):
        before, status = last.get(message.device), message.payload["status"]
        seen[status] += 1
        if before is not None and before.payload["status"] != status:
            assert status in follows[before.payload["status"]], (message.device, message.time)
        assert (message.payload["power"] > 0) == (status == "charging")
        if before is not None and before.payload["status"] not in {"charging", "preparing"}:
            assert message.payload["energy"] == before.payload["energy"]
        last[message.device] = message
    assert set(follows) <= set(seen)


def test_a_working_day_is_not_a_sunday(milan: Simulation) -> None:
    """Less traffic on Sunday, and none of Monday's rush at eight."""

    def vehicles(day: int, hour: int) -> int:
        start = day + (hour - 1) * 3600
        return sum(m.payload.get("vehicles", 0) for m in milan.messages(start, start + 3600))

    assert vehicles(WEDNESDAY, 8) > 2 * vehicles(SUNDAY, 8)
    assert vehicles(WEDNESDAY, 8) > 5 * vehicles(WEDNESDAY, 4)


def test_lamps_burn_by_night(milan: Simulation) -> None:
    """In November lamps are lit at six in the evening and not at noon."""

    def lit(hour: int) -> set[bool]:
        start = WEDNESDAY + (hour - 1) * 3600
        return {m.payload["lit"] for m in milan.messages(start, start + 60) if m.kind == "lamppost"}

    assert lit(18) == {True}
    assert lit(12) == {False}


def test_parking_differs_by_category(milan: Simulation) -> None:
    """Vans change often, a bus stop is mostly free, and every bay says where it stands."""
    categories = {d.name: d.category for d in district() if d.kind == "parking_sensor"}
    changes, occupied, total = Counter[str | None](), Counter[str | None](), Counter[str | None]()
    last: dict[str, bool] = {}
    for message in milan.messages(WEDNESDAY + 7 * 3600, WEDNESDAY + 17 * 3600):
        if message.device in categories:
            category, now = categories[message.device], message.payload["occupied"]
            changes[category] += last.setdefault(message.device, now) != now
            last[message.device] = now
            if message.at % 1800 // 60 == 0 or "battery" in message.payload:
                total[category] += 1
                occupied[category] += now
    bays = Counter(categories.values())
    assert changes["logistics"] / bays["logistics"] > 2 * changes["disabled"] / bays["disabled"]
    assert changes["no_parking"] > 0
    assert set(bays) == {"logistics", "disabled", "no_parking", "mobility_area"}
    assert set(last) == set(categories)
