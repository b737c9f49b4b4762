"""Kill -9 of the worker at every step; the next one finds what is left, and every reading stands once."""

import asyncio
import json
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from tests.integration import dying_worker
from tests.integration.town import Health, Publisher, Town, health, publisher, settled, town

__all__ = ["health", "publisher", "town"]

#: One of so many readings is refused by the database, where that is asked for.
REFUSED = 500
#: Step -> at which call death comes: in the middle of a stream; normalising is called for each message.
CALLS = {
    "received": 20,
    "normalising": 3_000,
    "copied": 41,
    "isolating": 4,
    "before_commit": 20,
    "committed": 20,
    "acknowledged": 20,
    "draining": 20,
}


def dying(town: Town, step: str, calls: int) -> list[str]:
    """The command of a worker that dies."""
    return [str(Path(dying_worker.__file__)), step, str(calls), str(town.folder / "note")]


async def dead(process: subprocess.Popen[bytes]) -> None:
    """Wait until it has killed itself."""
    async with asyncio.timeout(40):
        while process.poll() is None:
            await asyncio.sleep(0.01)
    assert process.returncode == -signal.SIGKILL


def last_note(town: Town) -> Any:
    """What the dead one had in hand."""
    return json.loads((town.folder / "note").read_text())


@pytest.mark.parametrize("step", CALLS)
async def test_wherever_a_worker_is_killed_the_next_one_goes_on(
    town: Town, publisher: Publisher, health: Health, step: str
) -> None:
    """In the middle of a stream; what was in hand comes again, and is stored once."""
    if step == "isolating":
        refuses = f"CHECK (extract(epoch FROM time)::bigint % {REFUSED} <> {REFUSED - 1})"
        await town.execute(f"ALTER TABLE usp.air_quality ADD CONSTRAINT refuses {refuses}")
    with town.worker(command=dying(town, step, CALLS[step])) as process:
        await town.ready()
        async with publisher.streaming():
            await dead(process)
    publisher.more(500)
    assert (await health.figures())["totals"]["received"] < publisher.sent
    note = last_note(town)
    assert note["step"] == step
    if step != "acknowledged":
        assert note["in_flight"] > 0
    since = time.monotonic()
    with town.worker():
        rejected = publisher.sent // REFUSED if step == "isolating" else 0
        counts = await settled(town, publisher, health, f"worker killed: {step}", since, rejected=rejected)
    if step in {"isolating", "committed", "draining"}:
        assert counts.duplicate > 0
