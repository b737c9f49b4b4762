"""Connections that stay open while nothing arrives any more, for longer than every timeout."""

import asyncio
import time

import pytest
from tests.integration.town import Health, Publisher, Town, health, publisher, settled, town
from tests.integration.wire import Lost, Wire

from usp.ingest.committer import COMMIT_TIMEOUT_S
from usp.ingest.mqtt import KEEPALIVE_S

__all__ = ["health", "publisher", "town"]


@pytest.mark.timeout(400)
@pytest.mark.parametrize("loses", ["everything", "answers"])
async def test_a_silent_wire_to_the_database(town: Town, publisher: Publisher, health: Health, loses: str) -> None:
    """Longer than a commit may take; health tells that ingest is not heard of, and no reading is counted twice."""
    with Wire(town.postgres.port) as wire:
        url = town.postgres.url.replace(f":{town.postgres.port}/", f":{wire.port}/")
        with town.worker(database=url) as worker:
            await town.ready()
            async with publisher.streaming(400):
                await asyncio.sleep(1)
                wire.freeze() if loses == "everything" else wire.drop_answers()
                began = time.monotonic()
                await health.says(60, database="ok", ingest="failing")
                await asyncio.sleep(COMMIT_TIMEOUT_S + 15 - (time.monotonic() - began))
                wire.mend()
            since = time.monotonic()
            counts = await settled(town, publisher, health, f"wire to the database loses {loses}", since)
            assert counts.received == publisher.sent
            assert worker.poll() is None


@pytest.mark.timeout(400)
async def test_a_commit_that_is_never_answered(town: Town, publisher: Publisher, health: Health) -> None:
    """The connection stays open, only the answer to one COMMIT is missing: it is found to have been done."""
    with Wire(town.postgres.port) as wire:
        url = town.postgres.url.replace(f":{town.postgres.port}/", f":{wire.port}/")
        with town.worker(database=url) as worker:
            await town.ready()
            wire.lose(b"COMMIT;", Lost.ANSWER, then_cut=False)
            publisher.more(2_000)
            assert await asyncio.to_thread(wire.sprung.wait, 20)
            since = time.monotonic()
            await health.tells_of_waiting()
            counts = await settled(town, publisher, health, "COMMIT never answered", since, within=100)
            assert (counts.received, counts.duplicate) == (publisher.sent, 0)
            assert worker.poll() is None


@pytest.mark.timeout(400)
@pytest.mark.parametrize("loses", ["everything", "answers"])
async def test_a_silent_wire_to_the_broker(town: Town, publisher: Publisher, health: Health, loses: str) -> None:
    """Longer than two keep-alives; health tells that nobody is connected, and what was sent meanwhile is stored."""
    with Wire(town.broker.port) as wire, town.worker(broker=f"mqtt://127.0.0.1:{wire.port}") as worker:
        await town.ready()
        async with publisher.streaming(400):
            await asyncio.sleep(1)
            wire.freeze() if loses == "everything" else wire.drop_answers()
            await health.says(2 * KEEPALIVE_S + 15, database="ok", ingest="failing")
            wire.mend()
        since = time.monotonic()
        await settled(town, publisher, health, f"wire to the broker loses {loses}", since, within=100)
        assert worker.poll() is None
