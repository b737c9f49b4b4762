from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime

import orjson
import pytest

from usp.errors import SettingsError
from usp_simulators import Message, Simulation, district
from usp_simulators.damage import ANOTHER, CORRUPTIONS, IMPLAUSIBLE, SMALL, Reading, out_of_range
from usp_simulators.faults import NAMES, USUAL, Faults, Sent, parse_faults
from usp_simulators.message import DATASET_OF, Fate

#: Noon of a Wednesday.
NOON = int(datetime(2026, 11, 18, 11, tzinfo=UTC).timestamp())


@pytest.fixture(scope="module")
def hours() -> list[Message]:
    """Return a day of everything, thinned out."""
    return list(Simulation(district(), only={d.name for d in district()[::3]}).messages(NOON - 43_200, NOON + 43_200))


def sent(messages: list[Message], text: str, seed: int = 1) -> list[Sent]:
    """What goes out when these faults are on."""
    return list(parse_faults(text, seed).stage(messages))


def reasons(stream: list[Sent]) -> Counter[str]:
    """Why items ought to be refused; the empty one counts the others."""
    return Counter(fate.reason for one in stream for fate in one.fates)


def test_without_faults_everything_goes_through_as_it_is(hours: list[Message]) -> None:
    """The stage adds nothing of its own."""
    plain = list(Faults().stage(hours))
    assert [(one.at, one.topic, one.body) for one in plain] == [(m.at, m.topic, m.body) for m in hours]
    assert [one.fates for one in plain] == [m.fates for m in hours]


def test_faults_strike_again_where_they_struck(hours: list[Message]) -> None:
    """The same stream has the same faults, another seed has others, and what is sent is in order of time."""
    once, again, other = (sent(hours, "all", seed) for seed in (1, 1, 2))
    assert once == again != other
    assert [one.at for one in once] == sorted(one.at for one in once)


@pytest.mark.parametrize(
    ("name", "sign"),
    [
        ("corrupt", lambda fate: fate.reason or fate.refused),
        ("out_of_range", lambda fate: any(row.flagged for row in fate.rows)),
        ("drift", lambda fate: fate.time is None or fate.time.microsecond),
        ("unmapped", lambda fate: fate.unmapped),
    ],
)
def test_as_many_items_err_as_were_asked_for(hours: list[Message], name: str, sign: Callable[[Fate], object]) -> None:
    """One fault at a time, often."""
    items = [fate for one in sent(hours, f"{name}=0.2") for fate in one.fates]
    assert len(items) == len(hours)
    assert sum(bool(sign(fate)) for fate in items) == pytest.approx(0.2 * len(hours), rel=0.3)


def test_as_many_items_come_again_or_never_as_were_asked_for(hours: list[Message]) -> None:
    """A second copy of each fifth, and a fifth of the time nothing."""
    assert sum(reasons(sent(hours, "duplicate=0.2")).values()) == pytest.approx(1.2 * len(hours), rel=0.05)
    assert sum(reasons(sent(hours, "silent=0.2")).values()) == pytest.approx(0.8 * len(hours), rel=0.08)


@pytest.mark.parametrize("name", ["late", "reorder"])
def test_what_takes_longer_arrives_nevertheless(hours: list[Message], name: str) -> None:
    """In another order, and each once."""
    times = [(one.device, fate.time) for one in sent(hours, f"{name}=0.2") for fate in one.fates]
    before = [(message.device, message.time) for message in hours]
    assert times != before
    assert sorted(times, key=str) == sorted(before, key=str)


def test_what_gathered_comes_in_arrays(hours: list[Message]) -> None:
    """A device that is back in reach sends up to a hundred items at once, each of which is whole."""
    arrays = [one for one in sent(hours, "late=0.3") if len(one.fates) > 1]
    assert max(len(one.fates) for one in arrays) == 100
    for one in arrays:
        assert [item["time"][:19] for item in orjson.loads(one.body)] == [
            fate.time.isoformat()[:19] for fate in one.fates if fate.time
        ]


def test_damage_that_is_foreseen_as_not_json_is_not_json(hours: list[Message]) -> None:
    """And whatever else is corrupt can be read by a program that takes what RFC 8259 allows."""
    seen = Counter[str]()
    for one in sent(hours[:8_000], "corrupt=1"):
        (fate,) = one.fates
        seen[fate.reason or fate.refused[0][1]] += 1
        if fate.reason == "not_json":
            with pytest.raises(orjson.JSONDecodeError):
                orjson.loads(one.body)
        else:
            orjson.loads(one.body)
        assert fate.raw == one.body
        assert bool(fate.reason) != bool(fate.rows)
    assert seen.keys() == {
        *("not_json", "not_an_object", "wrong_topic", "unknown_device", "bad_time", "time_without_offset"),
        *("no_known_field", "wrong_type", "overflow", "unknown_state", "bad_period"),
    }


def test_a_wrong_clock_is_tolerated_refused_or_stored_elsewhere(hours: list[Message]) -> None:
    """From 1970, ten years ahead, a little fast, up to an hour slow; no two readings of a device get the same time."""
    stream = sent(hours, "drift=1")
    assert reasons(stream).keys() == {"", "too_old", "time_in_future"}
    off = [fate.time.timestamp() - one.at for one in stream for fate in one.fates if fate.time]
    assert -3_600 <= min(off) < -1_800
    assert 100 < max(off) <= 181
    times = Counter((one.device, fate.time) for one in stream for fate in one.fates if fate.time)
    assert set(times.values()) == {1}


def test_every_kind_can_err_in_every_way(hours: list[Message]) -> None:
    """The tables of damage know each kind, and fields that it has."""
    assert ANOTHER.keys() == IMPLAUSIBLE.keys() == SMALL.keys() == DATASET_OF.keys()
    for message in {message.kind: message for message in hours}.values():
        reading = Reading(message.device, message.kind, message.time, message.payload)
        assert ANOTHER[message.kind] in message.payload
        for variant in range(20):
            assert any(row.flagged for row in out_of_range(reading, variant).fate.rows)
            for corrupt in CORRUPTIONS:
                assert corrupt(reading, variant).fate.raw is not None


def test_faults_are_chosen_by_name() -> None:
    """All, or some, with the usual shares or others."""
    assert parse_faults("all") == USUAL
    assert parse_faults("late,silent=0.5") == Faults(late=USUAL.late, silent=0.5)
    assert parse_faults("all, drift=0", seed=4) == Faults(
        **{name: getattr(USUAL, name) for name in NAMES if name != "drift"}, seed=4
    )


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("lat", "did you mean late"),
        ("everything", "there are duplicate, late"),
        ("", "there are"),
        ("late=often", "from 0 to 1"),
        ("late=2", "from 0 to 1"),
        ("late=nan", "from 0 to 1"),
    ],
)
def test_faults_that_do_not_exist_are_told(text: str, told: str) -> None:
    """In one line, with what would be right."""
    with pytest.raises(SettingsError, match=told):
        parse_faults(text)
