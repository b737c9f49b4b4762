"""A small town whose servers may be broken, and what the tests of survival do in it."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import asyncpg
import httpx
import orjson
import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion
from tests.integration.conftest import serving

from usp.embedded import Mosquitto, Parts, Postgres
from usp.ingest.registry import publish_profiles
from usp.migrate import migrate
from usp.models.device import Device
from usp.models.profile import default_profile
from usp.registry import bring_in_devices

BASE = 1_700_000_000
#: Every scenario appends a line of JSON to the file that this variable names.
REPORT = "SURVIVAL_REPORT"
INGEST = ("-m", "usp", "ingest")


class Counts(NamedTuple):
    """What became of everything, over all workers."""

    received: int
    stored: int
    duplicate: int
    rejected: int


@dataclass
class Town:
    """A database, a broker, and the settings under which a worker finds them."""

    postgres: Postgres
    broker: Mosquitto
    folder: Path

    async def query(self, statement: str, *values: Any) -> Any:
        """One value from the database."""
        connection = await asyncpg.connect(self.postgres.url)
        try:
            return await connection.fetchval(statement, *values)
        finally:
            await connection.close()

    async def execute(self, *statements: str) -> None:
        """Each by itself, as the database's superuser."""
        connection = await asyncpg.connect(self.postgres.url)
        try:
            for statement in statements:
                await connection.execute(statement)
        finally:
            await connection.close()

    async def reaches(self, statement: str, expected: Any, within: float = 60) -> None:
        """Wait until a query gives what is expected; the database may be away meanwhile."""
        found = None
        try:
            async with asyncio.timeout(within):
                while found != expected:
                    with suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
                        found = await self.query(statement)
                    await asyncio.sleep(0.05)
        except TimeoutError:
            raise AssertionError(f"{statement}: {found!r}, expected {expected!r}") from None

    @contextmanager
    def worker(
        self,
        *,
        database: str | None = None,
        broker: str | None = None,
        command: Sequence[str] = INGEST,
        within: Sequence[str] = (),
    ) -> Iterator["subprocess.Popen[bytes]"]:
        """A worker of its own process, ended with SIGTERM; `within` is what runs the command."""
        environment = os.environ | {
            "USP_DATABASE_URL": database or self.postgres.url,
            "USP_BROKER_URL": broker or self.broker.url,
        }
        with (self.folder / "ingest.log").open("ab") as log:
            process = subprocess.Popen([*within, sys.executable, *command], env=environment, stderr=log)
        try:
            yield process
        except BaseException:
            print(self.log[-4_000:])  # noqa: T201 - pytest shows it beside the failure
            raise
        finally:
            process.send_signal(signal.SIGTERM)
            status = process.wait(20)
        assert status in {0, -signal.SIGKILL}, self.log[-4_000:]

    async def ready(self, workers: int = 1) -> None:
        """Wait until so many workers listen."""
        await self.reaches(
            "SELECT count(*) FROM usp.worker WHERE connected AND heartbeat_at > now() - '2s'::interval", workers
        )

    async def account(self) -> str:
        """A URL for workers by an account that is no superuser: limits and passwords hold for it."""
        await self.execute("CREATE ROLE ingest LOGIN PASSWORD 'first' IN ROLE usp_writer")
        return f"postgresql://ingest:first@127.0.0.1:{self.postgres.port}/usp"

    @property
    def log(self) -> str:
        """What the workers have said."""
        return (self.folder / "ingest.log").read_text()

    async def logged(self, text: str, times: int = 1, within: float = 30) -> None:
        """Wait until the workers have said something so many times."""
        async with asyncio.timeout(within):
            while self.log.count(text) < times:
                await asyncio.sleep(0.01)

    async def backends(self, application: str = "usp-ingest") -> list[int]:
        """The server's processes for workers' connections of this kind."""
        pids: list[int] | None = await self.query(
            "SELECT array_agg(pid) FROM pg_stat_activity WHERE application_name = $1", application
        )
        return pids or []

    async def cut_off(self, application: str = "usp-ingest") -> None:
        """Let the server end the workers' connections of this kind, as an administrator would."""
        for pid in await self.backends(application):
            await self.query("SELECT pg_terminate_backend($1)", pid)

    async def waits_for(self, event: str) -> None:
        """Wait until the writer's statement waits for something (pg_stat_activity.wait_event)."""
        await self.reaches(
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'usp-ingest' "
            f"AND '{event}' IN (wait_event, wait_event_type)",
            1,
        )

    async def counts(self) -> Counts:
        """What the workers have counted."""
        connection = await asyncpg.connect(self.postgres.url)
        try:
            records = await connection.fetch("SELECT what, sum(count)::bigint AS n FROM usp.ingest_total GROUP BY what")
        finally:
            await connection.close()
        counted = {r["what"]: r["n"] for r in records}
        return Counts(*(counted.get(what, 0) for what in Counts._fields))


