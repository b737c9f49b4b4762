"""The stream goes on: the API is restarted, the database is, and another takes its place."""

import asyncio
import signal
import subprocess
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import asyncpg
import httpx
import pytest
from tests.integration.listening import Listener, listening, put, serving_at_port, serving_process

from usp import keys
from usp.api import live
from usp.embedded import Parts, Postgres, postgres
from usp.migrate import migrate

if TYPE_CHECKING:
    from tests.integration.conftest import World

LAMP = "lamp-corso-lodi-1"
AIR = ("air_quality", LAMP)


@pytest.fixture
async def own(
    parts: Parts, tmp_path: Path, world: "World", database_url: str, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Postgres]:
    """Another server, younger and with fewer transactions, to which the city's newest values are restored."""
    assert world.ids
    monkeypatch.setitem(postgres.SCRATCH_SETTINGS, "max_prepared_transactions", "1")
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
            await put(world.ids[LAMP], 4.5, connection)
            await listener.until(lambda: tells(listener, 4.5))
            last = listener.last_id
        await put(world.ids[LAMP], 5.5, connection)
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
        await put(world.ids[LAMP], 6.5, connection)
        await connection.close()
        await listener.until(lambda: tells(listener, 6.5))
        assert listener.kinds.count("reset") == 1


async def test_what_holds_the_cursor_back_is_named(own: Postgres) -> None:
    """A transaction of another account in another database; a prepared one. The API's account needs no right for it."""
    admin = await asyncpg.connect(own.url)
    for name in ("clerk", "stranger"):
        await admin.execute(f"CREATE ROLE {name} LOGIN PASSWORD 'x'")
    await admin.execute("GRANT usp_writer, usp_open, usp_restricted, usp_ops TO clerk")
    await admin.execute("BEGIN; SELECT pg_current_xact_id()")
    stranger = await asyncpg.connect(
        own.url_of("postgres"), user="stranger", password="x", server_settings={"application_name": "elsewhere"}
    )
    await stranger.execute("BEGIN; SELECT pg_current_xact_id()")
    await admin.execute("PREPARE TRANSACTION 'left'")
    token = await keys.create(admin, "operator", ["ops"])

    async with serving_at_port(f"postgresql://clerk:x@127.0.0.1:{own.port}/usp") as client:

        async def oldest() -> dict[str, Any]:
            state = await client.get("/v1/ops/state", headers={"authorization": f"Bearer {token}"})
            return dict(state.raise_for_status().json()["database"]["oldest_write"])

        found = await oldest()
        assert (found["pid"], found["application"]) == (None, "prepared transaction 'left' in usp")
        assert found["seconds"] < 60
        await admin.execute("ROLLBACK PREPARED 'left'")
        # How long it runs already is shown to nobody without that right.
        assert await oldest() == {
            "pid": stranger.get_server_pid(), "application": "elsewhere", "account": "stranger", "seconds": None,
        }  # fmt: skip
    await stranger.close()
    await admin.close()


async def test_a_restart_ends_streams_at_once(world: "World", database_url: str, tmp_path: Path) -> None:
    """SIGTERM does not wait for them, and who comes to the next process hears what he missed."""
    log = tmp_path / "log"
    async with serving_process(database_url, log) as (process, port), AsyncExitStack() as stack:
        client = await stack.enter_async_context(httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}"))
        listeners = [await stack.enter_async_context(listening(client)) for _ in range(20)]
        process.send_signal(signal.SIGTERM)
        began = time.monotonic()
        await asyncio.to_thread(process.wait, 5)
        assert time.monotonic() - began < 1
        await asyncio.gather(*(one.until(lambda one=one: one.ended) for one in listeners))  # type: ignore[misc]
    await put(world.ids[LAMP], 7.5, world.db)
    async with (
        serving_process(database_url, log, port),
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client,
        listening(client, last_event_id=listeners[0].last_id) as listener,
    ):
        assert listener.kinds[0] == "state"
        assert tells(listener, 7.5)
    assert "error" not in log.read_text().lower()
