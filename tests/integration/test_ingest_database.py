"""The database dies, loses answers, refuses connections, and has its own reasons to give up a transaction."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import pytest
from tests.integration.town import (
    BASE,
    Health,
    Publisher,
    Town,
    family,
    health,
    make_town,
    publisher,
    settled,
    town,
)
from tests.integration.wire import Lost, Wire

from usp.embedded import Parts
from usp.embedded import postgres as embedded

__all__ = ["health", "publisher", "town"]

LOCK_NEWEST = "SELECT FROM usp.air_quality_latest FOR UPDATE"


@asynccontextmanager
async def other_session(town: Town) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    """Somebody else in the same tables, in a transaction that is taken back unless it is committed."""
    connection = await asyncpg.connect(town.postgres.url)
    await connection.execute("BEGIN")
    try:
        yield connection
    finally:
        await connection.close()


async def test_a_killed_database_is_waited_for(town: Town, publisher: Publisher, health: Health) -> None:
    """Kill -9 of all its processes in the middle of a stream; it recovers, and the worker goes on by itself."""
    with town.worker() as worker:
        await town.ready()
        async with publisher.streaming():
            await asyncio.sleep(0.5)
            assert town.postgres.process is not None
            for pid in family(town.postgres.process.pid):
                os.kill(pid, signal.SIGKILL)
            await health.says(database="failing")
            await asyncio.sleep(1)
        town.postgres.stop()
        town.postgres.start()
        since = time.monotonic()
        await settled(town, publisher, health, "database killed", since)
        assert worker.poll() is None


@pytest.mark.parametrize("moment", ["in its transaction", "in COMMIT"])
async def test_a_killed_backend_is_replaced(town: Town, publisher: Publisher, health: Health, moment: str) -> None:
    """Kill -9 of the writer's own backend; all are thrown out, and what was already durable is recognised."""
    with town.worker() as worker:
        await town.ready()
        publisher.more(500)
        await asyncio.to_thread(publisher.wait, 500)
        await town.reaches("SELECT count(*) FROM usp.air_quality", 500)
        [writer] = await town.backends()
        assert town.postgres.process is not None
        if moment == "in COMMIT":
            # A commit that waits for a standby which does not exist is durable here, and has not been answered.
            await town.execute("ALTER SYSTEM SET synchronous_standby_names = 'nobody'", "SELECT pg_reload_conf()")
            publisher.more(2_000)
            await town.waits_for("SyncRep")
            await health.tells_of_silence(2)
            await town.execute("ALTER SYSTEM RESET synchronous_standby_names")
            os.kill(writer, signal.SIGKILL)
            os.kill(town.postgres.process.pid, signal.SIGHUP)
        else:
            async with other_session(town) as other:
                await other.execute(LOCK_NEWEST)
                publisher.more(2_000)
                await town.waits_for("Lock")
                await health.tells_of_waiting()
                os.kill(writer, signal.SIGKILL)
        since = time.monotonic()
        counts = await settled(town, publisher, health, f"writer's backend killed {moment}", since)
        assert counts.received == publisher.sent
        assert worker.poll() is None


async def test_a_connection_that_is_cut_is_made_anew(town: Town, publisher: Publisher, health: Health) -> None:
    """Reset or ended, again and again in the middle of a stream; nothing is lost, and nothing counted twice."""
    with Wire(town.postgres.port) as wire:
        url = town.postgres.url.replace(f":{town.postgres.port}/", f":{wire.port}/")
        with town.worker(database=url) as worker:
            await town.ready()
            async with publisher.streaming():
                for reset in (True, False, True, False):
                    await asyncio.sleep(0.4)
                    wire.cut(reset=reset)
            since = time.monotonic()
            counts = await settled(town, publisher, health, "database connection cut", since)
            assert counts.received == publisher.sent
            assert "database_unavailable" in town.log
            assert worker.poll() is None


@pytest.mark.parametrize("lost", Lost)
async def test_a_commit_whose_answer_is_lost_is_not_counted_twice(
    town: Town, publisher: Publisher, health: Health, lost: Lost
) -> None:
    """Whether COMMIT itself or its answer is lost with the connection: each reading is counted once."""
    with Wire(town.postgres.port) as wire:
        url = town.postgres.url.replace(f":{town.postgres.port}/", f":{wire.port}/")
        with town.worker(database=url) as worker:
            await town.ready()
            async with publisher.streaming():
                for _ in range(3):
                    await asyncio.sleep(0.3)
                    wire.lose(b"COMMIT;", lost)
                    assert await asyncio.to_thread(wire.sprung.wait, 20)
            since = time.monotonic()
            counts = await settled(town, publisher, health, f"COMMIT lost: {lost}", since)
            assert (counts.received, counts.duplicate) == (publisher.sent, 0)
            assert worker.poll() is None


async def test_no_connection_is_left_for_the_writer(town: Town, publisher: Publisher, health: Health) -> None:
    """Its account has reached its limit (SQLSTATE 53300): it waits, also where it has just started."""
    url = await town.account()
    with town.worker(database=url) as worker:
        await town.ready()
        # Housekeeping keeps its own connection, so that health hears of what waits.
        await town.execute("ALTER ROLE ingest CONNECTION LIMIT 1")
        await town.cut_off()
        publisher.more(2_000)
        await town.logged("too many connections for role", 2)
        assert await health.tells_of_waiting() > 0
        with town.worker(database=url) as second:
            await town.logged("too many connections for role", 5)
            assert second.poll() is None
        await town.execute("ALTER ROLE ingest CONNECTION LIMIT -1")
        since = time.monotonic()
        counts = await settled(town, publisher, health, "connection limit reached", since)
        assert counts.received == publisher.sent
        assert worker.poll() is None