@asynccontextmanager
async def make_town(parts: Parts, data: Path, folder: Path) -> AsyncIterator[Town]:
    """A town with one lamppost, whose servers may be broken; the database lies in `data`."""
    with Postgres(parts, data / "postgres", scratch=True) as postgres, Mosquitto(parts, folder / "broker") as broker:
        await asyncio.to_thread(migrate, postgres.url)
        connection = await asyncpg.connect(postgres.url)
        await publish_profiles(connection, {"native-lamppost": default_profile("lamppost")})
        await bring_in_devices(connection, [Device(name="lamp-1", kind="lamppost", profile="native-lamppost")])
        await connection.close()
        yield Town(postgres, broker, folder)


@pytest.fixture
async def town(parts: Parts, tmp_path: Path) -> AsyncIterator[Town]:
    """One such town for a test."""
    async with make_town(parts, tmp_path, tmp_path) as made:
        yield made


def family(pid: int) -> list[int]:
    """A process and its children."""
    children = subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True, check=False).stdout.split()
    return [pid, *map(int, children)]


class Publisher:
    """Sends numbered readings, and knows when the broker has taken all of them."""

    def __init__(self, broker: Mosquitto) -> None:
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="publisher", clean_session=False)
        self._client.max_inflight_messages_set(2000)
        self._client.on_publish = self._count
        self._taken = 0
        self._condition = threading.Condition()
        self.sent = 0
        self._client.connect("127.0.0.1", broker.port)
        self._client.loop_start()

    def _count(self, *_: Any) -> None:
        with self._condition:
            self._taken += 1
            self._condition.notify()

    def send(self, numbers: range) -> None:
        """One reading a second of measuring time, its values its number."""
        for n in numbers:
            self._client.publish("usp/v1/lamp-1/up", orjson.dumps(reading(n)), qos=1)
        self.sent += len(numbers)

    def more(self, count: int) -> None:
        """The next so many readings."""
        self.send(range(self.sent, self.sent + count))

    @asynccontextmanager
    async def streaming(self, readings_a_second: int = 4_000) -> AsyncIterator[None]:
        """Readings all the time, as a city sends them."""
        pause = 0.02

        async def stream() -> None:
            while True:
                self.more(int(readings_a_second * pause))
                await asyncio.sleep(pause)

        task = asyncio.create_task(stream())
        try:
            yield
        finally:
            task.cancel()

    def wait(self, count: int) -> None:
        """Wait until the broker has acknowledged so many."""
        with self._condition:
            assert self._condition.wait_for(lambda: self._taken >= count, 60)

    def close(self) -> None:
        """Disconnect."""
        self._client.disconnect()
        self._client.loop_stop()


