"""The stream's limits: who is slow, takes nothing, comes too late or may see no longer, and what the others ask."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from starlette.types import Message
from tests.integration.listening import Listener, listening, put, quickly, serving_at_port, stalled

from usp import keys
from usp.api import auth, live_stream, server
from usp.models.dataset import Visibility

if TYPE_CHECKING:
    from tests.integration.conftest import World

LAMP = "lamp-corso-lodi-1"
AIR_DATA = "/v1/datasets/air_quality"
AIR = ("air_quality", LAMP)


@pytest.fixture(scope="module")
async def api(world: "World", database_url: str) -> AsyncIterator[httpx.AsyncClient]:
    """A stranger's client of a real server that looks more often than others."""
    assert world.ids
    with quickly():
        async with serving_at_port(database_url) as client:
            yield client


class Slow:
    """One who asks for one dataset without a socket, whose buffers would take for him what he does not.

    He takes all up to the event `live`, each part after `pause` seconds, and the rest when he may.
    """

    def __init__(self, api: httpx.AsyncClient, pause: float = 0, **headers: str) -> None:
        self.app: Any = api.app  # type: ignore[attr-defined]
        self.may_take = asyncio.Event()
        self.taken = b""
        self._headers = [(name.encode(), value.encode()) for name, value in headers.items()]
        self._pause = pause
        self._goes = asyncio.Event()

    async def ask(self) -> None:
        """Ask, and take it."""
        scope = {
            "type": "http", "method": "GET", "path": "/v1/stream", "query_string": b"dataset=air_quality,charging",
            "headers": self._headers, "http_version": "1.1", "scheme": "http", "server": ("test", 80), "root_path": "",
            "client": ("127.0.0.1", 1),
        }  # fmt: skip
        await self.app(scope, self._receive, self._send)

    async def leave(self) -> None:
        """Go, and see that nothing of him is kept."""
        self._goes.set()
        await until_open(self.app, 0)

    async def _receive(self) -> Message:
        await self._goes.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Message) -> None:
        if b"event: live" in message.get("body", b""):
            self.taken = b""
            await self.may_take.wait()
        await asyncio.sleep(self._pause)
        self.taken += message.get("body", b"")


async def until_open(app: Any, count: int) -> None:
    """Wait until so many streams are open."""
    async with asyncio.timeout(4):
        while app.state.streams.open != count:
            await asyncio.sleep(0.02)


def connections(port: int) -> int:
    """How many a server has at its port, as its kernel knows them: everything but listening (proc_net_tcp)."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(row[1].endswith(f":{port:04X}") and row[3] != "0A" for row in rows)


async def test_a_revoked_token_hears_no_more(
    api: httpx.AsyncClient, world: "World", monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its streams end within seconds, also of one who still takes what comes first."""
    monkeypatch.setattr(live_stream, "TOKEN_S", 0.3)
    monkeypatch.setattr(live_stream, "CHUNK_BYTES", 1)
    monkeypatch.setattr(auth, "KEEP_S", 0.3)
    token = f"Bearer {await keys.create(world.db, 'leaving', ['ops'])}"
    slow = Slow(api, 0.3, authorization=token)
    async with listening(api, "dataset=device_health", authorization=token) as listener:
        assert listener.states
        asking = asyncio.create_task(slow.ask())
        await asyncio.sleep(0.7)
        assert not listener.ended
        await keys.revoke(world.db, "leaving")
        await listener.until(lambda: listener.ended, 2)
        await asyncio.wait_for(asking, 2)
    assert b"event: reset" in slow.taken
    assert b"event: live" not in slow.taken


async def test_who_is_slow_hears_the_newest_only(api: httpx.AsyncClient, world: "World") -> None:
    """However much changes while a client takes nothing, no more than one state of each device waits for him."""

    def told(listener: Listener, number: int) -> bool:
        return bool(listener.states[AIR]["no2"] == number)

    slow = Slow(api)
    asking = asyncio.create_task(slow.ask())
    async with listening(api, "dataset=air_quality") as other:
        for number in range(8):
            await put(world.ids[LAMP], number, world.db)
            await other.until(partial(told, other, number))
        slow.may_take.set()
        await asyncio.sleep(0.3)
    assert slow.taken.count(b"event: state") == 1
    assert b'"no2":7,' in slow.taken
    await slow.leave()
    await asyncio.wait_for(asking, 2)


async def test_who_takes_nothing_is_let_go(
    api: httpx.AsyncClient, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a minute his connection is closed, whether he listens or exports; he may come again."""
    monkeypatch.setattr(server, "PATIENCE_S", 0.5)
    async with serving_at_port(database_url) as client:
        app, port = client.app, client.base_url.port or 0  # type: ignore[attr-defined]
        async with listening(client), stalled(port, 5), stalled(port, 3, f"{AIR_DATA}/readings?format=csv"):
            assert connections(port) == 9
            async with asyncio.timeout(5):
                while connections(port) > 1:
                    await asyncio.sleep(0.02)
            await until_open(app, 1)


async def test_slow_questions_do_not_silence_it(api: httpx.AsyncClient, world: "World") -> None:
    """While others have taken every connection to the database, a change is told, and a new stream begins."""
    database = api.app.state.readers[Visibility.OPEN].database  # type: ignore[attr-defined]
    async with AsyncExitStack() as stack:
        for _ in range(10):
            await stack.enter_async_context(database.connection())
        listener = await stack.enter_async_context(listening(api, "dataset=air_quality"))
        await put(world.ids[LAMP], 1234, world.db)
        await listener.until(lambda: listener.states[AIR]["no2"] == 1234, 2)


async def test_so_many_may_listen(api: httpx.AsyncClient, world: "World", monkeypatch: pytest.MonkeyPatch) -> None:
    """One more is told to come again later, until somebody has gone, also where many come at once with a token."""
    streams: Any = api.app.state.streams  # type: ignore[attr-defined]
    monkeypatch.setattr(auth, "KEEP_S", 0)
    monkeypatch.setattr(streams, "limit", streams.open + 3)
    token = f"Bearer {await keys.create(world.db, 'crowd', ['ops'])}"
    async with AsyncExitStack() as stack:

        async def come() -> httpx.Response:
            asked = api.stream("GET", "/v1/stream", headers={"authorization": token})
            return await stack.enter_async_context(asked)

        answers = await asyncio.gather(*(come() for _ in range(8)))
        assert sorted(answer.status_code for answer in answers) == [200] * 3 + [503] * 5
        assert {a.headers["cache-control"] for a in answers if a.status_code == 200} == {"no-store"}
        refused = await api.get("/v1/stream")
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "5")
        assert "streams" in refused.json()["detail"]
    await until_open(api.app, 0)  # type: ignore[attr-defined]
    async with listening(api):
        pass


async def test_a_heartbeat_tells_that_it_lives(api: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """A comment comes also where nothing changes, and nobody asks the database when nobody listens."""
    monkeypatch.setattr(live_stream, "HEARTBEAT_S", 0.2)
    async with listening(api, "dataset=noise") as listener:
        await listener.until(lambda: listener.comments >= 2)
    await asyncio.sleep(0.5)
    asked = [task.get_name() for task in asyncio.all_tasks() if task.get_name().startswith("stream-")]
    assert not asked
