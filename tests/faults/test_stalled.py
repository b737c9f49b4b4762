"""Processes that stop without ending, for longer than every timeout: sockets stay open and nobody answers."""

import asyncio
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest
from tests.integration.test_ingest_survives import Publisher, Town, all_stored, town

from usp.ingest.mqtt import KEEPALIVE_S
from usp.ingest.worker import COMMIT_TIMEOUT_S

__all__ = ["town"]

COUNT = 20_000


def family(pid: int) -> list[int]:
    """A process and its children."""
    children = subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True, check=False).stdout.split()
    return [pid, *map(int, children)]


@contextmanager
def stopped(pid: int) -> Iterator[None]:
    """Stop a process and its children, and let them go on afterwards."""
    pids = family(pid)
    for each in pids:
        os.kill(each, signal.SIGSTOP)
    try:
        yield
    finally:
        for each in pids:
            with suppress(ProcessLookupError):
                os.kill(each, signal.SIGCONT)


@pytest.mark.timeout(400)
@pytest.mark.parametrize("victim", ["database", "broker", "worker"])
async def test_whoever_stalls_nothing_is_lost(town: Town, victim: str) -> None:
    """Longer than the commit's timeout and one and a half keep-alives; afterwards all of it is stored, once."""
    publisher = Publisher(town.broker)
    with town.worker() as worker:
        await town.ready()
        publisher.send(range(COUNT // 2))
        processes = {"database": town.postgres.process, "broker": town.broker.process, "worker": worker}
        process = processes[victim]
        assert process is not None
        with stopped(process.pid):
            publisher.send(range(COUNT // 2, COUNT))
            await asyncio.sleep(max(COMMIT_TIMEOUT_S, 1.5 * KEEPALIVE_S) + 15)
        async with asyncio.timeout(200):
            await asyncio.to_thread(publisher.wait, COUNT)
        await all_stored(town, COUNT)
        assert worker.poll() is None
    publisher.close()
