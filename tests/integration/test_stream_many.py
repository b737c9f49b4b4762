"""Thousands listen to one process: each hears, none costs much, and nobody of them holds it up."""

import asyncio
import resource
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.integration.listening import serving_process, stalled

from usp.models.datasets import DATASETS

if TYPE_CHECKING:
    import subprocess

    import asyncpg

MANY, DEVICES = 2_000, 3_000
OF_LAMPPOSTS = ("air_quality", "weather", "noise", "traffic", "lighting", "wifi")
#: What follows the event that ends what is told at first.
LIVE = b'"resumed":false}\nid: '

_CITY = """
    INSERT INTO usp.profile (name, kind, interval, max_hold, definition) VALUES ('lamp', 'lamppost', 600, 90000, '{}');
    INSERT INTO usp.device (name, kind, profile) SELECT 'lamp-' || n, 'lamppost', 'lamp' FROM generate_series(1, %d) n;
    INSERT INTO usp.site (name, title, lon, lat) VALUES ('town', 'Town', 9.2, 45.4);
    INSERT INTO usp.placement (device, site, valid, lon, lat)
        SELECT d.id, s.id, tstzrange(NULL, NULL), 9 + d.id * 1e-5, 45.4 FROM usp.device d, usp.site s;
"""


@pytest.fixture(scope="module")
async def town(db: "asyncpg.Connection[asyncpg.Record]") -> "asyncpg.Connection[asyncpg.Record]":
    """Lampposts in a row, each with something newest of everything."""
    await db.execute(_CITY % DEVICES)
    for name in OF_LAMPPOSTS:
        props = [prop for prop in DATASETS[name].properties if prop.type.value == "real"]
        columns = ", ".join(f"{p.name}, {p.name}_time" for p in props)
        values = ", ".join("1, now()" for _ in props)
        await db.execute(
            f"INSERT INTO usp.{name}_latest (device, received_at, {columns}) SELECT id, now(), {values} FROM usp.device"
        )
    await db.execute("ANALYZE")
    return db


def memory(process: "subprocess.Popen[bytes]") -> int:
    """Bytes that a process holds in memory."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) * 1024


class Crowd:
    """So many who listen, each to a part of the town of his own, around its first lamppost."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._few = asyncio.Semaphore(100)
        self._readers: list[asyncio.StreamReader] = []
        self._writers: list[asyncio.StreamWriter] = []

    async def come(self) -> None:
        """Listen, until all has been told that was at first."""
        await asyncio.gather(*map(self._come, range(MANY)))

    async def _come(self, number: int) -> None:
        async with self._few:
            reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
            box = f"{8 - number * 1e-4:.4f},45,9.0001,46"
            writer.write(f"GET /v1/stream?dataset=noise&bbox={box} HTTP/1.1\r\nHost: town\r\n\r\n".encode())
            self._readers.append(reader)
            self._writers.append(writer)
            await reader.readuntil(LIVE)

    async def hear(self, text: bytes) -> float:
        """Wait until everybody has heard something; returns after how many seconds."""
        began = time.monotonic()
        async with asyncio.timeout(20):
            await asyncio.gather(*(reader.readuntil(text) for reader in self._readers))
        return time.monotonic() - began

    def go(self) -> None:
        """Listen no longer."""
        for writer in self._writers:
            writer.transport.abort()


async def test_two_thousand_listen(
    town: "asyncpg.Connection[asyncpg.Record]", database_url: str, tmp_path: Path
) -> None:
    """All hear a change soon, also of the registry; none costs 200 kB; a signal ends all, also who takes nothing."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < MANY + 500:
        pytest.skip("too few open files are allowed here")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, MANY + 500), hard))
    log = tmp_path / "log"
    async with serving_process(database_url, log) as (process, port):
        crowd = Crowd(port)
        try:
            async with stalled(port, 5):
                before = memory(process)
                await crowd.come()
                assert (memory(process) - before) / MANY < 200_000
                await town.execute("UPDATE usp.noise_latest SET laeq = 77.5, laeq_time = now() WHERE device = 1")
                assert await crowd.hear(b'"laeq":77.5') < 4
                await town.execute("UPDATE usp.device SET retired_at = now() WHERE id = 2")
                assert await crowd.hear(b"event: gone") < 5
                began = time.monotonic()
                process.send_signal(signal.SIGTERM)
                await asyncio.to_thread(process.wait, 10)
                assert time.monotonic() - began < 4
        finally:
            crowd.go()
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert "error" not in log.read_text().lower()
