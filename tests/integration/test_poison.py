"""One bad reading in a large batch: how it is found."""

import asyncio
import time

from tests.integration.town import BASE, Health, Publisher, Town, health, publisher, reading, settled, town

__all__ = ["health", "publisher", "town"]


async def test_one_poisonous_reading_among_thousands_is_put_aside(
    town: Town, publisher: Publisher, health: Health
) -> None:
    """A constraint that an operator has added refuses one of five thousand; the others are stored within seconds."""
    count, bad = 5_000, 3_210
    publisher.close()
    transactions = "SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = 'usp'"
    await town.execute(f"ALTER TABLE usp.air_quality ADD CONSTRAINT refuses CHECK (time <> to_timestamp({BASE + bad}))")
    with town.worker():
        await town.ready()
    everything = Publisher(town.broker)
    everything.more(count)
    await asyncio.to_thread(everything.wait, count)
    before = await town.query(transactions)
    with town.worker() as worker:
        since = time.monotonic()
        await settled(town, everything, health, "poisonous reading", since, rejected=1)
        assert worker.poll() is None
    # To look for it one by one would take as many transactions as there are readings.
    assert await town.query(transactions) - before < count // 4
    rejection = "SELECT reason || ' ' || convert_from(payload, 'UTF8') FROM usp.rejection"
    expected = str(reading(bad)).replace("'", '"').replace(" ", "")
    assert await town.query(rejection) == f"refused_by_database {expected}"
    everything.close()
