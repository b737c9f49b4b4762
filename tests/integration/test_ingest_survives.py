"""Nothing acknowledged is lost when the worker, the database or the broker goes away and comes back."""

import asyncio
import signal
import time

import pytest
from tests.integration.town import Health, Publisher, Town, all_stored, health, publisher, settled, town

__all__ = ["health", "publisher", "town"]


async def test_a_killed_worker_loses_nothing(town: Town, publisher: Publisher, health: Health) -> None:
    """Kill -9 in the middle of a stream, three times; what was not committed comes again."""
    count = 20_000
    for kill in range(3):
        with town.worker() as process:
            await town.ready()
            if kill == 0:
                publisher.send(range(count))
            await asyncio.sleep(0.3)
            process.kill()
    since = time.monotonic()
    with town.worker():
        await settled(town, publisher, health, "worker killed three times", since)


async def test_a_worker_that_is_asked_to_end_drains(town: Town, publisher: Publisher, health: Health) -> None:
    """After SIGTERM everything received is committed, nothing is delivered twice, and the slot is free."""
    count = 5_000
    with town.worker():
        await town.ready()
        publisher.send(range(count))
        await asyncio.to_thread(publisher.wait, 1_000)
    assert await town.query("SELECT count(*) FROM usp.worker WHERE connected OR in_flight > 0") == 0
    since = time.monotonic()
    with town.worker():
        counts = await settled(town, publisher, health, "worker asked to end", since)
    assert counts.duplicate == 0


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM], ids=["killed", "asked to end"])
async def test_two_workers_share_and_the_one_that_stays_takes_over(
    town: Town, publisher: Publisher, health: Health, end: signal.Signals
) -> None:
    """Each message goes to one worker; what the broker keeps for one that has ended is fetched by the other."""
    count = 6_000
    with town.worker() as doomed:
        await town.ready()
        with town.worker():
            await town.reaches("SELECT count(*) FROM usp.worker WHERE connected", 2)
            publisher.send(range(count // 2))
            await asyncio.to_thread(publisher.wait, count // 2)
            await all_stored(town, count // 2)
            assert await town.query("SELECT sum(count) FROM usp.ingest_total WHERE what = 'received'") == count // 2
            assert await town.query("SELECT count(DISTINCT slot) FROM usp.ingest_total WHERE what = 'received'") == 2
            doomed.send_signal(end)
            since = time.monotonic()
            publisher.send(range(count // 2, count))
            await settled(town, publisher, health, f"one of two workers ended by {end.name}", since)
            await town.reaches("SELECT count(*) FROM usp.worker", 1)
            publisher.send(range(count, count + 100))
            await all_stored(town, count + 100)


async def test_a_stall_during_a_take_over_loses_nothing(town: Town, publisher: Publisher, health: Health) -> None:
    """The broker stands still while a dead worker's queue is being emptied: silence is not taken for its end."""
    count = 60_000
    with town.worker() as doomed:
        await town.ready()
        with town.worker():
            await town.reaches("SELECT count(*) FROM usp.worker WHERE connected", 2)
            doomed.kill()
            publisher.send(range(count))
            await town.logged("taking_over")
            process = town.broker.process
            assert process is not None
            process.send_signal(signal.SIGSTOP)
            await asyncio.sleep(4)
            process.send_signal(signal.SIGCONT)
            since = time.monotonic()
            await settled(town, publisher, health, "broker stalled during a take-over", since)


async def test_a_database_that_goes_away_is_waited_for(town: Town, publisher: Publisher, health: Health) -> None:
    """While it is away nothing is acknowledged; when it is back the worker goes on by itself."""
    count = 10_000
    with town.worker() as process:
        await town.ready()
        publisher.send(range(count // 2))
        town.postgres.stop()
        publisher.send(range(count // 2, count))
        await health.says(database="failing")
        town.postgres.start()
        since = time.monotonic()
        await settled(town, publisher, health, "database restarted", since)
        assert process.poll() is None


async def test_a_broker_that_goes_away_is_waited_for(town: Town, publisher: Publisher, health: Health) -> None:
    """A restarted broker keeps session and queue; the worker finds its way back."""
    count = 4_000
    with town.worker() as process:
        await town.ready()
        publisher.send(range(count // 2))
        await asyncio.to_thread(publisher.wait, count // 2)
        town.broker.stop()
        publisher.send(range(count // 2, count))
        await health.says(database="ok", ingest="failing")
        town.broker.start()
        since = time.monotonic()
        await settled(town, publisher, health, "broker restarted", since)
        assert process.poll() is None
