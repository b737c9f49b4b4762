"""What was refused is taken up again, once, as if it had just come, and as of when it came."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import orjson
import pytest
from tests.integration.street import BROKEN, MENDED, START, Street, on_street

from usp.errors import ReplayRuns
from usp.ingest import rejections, replay
from usp.ingest.replay import Replayer
from usp.models.profile import DeviceProfile
from usp.models.rejection import RejectionFilter, State

#: Replays as the command does, and kills itself after the third commit.
DYING = """
import itertools, os, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # whoever runs in the background may have it ignored
from usp import cli
from usp.ingest.writer import Writer
commit, calls = Writer.commit, itertools.count(1)
async def dying(self, *args):
    refused = await commit(self, *args)
    if next(calls) == 3:
        os.kill(os.getpid(), signal.SIGNAL)
    return refused
Writer.commit = dying
sys.argv[1:] = ["rejections", "replay", "--address", "ADDRESS"]
cli.main()
"""


@pytest.fixture(scope="module")
async def street(database_url: str, db: Any) -> AsyncIterator[Street]:
    """One for all tests; each has devices of its own."""
    async with on_street(database_url, db) as made:
        yield made


@pytest.fixture(autouse=True)
def _as_shipped(street: Street) -> None:
    street.profiles["odd"] = BROKEN


async def test_what_waited_is_stored_as_of_its_first_arrival(street: Street) -> None:
    """A device is registered after it has begun to send: its readings stand as if it had been known all along."""
    name, ahead = "lamp-late", START + timedelta(minutes=4)
    await street.send(name, {"no2": 31}, {"time": ahead.isoformat(), "no2": 32}, at=0)
    await street.send(name, {"time": (START + timedelta(minutes=10)).isoformat(), "no2": 33}, at=2)
    await street.register(name)
    done = await street.replay(address=name)
    assert (done.chosen, done.taken, done.resolved, dict(done.refused)) == (3, 3, 2, {"time_in_future": 1})
    # Without a time of its own an item is of its first arrival; the future is what lay ahead of that, not of today.
    assert await street.readings(name) == [(0, 31), (240, 32)]
    received = await street.db.fetch(
        "SELECT r.received_at, r.flags FROM usp.air_quality r JOIN usp.device d ON d.id = r.device WHERE d.name = $1 "
        "ORDER BY r.time",
        name,
    )
    assert [(row["received_at"], row["flags"] & 9) for row in received] == [
        (START, 1),
        (START + timedelta(seconds=1), 0),
    ]
    first, _, third = await street.rejections(name)
    assert first["resolved_at"] is not None
    assert first["device"] is not None
    assert (third["resolved_at"], third["reason"]) == (None, "time_in_future")


async def test_a_second_replay_finds_nothing(street: Street) -> None:
    """Neither a row nor a count changes."""
    name = "lamp-twice"
    await street.send(name, *({"no2": n} for n in range(5)))
    await street.register(name)
    assert (await street.replay(address=name)).resolved == 5
    before = await street.digest()
    again = await street.replay(address=name)
    assert (again.chosen, again.taken) == (0, 0)
    assert await street.digest() == before


async def test_what_is_refused_again_stays_one_rejection(street: Street) -> None:
    """With today's reason and detail; nothing grows, however often it is tried."""
    name = "lamp-again"
    await street.send(name, {"no2": "thirty", "fog": 1}, {"no2": "much"})
    await street.register(name)
    before = await street.db.fetch("SELECT * FROM usp.rejection_tally WHERE address = $1", name)
    unmapped = "SELECT count(*) FROM usp.unmapped_field WHERE field = 'fog'"
    for _ in range(3):
        done = await street.replay(address=name)
        assert (done.resolved, dict(done.refused)) == (0, {"wrong_type": 2})
        first, second = await street.rejections(name)
        assert (first["reason"], first["field"], first["door"]) == ("wrong_type", "no2", "mqtt")
        assert "thirty" in first["detail"]
        assert "much" in second["detail"]
        assert first["replayed_at"] is not None
        assert first["device"] is not None
        assert await street.db.fetchval(unmapped) == 0
    after = await street.db.fetch("SELECT * FROM usp.rejection_tally WHERE address = $1", name)
    assert [(r["kept"], r["total"]) for r in after] == [(r["kept"], r["total"]) for r in before] == [(2, 2)]


