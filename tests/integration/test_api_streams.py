"""Exports over a real socket: slow clients, clients that go away."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, cast

import httpx
import pytest
import uvicorn
from tests.integration.conftest import serving

from usp import db
from usp.api.app import create_app
from usp.api.representations.csv import CSV
from usp.settings import Settings

if TYPE_CHECKING:
    from tests.integration.conftest import World

PATH = "/v1/datasets/wifi/readings?format=csv&from=2020-01-01&to=2022-01-01"
ROWS = 400_000


@pytest.fixture(scope="module")
async def port(world: "World", database_url: str) -> AsyncIterator[int]:
    """Where a real server listens, before a year of one access point."""
    await world.db.execute(
        "INSERT INTO usp.wifi (time, device, clients, rx_bytes, received_at) SELECT "
        "'2020-01-01Z'::timestamptz + n * interval '1 minute', $1, n % 100, n, now() FROM generate_series(1, $2) n",
        world.ids["lamp-corso-lodi-1"],
        ROWS,
    )
    settings = Settings(_env_file=None, database_url=database_url)  # type: ignore[call-arg]
    config = uvicorn.Config(create_app(settings), port=0, log_config=None, http="httptools", lifespan="on")
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    yield server.servers[0].sockets[0].getsockname()[1]
    server.should_exit = True
    await serving


async def exports(world: "World") -> int:
    """How many exports the database is busy with."""
    return int(
        await world.db.fetchval(
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'usp-api-open' "
            "AND query LIKE 'COPY%' AND state <> 'idle' AND datname = current_database()"
        )
    )


async def test_an_export_is_everything(port: int) -> None:
    """All rows, compressed on the way, in order."""
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
        response = await client.get(PATH)
        lines = response.text.splitlines()
        assert len(lines) == ROWS + 1
        assert lines[0] == "time,device,site,lon,lat,clients,rx_bytes,tx_bytes,flags"
        assert "\r" not in response.text
        assert lines[1] == "2020-01-01T00:01:00Z,lamp-corso-lodi-1,viale-bligny,9.1917,45.451,1,1,,"
        assert response.headers["content-encoding"] == "gzip"
        assert "wifi.csv" in response.headers["content-disposition"]


async def test_an_export_may_last(port: int, database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Longer than a server may be silent about any other statement."""
    assert port
    monkeypatch.setattr(db, "COMMAND_GRACE_S", -29.8)
    async with serving(database_url) as client:
        response = await client.get(PATH)
        assert response.text.count("\n") == ROWS + 1
        assert response.elapsed.total_seconds() > 0.3


async def test_a_slow_client_holds_the_server_back(port: int, world: "World") -> None:
    """What nobody reads is not fetched: the query waits, memory does not grow."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
    writer.write(f"GET {PATH} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    await reader.readexactly(100)
    await asyncio.sleep(1.5)
    assert await exports(world) == 1
    writer.close()
    await _ended(world)


async def test_a_client_that_goes_stops_the_query(port: int, world: "World") -> None:
    """The connection is free for others at once."""
    for _ in range(25):
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(f"GET {PATH} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        await asyncio.sleep(0.02)
        writer.close()
    await _ended(world)
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
        assert (await client.get("/v1/devices")).status_code == 200


async def test_head_makes_no_export(port: int, world: "World", monkeypatch: pytest.MonkeyPatch) -> None:
    """The headers are known before the rows: of hundreds of chunks hardly any is made."""
    made = 0
    whole = CSV.chunks

    async def counted(*args: Any) -> AsyncIterator[bytes]:
        nonlocal made
        async with aclosing(cast("AsyncGenerator[bytes]", whole(*args))) as chunks:
            async for chunk in chunks:
                made += 1
                yield chunk

    monkeypatch.setattr(CSV, "chunks", counted)
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
        response = await client.head(PATH)
        assert response.status_code == 200
        assert response.headers["content-type"].startswith("text/csv")
        assert (await client.get("/health/live")).status_code == 200
    await _ended(world)
    assert made < 10


async def _ended(world: "World") -> None:
    async with asyncio.timeout(5):
        while await exports(world):
            await asyncio.sleep(0.05)
