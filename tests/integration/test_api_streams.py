"""Exports over a real socket: slow clients, clients that go away, a million rows."""

import asyncio
import io
import socket
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import aclosing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import asyncpg
import httpx
import pyarrow.parquet  # type: ignore[import-untyped]
import pytest
import uvicorn
from tests.integration.conftest import serving

from usp import db
from usp.api.app import create_app
from usp.api.representations import FORMATS
from usp.settings import Settings

if TYPE_CHECKING:
    from tests.integration.conftest import World

ROWS = 1_000_000
PATH = "/v1/datasets/wifi/readings?from=2020-01-01&to=2022-01-01"
MONTH = "/v1/datasets/wifi/readings?from=2020-01-01T00:01:00Z&to=2020-03-01"
ROWS_OF_MONTH = 60 * 24 * 60 - 1
NAMES = [format_.name for format_ in FORMATS if not format_.paged]


@pytest.fixture(scope="module")
async def port(world: "World", database_url: str) -> AsyncIterator[int]:
    """Where a real server listens, before two years of one access point."""
    await world.db.execute(
        "INSERT INTO usp.wifi (time, device, clients, rx_bytes, tx_bytes, received_at) SELECT "
        "'2020-01-01Z'::timestamptz + n * interval '1 minute', $1, n % 100, n, sqrt(n), now() "
        "FROM generate_series(1, $2) n",
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


@pytest.fixture
def client(port: int) -> httpx.AsyncClient:
    """A client of that server."""
    return httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=60)


async def exports(world: "World") -> int:
    """How many exports the database is busy with."""
    return int(
        await world.db.fetchval(
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'usp-api-open' "
            "AND query LIKE 'COPY%' AND state <> 'idle' AND datname = current_database()"
        )
    )


async def test_an_export_is_everything(client: httpx.AsyncClient) -> None:
    """All rows, compressed on the way, in order."""
    async with client:
        response = await client.get(f"{MONTH}&format=csv")
    lines = response.text.splitlines()
    assert len(lines) == ROWS_OF_MONTH + 1
    assert lines[0] == "time,device,site,lon,lat,clients,rx_bytes,tx_bytes,flags"
    assert "\r" not in response.text
    assert lines[1] == "2020-01-01T00:01:00Z,lamp-corso-lodi-1,viale-bligny,9.1917,45.451,1,1,1,"
    assert response.headers["content-encoding"] == "gzip"
    assert "wifi.csv" in response.headers["content-disposition"]
    times = [line[:20] for line in lines[1:]]
    assert times == sorted(set(times))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("order", ["asc", "desc"])
async def test_an_export_is_one_answer(client: httpx.AsyncClient, name: str, order: str) -> None:
    """Each row once and in order, however it was fetched."""
    async with client:
        response = await client.get(f"{MONTH}&order={order}&properties=rx_bytes&format={name}")
    if name == "parquet":
        numbers = pyarrow.parquet.read_table(io.BytesIO(response.content))["rx_bytes"].to_pylist()
    elif name == "csv":
        numbers = [int(line.split(",")[5]) for line in response.text.splitlines()[1:]]
    else:
        numbers = [int(line.split('"rx_bytes":')[1].split(",")[0]) for line in response.text.splitlines()]
    assert numbers == sorted(range(1, ROWS_OF_MONTH + 1), reverse=order == "desc")


