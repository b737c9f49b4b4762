"""Processes that stop without ending, for longer than every timeout: sockets stay open and nobody answers."""

import asyncio
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest
from tests.integration.town import Health, Publisher, Town, family, health, settled, town

from usp.ingest.committer import COMMIT_TIMEOUT_S
from usp.ingest.mqtt import KEEPALIVE_S

__all__ = ["health", "town"]

COUNT = 20_000


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
async def test_whoever_stalls_nothing_is_lost(town: Town, health: Health, victim: str) -> None:
    """Longer than the commit's timeout and one and a half keep-alives; afterwards all of it is stored, once."""
    publisher = Publisher(town.broker)
    with town.worker() as worker:
        await town.ready()
        publisher.send(range(COUNT // 2))
        processes = {"database": town.postgres.process, "broker": town.broker.process, "worker": worker}
        process = processes[victim]
        assert process is not None
        began = time.monotonic()
        with stopped(process.pid):
            publisher.send(range(COUNT // 2, COUNT))
            # Of a broker that is silent the worker knows when it has not answered a ping for a whole keep-alive.
            await health.says(2 * KEEPALIVE_S + 15, **{"database" if victim == "database" else "ingest": "failing"})
            told = time.monotonic() - began
            await asyncio.sleep(max(0, COMMIT_TIMEOUT_S + 15 - told, 1.5 * KEEPALIVE_S + 15 - told))
        since = time.monotonic()
        await settled(town, publisher, health, f"{victim} stalled", since, within=200)
        assert worker.poll() is None
    publisher.close()
