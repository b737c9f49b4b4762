"""Nothing acknowledged is lost when the worker, the database or the broker goes away and comes back."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import orjson
import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from usp.embedded import Mosquitto, Parts, Postgres
from usp.ingest.registry import publish_profiles
from usp.migrate import migrate
from usp.models.device import Device
from usp.models.profile import default_profile
from usp.registry import bring_in_devices

BASE = 1_700_000_000


@dataclass
class Town:
    """A database, a broker, and the settings under which a worker finds them."""

    postgres: Postgres
    broker: Mosquitto
    folder: Path

    async def query(self, statement: str) -> Any:
        """One value from the database."""
        connection = await asyncpg.connect(self.postgres.url)
        try:
            return await connection.fetchval(statement)
        finally:
            await connection.close()

    async def reaches(self, statement: str, expected: Any) -> None:
        """Wait until a query gives what is expected; the database may be away meanwhile."""
        found = None
        async with asyncio.timeout(60):
            while found != expected:
                with suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
                    found = await self.query(statement)
                await asyncio.sleep(0.05)

    @contextmanager
    def worker(self) -> Iterator["subprocess.Popen[bytes]"]:
        """A worker of its own process, ended with SIGTERM."""
        environment = os.environ | {"USP_DATABASE_URL": self.postgres.url, "USP_BROKER_URL": self.broker.url}
        with (self.folder / "ingest.log").open("ab") as log:
            process = subprocess.Popen([sys.executable, "-m", "usp", "ingest"], env=environment, stderr=log)
        try:
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            assert process.wait(20) in {0, -signal.SIGKILL}

    async def ready(self) -> None:
        """Wait until a worker listens."""
        await self.reaches(
            "SELECT count(*) FROM usp.worker WHERE connected AND heartbeat_at > now() - '2s'::interval", 1
        )


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


class Publisher:
    """Sends numbered readings, and knows when the broker has taken all of them."""

    def __init__(self, broker: Mosquitto) -> None:
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="publisher", clean_session=False)
        self._client.max_inflight_messages_set(2000)
        self._client.on_publish = self._count
        self._taken = 0
        self._condition = threading.Condition()
        self._client.connect("127.0.0.1", broker.port)
        self._client.loop_start()

    def _count(self, *_: Any) -> None:
        with self._condition:
            self._taken += 1
            self._condition.notify()

    def send(self, numbers: range) -> None:
        """One reading a second of measuring time, its value its number."""
        for n in numbers:
            self._client.publish("usp/v1/lamp-1/up", orjson.dumps({"time": BASE + n, "no2": n % 1000}), qos=1)

    def wait(self, count: int) -> None:
        """Wait until the broker has acknowledged so many."""
        with self._condition:
            assert self._condition.wait_for(lambda: self._taken >= count, 60)

    def close(self) -> None:
        """Disconnect."""
        self._client.disconnect()
        self._client.loop_stop()


@pytest.fixture
async def publisher(town: Town) -> AsyncIterator[Publisher]:
    """A publisher that reconnects by itself."""
    made = Publisher(town.broker)
    yield made
    made.close()


async def all_stored(town: Town, count: int) -> None:
    """Every reading stands with its own value, and the counts add up."""
    await town.reaches("SELECT count(*) FROM usp.air_quality", count)
    wrong = "SELECT count(*) FROM usp.air_quality WHERE no2 <> (extract(epoch FROM time)::bigint - 1700000000) % 1000"
    assert await town.query(wrong) == 0
    totals = "SELECT coalesce(sum(count), 0) FROM usp.ingest_total WHERE what {}"
    received = await town.query(totals.format("= 'received'"))
    assert received >= count
    assert received == await town.query(totals.format("IN ('stored', 'duplicate', 'rejected')"))
    assert await town.query(totals.format("= 'rejected'")) == 0


async def test_a_killed_worker_loses_nothing(town: Town, publisher: Publisher) -> None:
    """Kill -9 in the middle of a stream, three times; what was not committed comes again."""
    count = 20_000
    for kill in range(3):
        with town.worker() as process:
            await town.ready()
            if kill == 0:
                publisher.send(range(count))
            await asyncio.sleep(0.3)
            process.kill()
    with town.worker():
        await asyncio.to_thread(publisher.wait, count)
        await all_stored(town, count)


async def test_a_worker_that_is_asked_to_end_drains(town: Town, publisher: Publisher) -> None:
    """After SIGTERM everything received is committed, nothing is delivered twice, and the slot is free."""
    count = 5_000
    with town.worker():
        await town.ready()
        publisher.send(range(count))
        await asyncio.to_thread(publisher.wait, 1_000)
    assert await town.query("SELECT count(*) FROM usp.worker") == 0
    with town.worker():
        await asyncio.to_thread(publisher.wait, count)
        await all_stored(town, count)
    assert await town.query("SELECT coalesce(sum(count), 0) FROM usp.ingest_total WHERE what = 'duplicate'") == 0


async def test_two_workers_share_and_the_living_takes_over_from_the_dead(town: Town, publisher: Publisher) -> None:
    """Each message goes to one worker; what the broker keeps for a killed one is fetched by the other."""
    count = 6_000
    with town.worker() as doomed:
        await town.ready()
        with town.worker():
            await town.reaches("SELECT count(*) FROM usp.worker WHERE connected", 2)
            publisher.send(range(count // 2))
            await asyncio.to_thread(publisher.wait, count // 2)
            await all_stored(town, count // 2)
            assert await town.query("SELECT sum(count) FROM usp.ingest_total WHERE what = 'received'") == count // 2
            assert await town.query("SELECT count(DISTINCT slot) FROM usp.ingest_total WHERE what = 'received'") == 2
            doomed.kill()
            publisher.send(range(count // 2, count))
            await asyncio.to_thread(publisher.wait, count)
            await all_stored(town, count)
            await town.reaches("SELECT count(*) FROM usp.worker", 1)
            publisher.send(range(count, count + 100))
            await all_stored(town, count + 100)


async def test_a_stall_during_a_take_over_loses_nothing(town: Town, publisher: Publisher) -> None:
    """The broker stands still while a dead worker's queue is being emptied: silence is not taken for its end."""
    count = 60_000
    with town.worker() as doomed:
        await town.ready()
        with town.worker():
            await town.reaches("SELECT count(*) FROM usp.worker WHERE connected", 2)
            doomed.kill()
            publisher.send(range(count))
            async with asyncio.timeout(30):
                while "taking_over" not in (town.folder / "ingest.log").read_text():
                    await asyncio.sleep(0.01)
            process = town.broker.process
            assert process is not None
            process.send_signal(signal.SIGSTOP)
            await asyncio.sleep(4)
            process.send_signal(signal.SIGCONT)
            await asyncio.to_thread(publisher.wait, count)
            await all_stored(town, count)


async def test_a_database_that_goes_away_is_waited_for(town: Town, publisher: Publisher) -> None:
    """While it is away nothing is acknowledged; when it is back the worker goes on by itself."""
    count = 10_000
    with town.worker() as process:
        await town.ready()
        publisher.send(range(count // 2))
        town.postgres.stop()
        publisher.send(range(count // 2, count))
        await asyncio.sleep(1)
        town.postgres.start()
        await asyncio.to_thread(publisher.wait, count)
        await all_stored(town, count)
        assert process.poll() is None


async def test_a_broker_that_goes_away_is_waited_for(town: Town, publisher: Publisher) -> None:
    """A restarted broker keeps session and queue; the worker finds its way back."""
    count = 4_000
    with town.worker() as process:
        await town.ready()
        publisher.send(range(count // 2))
        await asyncio.to_thread(publisher.wait, count // 2)
        town.broker.stop()
        publisher.send(range(count // 2, count))
        await asyncio.sleep(0.5)
        town.broker.start()
        await asyncio.to_thread(publisher.wait, count)
        await all_stored(town, count)
        assert process.poll() is None
