"""One who listens to /v1/stream, keeps what he was told, and a server of the API that he may listen to."""

import asyncio
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import orjson
import pytest

from usp.api import live
from usp.api.app import create_app
from usp.api.server import Server, config
from usp.settings import Settings

if TYPE_CHECKING:
    import asyncpg

Key = tuple[str, str]


@contextmanager
def quickly() -> Iterator[None]:
    """Look more often."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(live, "POLL_S", 0.1)
        patch.setattr(live, "REGISTRY_S", 0.3)
        yield


def put(device: int, value: float, connection: "asyncpg.Connection[asyncpg.Record]") -> Any:
    """Write a newer value than any before."""
    return connection.execute(
        "UPDATE usp.air_quality_latest SET no2 = $2, no2_time = no2_time + interval '1 second' WHERE device = $1",
        device,
        value,
    )


class Listener:
    """What a map does with the events: `reset` forgets, `state` keeps, `gone` removes."""

    def __init__(self, response: httpx.Response) -> None:
        self.response = response
        self.states: dict[Key, dict[str, Any]] = {}
        self.events: list[tuple[str, dict[str, Any]]] = []
        self.comments = 0
        self.last_id = ""
        self.ended = False
        self._news = asyncio.Condition()

    async def listen(self) -> None:
        """Take what comes until the end."""
        kind, data = "message", ""
        try:
            async for line in self.response.aiter_lines():
                name, _, value = line.partition(": ")
                if name == "event":
                    kind = value
                elif name == "data":
                    data = value
                elif name == "id":
                    self.last_id = value
                elif line.startswith(":"):
                    self.comments += 1
                elif not line and data:
                    self._take(kind, orjson.loads(data))
                    kind, data = "message", ""
                async with self._news:
                    self._news.notify_all()
        except httpx.TransportError:
            pass
        self.ended = True
        async with self._news:
            self._news.notify_all()

    def _take(self, kind: str, data: dict[str, Any]) -> None:
        self.events.append((kind, data))
        if kind == "reset":
            self.states.clear()
        elif kind == "state":
            self.states[data["dataset"], data["device"]] = data
        elif kind == "gone":
            self.states.pop((data["dataset"], data["device"]), None)

    @property
    def live(self) -> bool:
        """Whether all that was at first has been told."""
        return any(kind == "live" for kind, _ in self.events)

    @property
    def kinds(self) -> list[str]:
        """The sorts of events that came."""
        return [kind for kind, _ in self.events]

    async def until(self, condition: Callable[[], Any], seconds: float = 5) -> None:
        """Wait for what is to come."""
        try:
            async with asyncio.timeout(seconds), self._news:
                await self._news.wait_for(condition)
        except TimeoutError:
            raise AssertionError(self.events[-5:]) from None


@asynccontextmanager
async def listening(client: httpx.AsyncClient, query: str = "", **headers: str) -> AsyncIterator[Listener]:
    """Listen, once all that was at first has been told; headers as `last_event_id`."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    async with client.stream("GET", f"/v1/stream?{query}", headers=named, timeout=30) as response:
        assert response.status_code == 200, await response.aread()
        listener = Listener(response)
        task = asyncio.create_task(listener.listen())
        try:
            await listener.until(lambda: listener.live)
            yield listener
        finally:
            task.cancel()
            await asyncio.wait([task])


@asynccontextmanager
async def serving_at_port(database_url: str) -> AsyncIterator[httpx.AsyncClient]:
    """The API over a real socket; a stranger's client of it."""
    settings = Settings(_env_file=None, database_url=database_url)  # type: ignore[call-arg]
    app = create_app(settings)
    server = Server(config(app))
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", limits=limits) as client:
        client.app = app  # type: ignore[attr-defined]
        yield client
    app.state.streams.end()
    server.should_exit = True
    await serving


@asynccontextmanager
async def serving_process(database_url: str, log: Path, port: int = 0) -> AsyncIterator[tuple[Any, int]]:
    """`usp api` as a process, and its port."""
    if not port:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
    argv = [sys.executable, "-m", "usp", "api", "--port", str(port), "--database-url", database_url]
    with log.open("ab") as out:
        process = subprocess.Popen(argv, stdout=out, stderr=out, cwd=log.parent)
    try:
        async with asyncio.timeout(20), httpx.AsyncClient() as client:
            while True:
                with suppress(httpx.TransportError):
                    await client.get(f"http://127.0.0.1:{port}/health/live")
                    break
                await asyncio.sleep(0.05)
        yield process, port
    finally:
        process.kill()
        process.wait()


@asynccontextmanager
async def stalled(port: int, count: int, path: str = "/v1/stream") -> AsyncIterator[None]:
    """So many clients that ask, have hardly room for an answer, and never read it."""
    async with AsyncExitStack() as stack:
        for _ in range(count):
            client = stack.enter_context(socket.socket())
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2_048)
            client.setblocking(False)  # noqa: FBT003
            await asyncio.get_running_loop().sock_connect(client, ("127.0.0.1", port))
            client.send(f"GET {path} HTTP/1.1\r\nHost: town\r\n\r\n".encode())
        yield
