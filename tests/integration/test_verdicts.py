"""What the database says decides: wait and try again, put the one bad item aside, or stop loudly."""

import asyncio
from typing import Any

import asyncpg
import pytest
from tests.integration.test_ingest import DEVICES, PROFILES, eventually, running, send, totals

from usp.db import VERDICTS, Verdict, verdict
from usp.embedded import Mosquitto
from usp.ingest.registry import publish_profiles
from usp.registry import bring_in_devices

#: Refuses what is told to, as often as it is told to.
TRIGGER = """
CREATE SEQUENCE public.attempts;
GRANT USAGE ON SEQUENCE public.attempts TO PUBLIC;
CREATE FUNCTION public.refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.no2 = 666 AND nextval('public.attempts') <= TG_ARGV[1]::integer THEN
        RAISE EXCEPTION 'refused for the test' USING ERRCODE = TG_ARGV[0];
    END IF;
    RETURN NEW;
END $$;
"""


@pytest.fixture(scope="module", autouse=True)
async def town(db: Any) -> None:
    """Three devices, and a trigger that refuses."""
    await publish_profiles(db, PROFILES)
    await bring_in_devices(db, DEVICES)
    await db.execute(TRIGGER)


async def refuse(db: Any, sqlstate: str, times: int) -> None:
    """From now on let the value 666 fail with this SQLSTATE, so many times."""
    await db.execute(
        f"DROP TRIGGER IF EXISTS refuse ON usp.air_quality; ALTER SEQUENCE public.attempts RESTART; "
        f"CREATE TRIGGER refuse BEFORE INSERT ON usp.air_quality FOR EACH ROW "
        f"EXECUTE FUNCTION public.refuse('{sqlstate}', '{times}')"
    )


async def test_one_poisonous_item_among_many_is_put_aside(database_url: str, broker: Mosquitto, db: Any) -> None:
    """Its five hundred siblings in the same message are stored, and the sum holds."""
    await refuse(db, "22003", 1_000_000)
    items = [{"time": 1_700_000_000 + n, "no2": 666 if n == 321 else 1} for n in range(500)]
    async with running(database_url, broker.url):
        await send(broker, "lamp-1", items)
        await eventually(lambda: db.fetchval("SELECT count(*) FROM usp.air_quality"), 499)
        counted = await totals(db)
    assert (counted["received"], counted["stored"], counted["rejected"]) == (500, 499, 1)
    rejection = await db.fetchrow("SELECT reason, detail, payload FROM usp.rejection")
    assert tuple(rejection) == ("refused_by_database", "refused for the test", b'{"time":1700000321,"no2":666}')


async def test_refused_and_odd_siblings_of_a_poisonous_item_stay_counted(
    database_url: str, broker: Mosquitto, db: Any
) -> None:
    """Of five items in one array each gets its own outcome, also those refused before the database saw them."""
    await refuse(db, "22003", 1_000_000)
    before = await totals(db)
    sent = [{"time": 1_690_000_000, "no2": 666}, {"time": 1_690_000_060, "no2": 1}, {"foo": 1}, {"no2": "x"},
            {"time": 1_690_000_120, "no2": 3, "pm10": "x"}]  # fmt: skip
    async with running(database_url, broker.url):
        await send(broker, "lamp-1", sent)

        async def counted() -> dict[str, int]:
            return {w: n - before.get(w, 0) for w, n in (await totals(db)).items() if w != "rows"}

        await eventually(counted, {"received": 5, "stored": 2, "rejected": 3, "value_refused": 1})


async def test_the_other_datasets_of_a_poisonous_item_are_stored(database_url: str, broker: Mosquitto, db: Any) -> None:
    """The database refuses the item's air quality; its weather stands, and the refusal beside it."""
    await refuse(db, "22003", 1_000_000)
    before = await totals(db)
    async with running(database_url, broker.url):
        await send(broker, "lamp-1", {"time": 1_680_000_000, "no2": 666, "temperature": 20.5, "lit": True})
        await eventually(
            lambda: db.fetchval("SELECT temperature FROM usp.weather WHERE time = to_timestamp(168e7)"), 20.5
        )
    after = await totals(db)
    changed = {what: after[what] - before.get(what, 0) for what in ("received", "stored", "rejected", "value_refused")}
    assert changed == {"received": 1, "stored": 1, "rejected": 0, "value_refused": 1}
    assert await db.fetchval("SELECT lit FROM usp.lighting WHERE time = to_timestamp(168e7)")
    refused = await db.fetchrow("SELECT dataset, reason, whole_item FROM usp.rejection ORDER BY id DESC LIMIT 1")
    assert tuple(refused) == ("air_quality", "refused_by_database", False)


