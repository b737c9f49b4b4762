"""More messages than a worker may hold, while it cannot write any."""

from tests.integration.test_ingest_broker import flooded
from tests.integration.town import Health, Town, health, town

__all__ = ["health", "town"]


async def test_a_flood_of_empty_messages_does_not_fill_the_memory(town: Town, health: Health) -> None:
    """Also what is shorter than everything that is noted about it is counted at its true cost."""
    await flooded(town, health, 800_000, b"usp/v1/lamp-1/up")