async def test_a_server_full_of_others_is_waited_for(
    parts: Parts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of max_connections are taken, before the worker starts and while it works; then they are given back."""
    monkeypatch.setitem(embedded.SETTINGS, "max_connections", "12")
    async with make_town(parts, tmp_path, tmp_path) as town:
        url = await town.account()
        crowd = await fill(url)
        publisher = Publisher(town.broker)
        with town.worker(database=url) as worker:
            # PostgreSQL keeps its last connections for superusers, and says so.
            await town.logged("SUPERUSER", 2)
            await leave(crowd)
            await town.ready()
            publisher.more(500)
            await town.reaches("SELECT count(*) FROM usp.air_quality", 500)
            admin = await asyncpg.connect(town.postgres.url)
            crowd = [admin, *await fill(url)]
            # Whoever is faster takes the place that becomes free: again, until it was the crowd.
            end = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = 'usp-ingest'"
            shut_out = 0
            while shut_out < 5:
                shut_out = 0 if await admin.fetchval(end) else shut_out + 1
                crowd += await fill(url)
                await asyncio.sleep(0.1)
            publisher.more(2_000)
            await town.logged("SUPERUSER", 4)
            await leave(crowd)
            since = time.monotonic()
            async with Health.of(town) as told:
                counts = await settled(town, publisher, told, "max_connections reached", since)
            assert counts.received == publisher.sent
            assert worker.poll() is None
        publisher.close()


async def fill(url: str) -> list["asyncpg.Connection[asyncpg.Record]"]:
    """Take every connection that is left."""
    taken: list[asyncpg.Connection[asyncpg.Record]] = []
    for _ in range(50):
        try:
            taken.append(await asyncpg.connect(url))
        except asyncpg.TooManyConnectionsError:
            return taken
    raise AssertionError("no limit")


async def leave(crowd: list["asyncpg.Connection[asyncpg.Record]"]) -> None:
    """Give them back."""
    for connection in crowd:
        await connection.close()


async def test_a_changed_password_is_waited_out(town: Town, publisher: Publisher, health: Health) -> None:
    """The old password is refused (SQLSTATE 28P01) until an operator has mended it; nothing is lost meanwhile."""
    url = await town.account()
    with town.worker(database=url) as worker:
        await town.ready()
        async with publisher.streaming():
            await asyncio.sleep(0.3)
            await town.execute("ALTER ROLE ingest PASSWORD 'second'")
            await town.cut_off()
            await town.logged("password authentication failed", 3)
            await health.tells_of_waiting()
        await town.execute("ALTER ROLE ingest PASSWORD 'first'")
        since = time.monotonic()
        counts = await settled(town, publisher, health, "database password changed", since)
        assert counts.received == publisher.sent
        assert worker.poll() is None


async def test_a_deadlock_is_survived(town: Town, publisher: Publisher, health: Health) -> None:
    """Somebody locks the same rows in the opposite order and the server lets the writer lose; it tries again."""
    url = await town.account()
    await town.execute("ALTER ROLE ingest SET deadlock_timeout = '3s'")
    with town.worker(database=url) as worker:
        await town.ready()
        publisher.more(500)
        await town.reaches("SELECT count(*) FROM usp.air_quality", 500)
        async with other_session(town) as other:
            await other.execute("SET deadlock_timeout = '30s'")
            await other.execute(LOCK_NEWEST)
            publisher.more(2_000)
            await town.waits_for("Lock")
            # The writer has inserted this reading and wants the newest values, which we hold. Who looks for a
            # deadlock first, the writer, is ended.
            await other.execute(
                "INSERT INTO usp.air_quality (time, device, flagged, flags, received_at) "
                "SELECT to_timestamp($1), id, 0, 0, now() FROM usp.device",
                BASE + 500,
            )
            assert await town.query("SELECT deadlocks FROM pg_stat_database WHERE datname = 'usp'") == 1
            assert "deadlock detected" in town.log
            await health.tells_of_waiting()
        since = time.monotonic()
        counts = await settled(town, publisher, health, "deadlock", since)
        assert counts.received == publisher.sent
        assert worker.poll() is None


@pytest.mark.parametrize("isolation", ["repeatable read", "serializable"])
async def test_a_serialization_failure_is_survived(
    town: Town, publisher: Publisher, health: Health, isolation: str
) -> None:
    """Under stricter isolation a concurrent change makes the writer's transaction fail; it tries again."""
    url = await town.account()
    await town.execute(f"ALTER ROLE ingest SET default_transaction_isolation = '{isolation}'")
    with town.worker(database=url) as worker:
        await town.ready()
        publisher.more(500)
        await town.reaches("SELECT count(*) FROM usp.air_quality", 500)
        async with other_session(town) as other:
            await other.execute("UPDATE usp.air_quality_latest SET received_at = received_at")
            publisher.more(2_000)
            await town.waits_for("Lock")
            await health.tells_of_waiting()
            await other.execute("COMMIT")
            since = time.monotonic()
        await town.logged("could not serialize access")
        counts = await settled(town, publisher, health, f"serialization failure, {isolation}", since)
        assert counts.received == publisher.sent
        assert worker.poll() is None