def reading(n: int) -> dict[str, Any]:
    """What tells one reading from every other."""
    return {"time": BASE + n, "no2": n % 1000, "pm2_5": n // 1000}


@pytest.fixture
async def publisher(town: Town) -> AsyncIterator[Publisher]:
    """A publisher that reconnects by itself."""
    made = Publisher(town.broker)
    yield made
    made.close()


class Health:
    """What the platform says of itself over HTTP."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    @classmethod
    @asynccontextmanager
    async def of(cls, town: Town) -> AsyncIterator["Health"]:
        """The API over a town's database."""
        async with serving(town.postgres.url) as client:
            yield cls(client)

    async def ready(self) -> dict[str, str]:
        """Each dependency, and how it does."""
        answer = await self._client.get("/health/ready")
        return {name: check["status"] for name, check in answer.json()["dependencies"].items()}

    async def figures(self) -> Any:
        """The figures of ingestion; None while there is no database to ask."""
        answer = await self._client.get("/health/ingest")
        return answer.json() if answer.status_code == 200 else None

    async def says(self, within: float = 20, **expected: str) -> None:
        """Wait until the dependencies do as expected."""
        found: dict[str, str] = {}
        try:
            async with asyncio.timeout(within):
                while expected.items() - found.items():
                    found = await self.ready()
                    await asyncio.sleep(0.05)
        except TimeoutError:
            raise AssertionError(f"{found}, expected {expected}") from None

    async def tells_of_waiting(self, within: float = 20) -> int:
        """Wait until the figures say that something was received and is not yet committed; returns how much."""
        async with asyncio.timeout(within):
            while True:
                figures = await self.figures()
                if figures is not None and figures["totals"]["in_flight"] > 0:
                    return int(figures["totals"]["in_flight"])
                await asyncio.sleep(0.1)

    async def tells_of_silence(self, seconds: float, within: float = 20) -> None:
        """Wait until the figures say that no worker has been heard of for so long."""
        async with asyncio.timeout(within):
            while True:
                figures = await self.figures()
                if figures is not None:
                    beats = [datetime.fromisoformat(worker["heartbeat_at"]) for worker in figures["workers"]]
                    if datetime.now(UTC) - max(beats) > timedelta(seconds=seconds):
                        return
                await asyncio.sleep(0.1)

    async def well(self, counts: Counts, within: float = 20) -> None:
        """Wait until everything is ready, nothing is under way, and the totals are these."""
        await self.says(within, database="ok", schema="ok", ingest="ok")
        expected = {**counts._asdict(), "in_flight": 0}
        totals: Any = None
        try:
            async with asyncio.timeout(within):
                while expected.items() - (totals or {}).items():
                    totals = (await self.figures() or {}).get("totals")
                    await asyncio.sleep(0.1)
        except TimeoutError:
            raise AssertionError(f"{totals}, expected {expected}") from None


@pytest.fixture
async def health(town: Town) -> AsyncIterator[Health]:
    """The API over the town's database."""
    async with Health.of(town) as told:
        yield told


async def all_stored(town: Town, count: int, rejected: int = 0, within: float = 60) -> Counts:
    """Every reading stands with its own values, the newest ones too, and the counts add up."""
    await town.reaches("SELECT count(*) FROM usp.air_quality", count - rejected, within)
    wrong = f"""
        SELECT count(*) FROM usp.air_quality, LATERAL (SELECT extract(epoch FROM time)::bigint - {BASE}) AS t (n)
        WHERE no2 IS DISTINCT FROM n % 1000 OR pm2_5 IS DISTINCT FROM n / 1000 OR n NOT BETWEEN 0 AND $1 - 1
    """
    assert await town.query(wrong, count) == 0
    newest = """
        SELECT l.no2 = t.no2 AND l.no2_time = t.time AND l.pm2_5 = t.pm2_5 AND l.pm2_5_time = t.time
        FROM usp.air_quality_latest l JOIN usp.air_quality t USING (device) ORDER BY t.time DESC LIMIT 1
    """
    assert await town.query(newest)
    counts = await town.counts()
    assert counts.received >= count
    assert counts.received == counts.stored + counts.duplicate + counts.rejected
    # Stored means new or completed, so whatever had been counted a second time would show here.
    assert counts.stored == count - rejected
    # What is refused leaves no row by which its second delivery could be known: it is refused again.
    assert rejected <= counts.rejected <= rejected + counts.received - count
    return counts


async def settled(
    town: Town,
    publisher: Publisher,
    health: Health,
    scenario: str,
    since: float,
    *,
    rejected: int = 0,
    within: float = 60,
) -> Counts:
    """All that was sent stands, once; health says that all is well; and the scenario's line is written."""
    await asyncio.to_thread(publisher.wait, publisher.sent)
    counts = await all_stored(town, publisher.sent, rejected, within)
    recovery = time.monotonic() - since
    await health.well(counts)
    report(scenario, publisher.sent, counts, recovery, rejected)
    return counts


def report(scenario: str, sent: int, counts: Counts, recovery: float, rejected: int | None = None) -> None:
    """One line of the table of survival; `recovery` counts from when the fault was mended until all was stored.

    `rejected` is how many were to be rejected, where some of them may have come twice.
    """
    refused = counts.rejected if rejected is None else rejected
    line = {"scenario": scenario, "sent": sent, **counts._asdict()}
    line |= {"lost": sent - counts.stored - refused, "recovery_s": round(recovery, 1)}
    print(" · ".join(f"{name} {value}" for name, value in line.items()))  # noqa: T201 - shown with -rP
    if path := os.environ.get(REPORT):
        with Path(path).open("a") as file:
            file.write(json.dumps(line) + "\n")
