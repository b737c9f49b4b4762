"""The stream goes on: the API is restarted, the database is, and another takes its place."""

import asyncio
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import asyncpg
import httpx
import pytest
from tests.integration.listening import Listener, listening, serving_at_port

from usp.api import live
from usp.embedded import Parts, Postgres
from usp.migrate import migrate

if TYPE_CHECKING:
    from tests.integration.conftest import World

LAMP = "lamp-corso-lodi-1"
AIR = ("air_quality", LAMP)
NEWER = "UPDATE usp.air_quality_latest SET no2 = $2, no2_time = no2_time + interval '1 second' WHERE device = $1"


@pytest.fixture
async def own(parts: Parts, tmp_path: Path, world: "World", database_url: str) -> AsyncIterator[Postgres]:
    """Another server, younger and with fewer transactions, to which the city's newest values are restored."""
    assert world.ids
    with Postgres(parts, tmp_path, scratch=True) as server:
        await asyncio.to_thread(migrate, server.url)
        tables = [f"usp.{name}" for name in ("profile", "site", "device", "placement", "*_latest")]
        argv: list[str] = [str(parts.pg_dump), "-a", *(w for name in tables for w in ("-t", name)), database_url]
        done = await asyncio.to_thread(subprocess.run, argv, capture_output=True, text=True, check=True)
        await asyncio.to_thread(server.psql, "usp", done.stdout)
        yield server


def tells(listener: Listener, value: float) -> bool:
    """Whether the lamppost's value has come."""
    return bool(listener.states[AIR]["no2"] == value)


async def test_a_restored_database_is_told_anew(own: Postgres, world: "World", database_url: str) -> None:
    """Its transactions begin at a lower number, which skips nothing: neither what was restored nor what comes then."""
    for _ in range(2_000):
        await world.db.execute("SELECT pg_current_xact_id()")
    async with serving_at_port(database_url) as client, listening(client) as listener:
        before, last = dict(listener.states), listener.last_id
    async with serving_at_port(own.url) as client:
        async with listening(client, last_event_id=last) as listener:
            assert listener.kinds[0] == "reset"
            assert listener.states == before
            assert int(listener.last_id.split("-")[2]) < int(last.split("-")[2])
            connection = await asyncpg.connect(own.url)
            await connection.execute(NEWER, world.ids[LAMP], 4.5)
            await listener.until(lambda: tells(listener, 4.5))
            last = listener.last_id
        await connection.execute(NEWER, world.ids[LAMP], 5.5)
        await connection.close()
        async with listening(client, last_event_id=last) as listener:
            assert listener.kinds[0] == "state"
            assert tells(listener, 5.5)


async def test_the_stream_stays_open_while_the_database_is_away(
    own: Postgres, world: "World", monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody has to come again: what happened meanwhile is told once it is back. Who comes new is told to wait."""
    monkeypatch.setattr(live, "PAUSE_S", 0.2)
    async with serving_at_port(own.url) as client, listening(client) as listener:
        await asyncio.to_thread(own.stop)
        await asyncio.sleep(0.7)
        assert (await client.get("/v1/stream")).status_code == 503
        assert not listener.ended
        await asyncio.to_thread(own.start)
        connection = await asyncpg.connect(own.url)
        await connection.execute(NEWER, world.ids[LAMP], 6.5)
        await connection.close()
        await listener.until(lambda: tells(listener, 6.5))
        assert listener.kinds.count("reset") == 1


async def test_a_restart_ends_streams_at_once(world: "World", database_url: str, tmp_path: Path) -> None:
    """SIGTERM does not wait for them, and who comes to the next process hears what he missed."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    client = httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}")

    async def started() -> subprocess.Popen[bytes]:
        argv = [sys.executable, "-m", "usp", "api", "--port", str(port), "--database-url", database_url]
        with (tmp_path / "log").open("ab") as out:
            process = subprocess.Popen(argv, stdout=out, stderr=out, cwd=tmp_path)
        async with asyncio.timeout(20):
            while True:
                with suppress(httpx.TransportError):
                    await client.get("/health/live")
                    return process
                await asyncio.sleep(0.05)

    process = await started()
    try:
        async with AsyncExitStack() as stack:
            listeners = [await stack.enter_async_context(listening(client)) for _ in range(20)]
            process.send_signal(signal.SIGTERM)
            began = time.monotonic()
            await asyncio.to_thread(process.wait, 5)
            assert time.monotonic() - began < 1
            await asyncio.gather(*(one.until(lambda one=one: one.ended) for one in listeners))  # type: ignore[misc]
        await world.db.execute(NEWER, world.ids[LAMP], 7.5)
        process = await started()
        async with listening(client, last_event_id=listeners[0].last_id) as listener:
            assert listener.kinds[0] == "state"
            assert tells(listener, 7.5)
    finally:
        process.kill()
        process.wait()
        await client.aclose()
    assert "error" not in (tmp_path / "log").read_text().lower()
