"""A database that is away for longer: who lives is not taken for dead, and who is to end ends."""

import asyncio
import signal
import subprocess
import time
from pathlib import Path

import pytest
from tests.integration.town import Health, Publisher, Town, all_stored, health, publisher, settled, town

__all__ = ["health", "publisher", "town"]


async def test_after_an_outage_nobody_who_lives_is_taken_for_dead(
    town: Town, publisher: Publisher, health: Health
) -> None:
    """Two workers, and a database that is away for longer than a dead worker is waited for."""
    with town.worker() as first, town.worker() as second:
        await town.ready(2)
        async with publisher.streaming(1_000):
            await asyncio.sleep(0.5)
            town.postgres.stop()
            await health.says(database="failing")
            await asyncio.sleep(8)
            town.postgres.start()
            since = time.monotonic()
            await asyncio.sleep(5)
        await settled(town, publisher, health, "two workers, database away for 8 s", since)
        await town.ready(2)
        assert first.poll() is None
        assert second.poll() is None
    assert "taking_over" not in town.log


@pytest.mark.parametrize("moment", ["with messages in hand", "before it had begun"])
async def test_who_is_to_end_ends_also_without_a_database(
    town: Town, publisher: Publisher, health: Health, moment: str
) -> None:
    """Within seconds and without spinning; what it had in hand stays with the broker."""
    with town.worker():
        await town.ready()
    if moment == "before it had begun":
        town.postgres.stop()
    with town.worker() as worker:
        if moment == "before it had begun":
            await town.logged("database_unavailable", 2)
        else:
            await town.ready()
            publisher.more(500)
            await asyncio.to_thread(publisher.wait, 500)
            await all_stored(town, 500)
            town.postgres.stop()
        publisher.more(2_000)
        await asyncio.to_thread(publisher.wait, publisher.sent)
        await asyncio.sleep(1)
        before, began = cpu_seconds(worker.pid), time.monotonic()
        worker.send_signal(signal.SIGTERM)
        used = await until_it_ends(worker, before)
        seconds = time.monotonic() - began
        assert worker.returncode == 0
    assert seconds < 15
    assert used < 0.3 * seconds + 0.5
    town.postgres.start()
    since = time.monotonic()
    with town.worker():
        await settled(town, publisher, health, f"ended without a database, {moment}", since)


def cpu_seconds(pid: int) -> float:
    """What a process has computed so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


async def until_it_ends(process: subprocess.Popen[bytes], before: float) -> float:
    """Wait; returns what it has computed since `before`."""
    used = 0.0
    async with asyncio.timeout(20):
        while process.poll() is None:
            used = cpu_seconds(process.pid) - before
            await asyncio.sleep(0.05)
    return used
