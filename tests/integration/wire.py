"""A TCP connection's middle: real sockets on both sides, and in between whatever a network can do to them."""

import asyncio
import socket
import struct
import threading
from collections.abc import Coroutine
from contextlib import suppress
from enum import StrEnum
from types import TracebackType
from typing import Any, Self

LOOPBACK = "127.0.0.1"
#: SO_LINGER with no time to linger: closing sends RST instead of FIN.
RESET = struct.pack("ii", 1, 0)


class Lost(StrEnum):
    """What of a question and its answer does not arrive."""

    QUESTION = "question"
    ANSWER = "answer"


class _Link:
    """One connection through the wire."""

    def __init__(self, client: socket.socket, server: socket.socket) -> None:
        self.client, self.server = client, server
        self.task = asyncio.current_task()
        self.loses_answers = False
        self.ends_with_answer = False
        self.has_lost = False

    def close(self, *, reset: bool) -> None:
        for side in (self.client, self.server):
            if reset:
                with suppress(OSError):
                    side.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            side.close()


class Wire:
    """Forwards to a port of this machine, from a thread of its own, so that a test that blocks does not stop it."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._listener = socket.create_server((LOOPBACK, 0))
        self._listener.settimeout(0)
        self.port: int = self._listener.getsockname()[1]
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._links: set[_Link] = set()
        self._loses_answers = False
        self._resets = False
        self._trap: tuple[bytes, Lost, bool] | None = None
        #: Set when what `lose` was to wait for has happened.
        self.sprung = threading.Event()

    def __enter__(self) -> Self:
        self._thread.start()
        self._tasks = {self._loop.create_task(self._accept())}
        self._do(asyncio.sleep(0))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._do(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._listener.close()

    def cut(self, *, reset: bool) -> None:
        """End all connections, for both sides, with RST or FIN; new ones may be made."""
        self._do(self._cut(list(self._links), reset=reset))

    def freeze(self) -> None:
        """Forward nothing more, in either direction; connections stay open, and new ones are accepted."""
        self._do(self._set(flowing=False, loses_answers=False))

    def drop_answers(self) -> None:
        """Forward what clients say, and lose what servers answer."""
        self._do(self._set(flowing=True, loses_answers=True))

    def mend(self) -> None:
        """Forward again. Connections of which something was lost end: TCP would not go on after a gap."""
        self._do(self._set(flowing=True, loses_answers=False))
        self._do(self._cut([link for link in self._links if link.has_lost], reset=True))

    def lose(self, words: bytes, what: Lost, *, then_cut: bool = True) -> None:
        """Lose the next question that contains these words, or its answer, and then the connection.

        Without the cut it stays open, and the answer is simply never heard.
        """
        self.sprung.clear()
        self._trap = (words, what, then_cut)

    def _do(self, action: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(action, self._loop).result(10)

    async def _set(self, *, flowing: bool, loses_answers: bool) -> None:
        self._loses_answers = loses_answers
        if flowing:
            self._flowing.set()
        else:
            self._flowing.clear()

    async def _cut(self, links: list[_Link], *, reset: bool) -> None:
        self._resets = reset
        tasks = [link.task for link in links if link.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _end(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self) -> None:
        while True:
            client, _ = await self._loop.sock_accept(self._listener)
            task = self._loop.create_task(self._carry(client))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _carry(self, client: socket.socket) -> None:
        server = socket.socket()
        server.settimeout(0)
        for side in (client, server):
            side.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        link = _Link(client, server)
        reset = False
        try:
            await self._flowing.wait()
            await self._loop.sock_connect(server, (LOOPBACK, self._target))
            self._links.add(link)
            async with asyncio.TaskGroup() as both:
                both.create_task(self._ask(link))
                both.create_task(self._answer(link))
        except* OSError:
            reset = True
        except* asyncio.CancelledError:
            reset = self._resets
        finally:
            self._links.discard(link)
            link.close(reset=reset)

    async def _ask(self, link: _Link) -> None:
        while data := await self._loop.sock_recv(link.client, 65536):
            await self._flowing.wait()
            if self._trap is not None and self._trap[0] in data:
                _, what, then_cut = self._trap
                self._trap = None
                link.has_lost = True
                if what is Lost.QUESTION:
                    self.sprung.set()
                    raise ConnectionResetError
                link.loses_answers, link.ends_with_answer = True, then_cut
            await self._loop.sock_sendall(link.server, data)
        with suppress(OSError):
            link.server.shutdown(socket.SHUT_WR)

    async def _answer(self, link: _Link) -> None:
        while data := await self._loop.sock_recv(link.server, 65536):
            await self._flowing.wait()
            if self._loses_answers or link.loses_answers:
                link.has_lost = True
                if link.loses_answers:
                    self.sprung.set()
                if link.ends_with_answer:
                    raise ConnectionResetError
                continue
            await self._loop.sock_sendall(link.client, data)
        with suppress(OSError):
            link.client.shutdown(socket.SHUT_WR)
