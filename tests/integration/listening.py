"""One who listens to /v1/stream, keeps what he was told, and a server of the API that he may listen to."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
import orjson
import uvicorn

from usp.api.app import create_app
from usp.settings import Settings

Key = tuple[str, str]


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
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_config=None, lifespan="on", timeout_graceful_shutdown=5))
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
