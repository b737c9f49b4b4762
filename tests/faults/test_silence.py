"""An answer that never comes on a connection that stays open, at moments other than a commit."""

import asyncio
import time

import pytest
from tests.integration.town import Health, Publisher, Town, health, publisher, settled, town
from tests.integration.wire import Lost, Wire

__all__ = ["health", "publisher", "town"]


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("application", "words"),
    [
        ("usp-ingest", b"pg_try_advisory_lock"),
        ("usp-ingest", b"CREATE TEMP TABLE"),
        ("usp-ingest-house", b"LISTEN"),
        ("usp-ingest-house", b"FROM usp.device"),
    ],
    ids=["writer, slot", "writer, stages", "housekeeping, listening", "housekeeping, registry"],
)
async def test_no_silence_lasts_for_ever(
    town: Town, publisher: Publisher, health: Health, application: str, words: bytes
) -> None:
    """Whatever the database does not answer any more, within two minutes the worker has begun anew."""
    with Wire(town.postgres.port) as wire:
        url = town.postgres.url.replace(f":{town.postgres.port}/", f":{wire.port}/")
        with town.worker(database=url) as worker:
            await town.ready()
            wire.lose(words, Lost.ANSWER, then_cut=False)
            await town.cut_off(application)
            assert await asyncio.to_thread(wire.sprung.wait, 20)
            publisher.more(2_000)
            since = time.monotonic()
            await health.says(60, ingest="failing") if "house" in application else await health.tells_of_waiting()
            await town.reaches("SELECT count(*) FROM usp.air_quality", 2_000, 120)
            await health.says(120, ingest="ok")
            counts = await settled(town, publisher, health, f"no answer to {words.decode()}", since)
            assert counts.received == publisher.sent
            assert worker.poll() is None