async def test_equal_items_beside_a_poisonous_one_are_duplicates(database_url: str, broker: Mosquitto, db: Any) -> None:
    """Taken apart, a batch counts as it would have done in one piece."""
    await refuse(db, "22003", 1_000_000)
    before = await totals(db)
    good = {"time": 1_670_000_000, "no2": 5}
    async with running(database_url, broker.url):
        await send(broker, "lamp-1", [good, {"time": 1_670_000_060, "no2": 666}, good, good])

        async def counted() -> dict[str, int]:
            after = await totals(db)
            return {what: after.get(what, 0) - before.get(what, 0) for what in ("stored", "duplicate", "rejected")}

        await eventually(counted, {"stored": 1, "duplicate": 2, "rejected": 1})


@pytest.mark.parametrize("sqlstate", ["40001", "40P01", "53100", "53300", "57P01", "55P03"])
async def test_what_passes_is_tried_again(database_url: str, broker: Mosquitto, db: Any, sqlstate: str) -> None:
    """Deadlock, serialization failure, full disk, connection limit, shutdown, lock: nothing is lost or rejected."""
    await refuse(db, sqlstate, 2)
    before = await totals(db)
    at = 1_710_000_000 + int(sqlstate, 36) % 1_000_000
    async with running(database_url, broker.url):
        await send(broker, "lamp-1", {"time": at, "no2": 666})
        await eventually(lambda: db.fetchval("SELECT no2 FROM usp.air_quality WHERE time = to_timestamp($1)", at), 666)
        after = await totals(db)
    assert {w: after[w] - before[w] for w in ("received", "stored", "rejected")} == {
        "received": 1,
        "stored": 1,
        "rejected": 0,
    }


async def test_what_cannot_pass_stops_the_worker_and_stays_with_the_broker(
    database_url: str, broker: Mosquitto, db: Any
) -> None:
    """A schema that is not ours ends the worker loudly; the message waits for the next one."""
    await refuse(db, "42P01", 1)
    with pytest.raises(ExceptionGroup):  # noqa: PT012 - it is raised when the worker is left
        async with running(database_url, broker.url) as worker:
            await send(broker, "lamp-1", {"time": 1_720_000_000, "no2": 666})
            async with asyncio.timeout(10):
                while worker.connected:
                    await asyncio.sleep(0.05)
    async with running(database_url, broker.url):
        await eventually(
            lambda: db.fetchval("SELECT count(*) FROM usp.air_quality WHERE time = '2024-07-03 09:46:40Z'"), 1
        )


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (asyncpg.NumericValueOutOfRangeError("x"), Verdict.POISON),
        (asyncpg.UniqueViolationError("x"), Verdict.POISON),
        (asyncpg.DeadlockDetectedError("x"), Verdict.RETRY),
        (asyncpg.InvalidPasswordError("x"), Verdict.RETRY),
        (asyncpg.TooManyConnectionsError("x"), Verdict.RETRY),
        (asyncpg.AdminShutdownError("x"), Verdict.RETRY),
        (asyncpg.UndefinedTableError("x"), Verdict.FATAL),
        (asyncpg.InsufficientPrivilegeError("x"), Verdict.FATAL),
        (asyncpg.InterfaceError("connection is closed"), Verdict.RETRY),
        (asyncpg.InternalClientError("x"), Verdict.RETRY),
        (asyncpg.DataError("int out of range"), Verdict.POISON),
        (ConnectionRefusedError(), Verdict.RETRY),
        (TimeoutError(), Verdict.RETRY),
        (UnicodeEncodeError("utf-8", "\ud800", 0, 1, "x"), Verdict.POISON),
        (ZeroDivisionError(), Verdict.FATAL),
    ],
)
def test_one_table_decides(error: Exception, expected: Verdict) -> None:
    """SQLSTATE, or the kind of failure, leads to one of three things."""
    assert verdict(error) is expected


def test_every_class_of_failure_in_the_table_is_two_or_five_characters() -> None:
    """A key is a class of SQLSTATE or a whole one."""
    assert {len(key) for key in VERDICTS} == {2, 5}