async def test_an_export_may_last(port: int, database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Longer than a server may be silent about any other statement."""
    assert port
    monkeypatch.setattr(db, "COMMAND_GRACE_S", -29.9)
    async with serving(database_url) as client:
        years = PATH.replace("2022-01-01", "2020-10-01")
        response = await client.get(f"{years}&format=csv", headers={"Accept-Encoding": "identity"})
        assert response.text.count("\n") == 274 * 1440
        assert response.elapsed.total_seconds() > 0.2


@pytest.mark.parametrize("name", NAMES)
async def test_a_slow_client_holds_the_server_back(port: int, world: "World", name: str) -> None:
    """What nobody reads is not fetched: the query waits, memory does not grow."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
    writer.write(f"GET {PATH}&format={name} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    await reader.readexactly(100)
    await asyncio.sleep(1.2)
    waiting = await exports(world)
    writer.close()
    assert waiting == 1
    await _ended(world)


@pytest.mark.parametrize("name", NAMES)
async def test_a_client_that_goes_stops_the_query(
    client: httpx.AsyncClient, world: "World", caplog: pytest.LogCaptureFixture, name: str
) -> None:
    """The connection is free for others at once, and nobody complains about the way it became so."""
    for _ in range(12):
        _, writer = await asyncio.open_connection(client.base_url.host, client.base_url.port)
        writer.write(f"GET {PATH}&format={name} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        await asyncio.sleep(0.02)
        writer.close()
    await _ended(world)
    async with client:
        assert (await client.get("/v1/devices")).status_code == 200
    assert "transaction" not in caplog.text


@pytest.mark.parametrize("name", ["json", "csv"])
async def test_a_client_that_goes_before_the_first_byte_stops_the_query(
    port: int, world: "World", database_url: str, name: str
) -> None:
    """Also one that waits in the database, or sorts there for a long time."""
    asked = (
        "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'usp-api-open' AND state = 'active' "
        "AND datname = current_database()"
    )
    # Within a transaction the activity shown stays as it was: the lock takes a connection of its own.
    other = await asyncpg.connect(database_url)
    try:
        async with other.transaction():
            await other.execute("LOCK TABLE usp.wifi IN ACCESS EXCLUSIVE MODE")
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(f"GET {PATH}&format={name} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            await _becomes(world, asked, 1)
            writer.close()
            await _becomes(world, asked, 0)
    finally:
        await other.close()


async def _becomes(world: "World", query: str, wanted: int) -> None:
    async with asyncio.timeout(5):
        while await world.db.fetchval(query) != wanted:
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("format_", [f for f in FORMATS if not f.paged], ids=NAMES)
async def test_head_makes_no_export(
    client: httpx.AsyncClient, world: "World", monkeypatch: pytest.MonkeyPatch, format_: Any
) -> None:
    """The headers are known before the rows: of hundreds of chunks hardly any is made."""
    made = 0
    whole = type(format_).chunks

    async def counted(*args: Any) -> AsyncIterator[bytes]:
        nonlocal made
        async with aclosing(cast("AsyncGenerator[bytes]", whole(*args))) as chunks:
            async for chunk in chunks:
                made += 1
                yield chunk

    monkeypatch.setattr(type(format_), "chunks", counted)
    async with client:
        response = await client.head(f"{PATH}&format={format_.name}")
        assert response.status_code == 200
        assert response.headers["content-type"] == format_.content_type
        assert (await client.get("/health/live")).status_code == 200
    await _ended(world)
    assert made < 10


class Process:
    """A server in a process of its own."""

    def __init__(self, database_url: str) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        argv = [sys.executable, "-m", "usp", "api", "--port", str(port), "--database-url", database_url]
        self.popen = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{port}", headers={"Accept-Encoding": "identity"})

    def wait(self) -> None:
        """Until it answers."""
        deadline = time.monotonic() + 20
        while self.popen.poll() is None and time.monotonic() < deadline:
            with suppress(httpx.TransportError):
                self.client.get("/v1/sites").raise_for_status()
                return
            time.sleep(0.05)
        raise TimeoutError

    def megabytes(self) -> float:
        """What it holds in memory."""
        (line,) = (
            line
            for line in Path(f"/proc/{self.popen.pid}/status").read_text().splitlines()
            if line.startswith("VmRSS:")
        )
        return int(line.split()[1]) / 1024


@pytest.fixture(scope="module")
def process(port: int, database_url: str) -> Iterator[Process]:
    """`usp api`, once it answers."""
    assert port
    process = Process(database_url)
    try:
        process.wait()
        yield process
    finally:
        process.client.close()
        process.popen.terminate()
        process.popen.wait(20)


@pytest.mark.parametrize("name", NAMES)
async def test_a_million_rows_start_at_once_and_need_little_memory(process: Process, name: str) -> None:
    """The first bytes come within a second, and the server never holds 150 MB more than when it was idle."""

    def take() -> tuple[float, float, int]:
        idle = process.megabytes()
        highest, length, begun = idle, 0, time.monotonic()
        with process.client.stream("GET", f"{PATH}&format={name}") as response:
            first = None
            for chunk in response.iter_raw():
                first = first or time.monotonic() - begun
                if length >> 20 != (length := length + len(chunk)) >> 20 or name == "parquet":
                    highest = max(highest, process.megabytes())
        assert first is not None
        return first, highest - idle, length

    first, grown, length = await asyncio.to_thread(take)
    assert first < 1
    assert grown < 150
    assert length > (5_000_000 if name == "parquet" else 50_000_000)


async def _ended(world: "World") -> None:
    async with asyncio.timeout(5):
        while await exports(world):
            await asyncio.sleep(0.05)
