"""A worker that dies while it inherits from a dead one: those who inherit wait a while, and so does this test."""

import asyncio
import time

from tests.integration.test_ingest_killed import dead, dying, last_note
from tests.integration.town import Health, Publisher, Town, health, publisher, settled, town

__all__ = ["health", "publisher", "town"]


async def test_killed_while_taking_over(town: Town, publisher: Publisher, health: Health) -> None:
    """The third worker inherits from the second what that had inherited from the first."""
    with town.worker() as first:
        await town.ready()
        with town.worker(command=dying(town, "taking_over", 2)) as second:
            await town.ready(2)
            async with publisher.streaming(1_000):
                await asyncio.sleep(0.5)
                first.kill()
                await dead(second)
            assert last_note(town)["in_flight"] > 0
            await health.says(ingest="failing", within=60)
            publisher.more(500)
            since = time.monotonic()
            with town.worker():
                counts = await settled(town, publisher, health, "worker killed: taking over", since)
    assert counts.duplicate > 0