async def test_a_mended_profile_completes_the_row(street: Street) -> None:
    """One value was refused, the others stored: the value takes its place in the same row, and in the newest."""
    name = "odd-1"
    await street.register(name, profile="odd")
    await street.send(name, {"raw": "31", "pm10": 12})
    assert await street.readings(name, "no2") == [(0, None)]
    assert (await street.replay(device=name, field="raw")).refused == {"wrong_type": 1}
    street.profiles["odd"] = MENDED
    assert (await street.replay(device=name, field="raw")).resolved == 1
    assert await street.readings(name, "no2") == [(0, 31)]
    assert await street.readings(name, "pm10") == [(0, 12)]
    sql = "SELECT l.no2 FROM usp.air_quality_latest l JOIN usp.device d ON d.id = l.device WHERE d.name = $1"
    assert await street.db.fetchval(sql, name) == 31
    (rejection,) = await street.rejections(name)
    assert rejection["resolved_at"] is not None


async def test_a_refused_value_is_judged_by_itself(street: Street) -> None:
    """Two values of one item were refused; mending one resolves that one, and the other stays what it was."""
    name = "odd-2"
    await street.register(name, profile="odd")
    await street.send(name, {"raw": "31", "pm10": "dust", "o3": 50})
    street.profiles["odd"] = MENDED
    done = await street.replay(device=name)
    assert (done.resolved, dict(done.refused)) == (1, {"wrong_type": 1})
    raw, dust = await street.rejections(name)
    assert (raw["field"], raw["resolved_at"] is None) == ("raw", False)
    assert (dust["field"], dust["resolved_at"] is None) == ("pm10", True)


async def test_a_value_that_contradicts_today_is_not_resolved(street: Street) -> None:
    """The field is called `raw`, the property `no2`, and another value of it has come meanwhile."""
    name, at = "odd-3", {"time": START.isoformat()}
    await street.register(name, profile="odd")
    await street.send(name, at | {"raw": "31", "pm10": 12}, at | {"no2": 40}, at | {"pm10": 13, "raw": "40"})
    street.profiles["odd"] = MENDED
    done = await street.replay(device=name)
    assert dict(done.refused) == {"conflicting_value": 2}
    item, first, third = await street.rejections(name)
    # It is still the value that was refused at first, so that it can be found and mended as such.
    assert (first["field"], first["reason"], first["resolved_at"]) == ("raw", "conflicting_value", None)
    assert (item["whole_item"], item["reason"], item["resolved_at"]) == (True, "conflicting_value", None)
    assert (third["field"], third["resolved_at"] is None) == ("raw", False)
    assert await street.readings(name) == [(0, 40)]


async def test_a_value_waits_while_its_item_is_refused_as_a_whole(street: Street) -> None:
    """The device retires and returns: the value is remembered through that, and not taken for resolved."""
    name = "odd-4"
    await street.register(name, profile="odd")
    await street.send(name, {"raw": "31", "pm10": 12})
    retire = "UPDATE usp.device SET retired_at = $2 WHERE name = $1"
    await street.db.execute(retire, name, START - timedelta(days=1))
    assert dict((await street.replay(device=name)).refused) == {"retired_device": 1}
    await street.db.execute(retire, name, None)
    assert dict((await street.replay(device=name)).refused) == {"wrong_type": 1}
    (rejection,) = await street.rejections(name)
    assert (rejection["field"], rejection["dataset"], rejection["whole_item"]) == ("raw", "air_quality", False)


async def test_a_replay_adds_up_as_a_door_of_its_own(street: Street) -> None:
    """Received = stored + duplicate + rejected at the door `replay`; what was counted before stays."""
    name = "lamp-sums"
    await street.send(name, [{"no2": 1}, {"time": START.isoformat(), "no2": 2}, {"no2": "x"}, {"lux": 1}, {"no2": 1}])
    await street.register(name)
    before, mqtt = await street.counted("replay"), await street.counted("mqtt")
    await street.replay(address=name)
    after = await street.counted("replay")
    new = {what: count - before.get(what, 0) for what, count in after.items()}
    assert {what: n for what, n in new.items() if n} == {"received": 5, "stored": 1, "duplicate": 1, "rejected": 3}
    assert await street.counted("mqtt") == mqtt


