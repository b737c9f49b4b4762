"""What readers cost the writers: messages at a steady rate, committed while nobody asks, and while fifty do."""

import asyncio
import itertools
import json
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median, quantiles
from typing import Any

from tests.bench.ingest import DEVICES, TIMEOUT_S
from tests.bench.processes import line_of, running
from tests.bench.queries_compare import QueryBench
from tests.bench.queries_http import Client, RefusedError

from usp.embedded import Mosquitto
from usp.models.profile import DeviceProfile

READERS = 50
RATE = 5_000
MESSAGES = 75_000
#: Readers are at it for so long before the first message.
_WARM_S = 1.0
_LOOK_S = 0.05
_PAUSE_S = 1.0
_CONNECTED = "SELECT bool_or(connected) FROM usp.worker WHERE started_at > $1"


@dataclass(frozen=True)
class Taken:
    """How messages were taken in, and how many questions were answered meanwhile.

    A lag is for how long messages had been sent, at their rate, before they were committed.
    """

    messages_per_second: float
    lags: list[float]
    answers_per_second: float
    refusals_per_second: float

    @property
    def lag(self) -> float:
        """The median."""
        return median(self.lags)

    @property
    def lag_p95(self) -> float:
        """The 95th percentile."""
        return quantiles(self.lags, n=20)[-1]


class Intake:
    """A broker, a worker of ours, and a publisher that keeps to its rate."""

    def __init__(self, bench: QueryBench, broker: Mosquitto, profiles: Path) -> None:
        self._bench = bench
        self._broker = broker
        self._profiles = profiles
        # Recent, so that nothing is late, and not yet announced to be rolled up.
        self._next = datetime.now(UTC) - timedelta(minutes=9)

    async def run(self, paths: list[str], readers: int) -> Taken:
        """Take in all messages while so many readers ask, one question after the other."""
        settings = {
            "USP_DATABASE_URL": self._bench.url,
            "USP_BROKER_URL": self._broker.url,
            "USP_BROKER_VERSION": "3.1.1",
            "USP_PROFILES_DIR": str(self._profiles),
        }
        began = datetime.now(UTC)
        async with running("usp", "ingest", folder=self._bench.folder, settings=settings):
            async with asyncio.timeout(TIMEOUT_S):
                while not await self._bench.connection.fetchval(_CONNECTED, began):
                    await asyncio.sleep(_LOOK_S)
                async with self._asking(paths, readers) as answers:
                    await asyncio.sleep(_WARM_S)
                    answers.clear()
                    since = time.monotonic()
                    taken = await self._take()
                    seconds = time.monotonic() - since
        return Taken(*taken, answers[True] / seconds, answers[False] / seconds)

    @asynccontextmanager
    async def _asking(self, paths: list[str], readers: int) -> AsyncIterator[Counter[bool]]:
        """Ask all the time; what is counted are answers, and refusals, after each of which a reader pauses."""
        answers: Counter[bool] = Counter()

        async def ask(number: int) -> None:
            async with Client(self._bench.api) as client:
                for path in itertools.islice(itertools.cycle(paths), number, None):
                    try:
                        await client.get(path)
                    except RefusedError:
                        answers[False] += 1
                        await asyncio.sleep(_PAUSE_S)
                    else:
                        answers[True] += 1

        asking = [asyncio.create_task(ask(number), name=f"reader-{number}") for number in range(readers)]
        try:
            yield answers
            for task in asking:
                if task.done():
                    task.result()
        finally:
            for task in asking:
                task.cancel()
            await asyncio.gather(*asking, return_exceptions=True)

    async def _take(self) -> tuple[float, list[float]]:
        """Publish, and see how far commits are behind; returns messages per second, and lags in seconds."""
        start, self._next = self._next, self._next + timedelta(seconds=MESSAGES // DEVICES)
        before = await self._received()
        options = ["--port", str(self._broker.port), "--messages", str(MESSAGES), "--devices", str(DEVICES)]
        options += ["--rate", str(RATE), "--start", start.isoformat()]
        seen: list[tuple[float, int]] = []
        async with running("usp_simulators.load", *options, folder=self._bench.folder) as publisher:
            while not seen or seen[-1][1] < MESSAGES:
                await asyncio.sleep(_LOOK_S)
                # When the question is sent: what it counts was committed by then.
                asked = time.monotonic()
                seen.append((asked, await self._received() - before))
            first = json.loads(await line_of(publisher))["first"]
        lags = [at - first - count / RATE for at, count in seen if 0 < count < MESSAGES]
        return MESSAGES / (seen[-1][0] - first), lags

    async def _received(self) -> int:
        sql = "SELECT coalesce(sum(count), 0)::bigint FROM usp.ingest_total WHERE what = 'stored'"
        count: int = await self._bench.connection.fetchval(sql)
        return count


def write_profile(folder: Path, profile: DeviceProfile) -> Path:
    """Write it where the worker finds it; returns the folder."""
    folder.mkdir(exist_ok=True)
    # JSON is YAML too.
    (folder / f"{profile.name}.yaml").write_text(profile.model_dump_json())
    return folder


async def with_and_without(bench: QueryBench, intake: Intake, paths: list[str], runs: int) -> dict[str, list[Any]]:
    """Both in turns."""
    taken: dict[str, list[Taken]] = {"alone": [], "read": []}
    for _ in range(runs):
        taken["alone"].append(await intake.run(paths, 0))
        taken["read"].append(await intake.run(paths, READERS))
    return taken