async def test_only_one_replay_runs_at_a_time(street: Street, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second one is told, and the first goes on."""
    monkeypatch.setattr(replay, "PAUSE_S", 0.01)
    name = "lamp-alone"
    await street.send(name, {"no2": 1})
    await street.register(name)
    first = Replayer(street.url, street.profiles, {}).replay(RejectionFilter(address=name))
    assert (await anext(first)).chosen == 1
    with pytest.raises(ReplayRuns):
        await street.replay(address=name)
    assert [step.resolved async for step in first] == [1]


@pytest.mark.parametrize("signal_", ["SIGKILL", "SIGINT"])
async def test_a_replay_that_is_killed_is_finished_by_the_next(street: Street, signal_: str) -> None:
    """Half-way, after a commit: what was taken stays so, and nothing is taken twice."""
    name, count = f"lamp-{signal_.lower()}", 3_000
    await waiting(street, name, count)
    await street.register(name, profile="native-lamppost")
    before = await street.counted("replay")
    code = DYING.replace("SIGNAL", signal_).replace("ADDRESS", name)
    environment = os.environ | {"USP_DATABASE_URL": street.url}
    command = [sys.executable, "-c", code]
    process = await asyncio.to_thread(
        lambda: subprocess.run(command, env=environment, check=False, capture_output=True, text=True)
    )
    if signal_ == "SIGKILL":
        assert process.returncode == -signal.SIGKILL, process.stderr
    else:
        assert process.returncode == 130, process.stderr
        assert "of 3,000" in process.stderr
        assert len(process.stderr.splitlines()) == 1
    taken = await street.db.fetchval(
        "SELECT count(*) FROM usp.rejection WHERE address = $1 AND resolved_at IS NOT NULL", name
    )
    assert taken == 1_500
    done = await street.replay(address=name)
    assert (done.chosen, done.resolved) == (count - taken, count - taken)
    assert len(await street.readings(name)) == count
    after = await street.counted("replay")
    assert after["received"] - before.get("received", 0) == count
    assert after["stored"] - before.get("stored", 0) == count


async def test_many_are_taken_up_in_pieces(street: Street, record_property: Any) -> None:
    """Twenty thousand within seconds, with word of it all along."""
    name, count = "lamp-many", 20_000
    await waiting(street, name, count)
    await street.register(name)
    began = time.monotonic()
    replayer = Replayer(street.url, street.profiles, {})
    taken = [step.taken async for step in replayer.replay(RejectionFilter(address=name))]
    rate = count / (time.monotonic() - began)
    record_property("rejections_per_second", round(rate))
    assert taken == list(range(0, count + 1, 500))
    assert len(await street.readings(name)) == count
    assert rate > 500


async def waiting(street: Street, address: str, count: int) -> None:
    """Let so many readings of an unknown device wait, a second apart."""
    await street.db.execute(
        """
        INSERT INTO usp.rejection (received_at, door, topic, address, reason, whole_item, payload, payload_length)
        SELECT $2::timestamptz + n * interval '1 second', 'mqtt', 'usp/v1/' || $1 || '/up', $1, 'unknown_device', true,
            convert_to('{"no2":' || n % 100 || '}', 'UTF8'), 9
        FROM generate_series(1, $3::integer) n
        """,
        address,
        START,
        count,
    )


async def test_what_was_not_kept_is_told(street: Street) -> None:
    """Of an item over 64 KiB only the digest is there: it matches, and cannot be taken up."""
    name = "lamp-large"
    await street.send(name, {"no2": 1, "x": "y" * 70_000}, {"no2": 2})
    await street.register(name)
    done = await street.replay(address=name)
    assert (done.chosen, done.without_bytes, done.resolved) == (1, 1, 1)
    again = await street.replay(address=name)
    assert (again.chosen, again.without_bytes, again.taken) == (0, 1, 0)


async def test_a_poisonous_item_stays_and_the_others_are_stored(street: Street) -> None:
    """The database refuses one of them; a dry run says so too."""
    name = "lamp-poison"
    await street.send(name, *({"no2": n + 0.125, "laeq": 60} for n in range(7)), {"no2": 200.125})
    await street.register(name)
    check = "CHECK (no2 <> 3.125 AND no2 <> 200.125)"
    await street.db.execute(f"ALTER TABLE usp.air_quality ADD CONSTRAINT refuses {check}")
    try:
        before = await street.digest()
        tried = await street.replay(address=name, dry_run=True)
        assert await street.digest() == before
        done = await street.replay(address=name)
    finally:
        await street.db.execute("ALTER TABLE usp.air_quality DROP CONSTRAINT refuses")
    assert tried == done
    assert (done.resolved, dict(done.refused)) == (7, {"refused_by_database": 1})
    assert [value for _, value in await street.readings(name)] == [0.125, 1.125, 2.125, 4.125, 5.125, 6.125]
    *_, whole, beside = await street.rejections(name)
    assert (whole["reason"], whole["whole_item"], whole["resolved_at"]) == ("refused_by_database", True, None)
    # The noise of the fourth item was stored, and its air quality waits: a rejection of its own, at the door `replay`.
    assert (beside["door"], beside["dataset"], beside["whole_item"]) == ("replay", "air_quality", False)
    assert (await street.replay(address=name)).resolved == 2
    assert [value for _, value in await street.readings(name)] == [*(n + 0.125 for n in range(7)), 200.125]


async def test_a_value_stays_refused_beside_a_poisonous_item(street: Street) -> None:
    """The batch is taken apart to find what is poisonous; what is still refused in it is not taken for resolved."""
    name = "odd-poison"
    await street.send(name, *({"no2": n + 0.375} for n in range(4)))
    await street.register(name, profile="odd")
    await street.send(name, *({"raw": "31", "pm10": n} for n in range(4)), at=100)
    await street.db.execute("ALTER TABLE usp.air_quality ADD CONSTRAINT refuses CHECK (no2 <> 3.375)")
    try:
        before = await street.digest()
        tried = await street.replay(address=name, dry_run=True)
        assert await street.digest() == before
        done = await street.replay(address=name)
    finally:
        await street.db.execute("ALTER TABLE usp.air_quality DROP CONSTRAINT refuses")
    assert tried == done
    assert (done.resolved, dict(done.refused)) == (3, {"wrong_type": 4, "refused_by_database": 1})
    street.profiles["odd"] = MENDED
    assert (await street.replay(address=name)).resolved == 5
    assert [value for _, value in await street.readings(name)] == [0.375, 1.375, 2.375, 3.375, 31, 31, 31, 31]


async def test_a_dry_run_writes_nothing_and_tells_the_truth(street: Street) -> None:
    """What it says would happen happens."""
    name = "odd-dry"
    await street.send(name, {"raw": "1", "pm10": 3}, {"raw": "many"}, {"fog": 3}, {"time": "soon"}, b"{", {"pm10": 7})
    await street.register(name, profile="odd")
    await street.send(name, {"raw": "8", "pm10": 7}, at=100)
    street.profiles["odd"] = MENDED
    before = await street.digest()
    tried = await street.replay(address=name, dry_run=True)
    assert await street.digest() == before
    assert tried.taken == tried.chosen == 7
    assert tried == await street.replay(address=name)
    assert dict(tried.refused) == {"wrong_type": 1, "no_known_field": 1, "bad_time": 1, "not_json": 1}


async def test_what_turns_out_to_be_an_event_is_resolved(street: Street) -> None:
    """It was refused before the platform knew such messages; it is counted, and has nothing to store."""
    eui, topic = "a84041ffff000001", "application/1/device/a84041ffff000001/event/ack"
    body = orjson.dumps({"deviceInfo": {"devEui": eui}, "time": START.isoformat()})
    await street.db.execute(
        "INSERT INTO usp.rejection (received_at, door, topic, address, reason, whole_item, payload, payload_length) "
        "VALUES ($1, 'chirpstack', $2, $3, 'not_json', true, $4, $5)",
        START, topic, eui, body, len(body),
    )  # fmt: skip
    assert (await street.replay(address=eui)).resolved == 1
    assert (await street.counted("replay"))["event"] == 1
    assert (await street.replay(address=eui)).chosen == 0


async def test_resolved_rejections_make_room(street: Street, monkeypatch: pytest.MonkeyPatch) -> None:
    """So many are kept of a sender and reason; once they are resolved, later ones are kept again."""
    monkeypatch.setattr(rejections, "KEPT", 3)
    name = "odd-room"
    await street.register(name, profile="odd")
    await street.send(name, *({"raw": str(n)} for n in range(5)))
    assert len(await street.rejections(name)) == 3
    street.profiles["odd"] = MENDED
    assert (await street.replay(device=name)).resolved == 3
    street.profiles["odd"] = BROKEN
    await street.send(name, *({"raw": str(n)} for n in range(5)), at=100)
    assert len(await street.rejections(name)) == 6
    tally = await street.db.fetchrow("SELECT kept, total, freed FROM usp.rejection_tally WHERE address = $1", name)
    assert tuple(tally or ()) == (6, 10, 3)


async def test_fields_of_nobody_are_counted_once_and_stay_newest(street: Street) -> None:
    """A field that no profile knows is told of when its item is stored, and never back in time."""
    name = "lamp-unmapped"
    await street.send(name, {"no2": 1, "fog": "old"})
    await street.register(name)
    await street.send(name, {"no2": 1, "fog": "new"}, at=100)
    await street.replay(address=name)
    sql = (
        "SELECT count, last_value, last_at FROM usp.unmapped_field u JOIN usp.device d ON d.id = u.device "
        "WHERE d.name = $1"
    )
    found = await street.db.fetchrow(sql, name)
    assert tuple(found or ()) == (2, '"new"', START + timedelta(seconds=100))


async def test_parts_that_were_unknown_are_stored_later(street: Street) -> None:
    """A lane is registered after its counter has begun to send; what of it is bad waits on."""
    street.profiles["counter"] = DeviceProfile.model_validate(
        {
            "name": "counter",
            "title": "Counter",
            "kind": "lamppost",
            "interval": 60,
            "children": [{"path": "lanes.*", "name": "{key}"}],
        }
    )
    await street.register("counter-1", profile="counter")
    await street.send("counter-1", {"no2": 5, "lanes": {"a": {"no2": 6}, "b": {"no2": "x", "pm10": 3}}})
    assert dict((await street.replay(device="counter-1")).refused) == {"unknown_device": 2}
    await street.register("counter-1-a", "counter-1-b")
    await street.db.execute(
        "UPDATE usp.device SET parent = (SELECT id FROM usp.device WHERE name = 'counter-1') "
        "WHERE name LIKE 'counter-1-_'"
    )
    done = await street.replay(device="counter-1")
    assert (done.resolved, dict(done.refused)) == (1, {"wrong_type": 1})
    assert await street.readings("counter-1-a") == [(0, 6)]
    assert await street.readings("counter-1-b", "pm10") == [(0, 3)]
    assert [r["field"] for r in await street.rejections("counter-1")] == ["a", "b"]


async def test_filters_choose(street: Street) -> None:
    """By reason, sender, device, door, field, time, number and state; what is not chosen is left alone."""
    name = "lamp-chosen"
    await street.register(name)
    await street.send(name, {"no2": "a", "o3": 1}, {"no2": "b"}, {"time": "soon"}, b"[")
    ids = [r["id"] for r in await street.rejections(name)]
    seconds = [START + timedelta(seconds=n) for n in range(5)]
    chosen: list[tuple[dict[str, Any], int]] = [
        ({}, 4),
        ({"reason": "wrong_type"}, 2),
        ({"reason": "wrong_type", "field": "no2", "door": "mqtt"}, 2),
        ({"device": name}, 4),
        ({"door": "replay"}, 0),
        ({"since": seconds[1], "until": seconds[3]}, 2),
        ({"ids": (ids[0], ids[3], 10**12)}, 2),
        ({"state": State.RESOLVED}, 4),
    ]
    for words, count in chosen:
        assert (await street.replay(address=name, dry_run=True, **words)).chosen == count, words
    assert (await street.replay(device="nobody", dry_run=True)).chosen == 0
    await street.replay(ids=(ids[2],))
    assert [r["replayed_at"] is None for r in await street.rejections(name)] == [True, True, False, True]
