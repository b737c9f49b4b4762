"""A client that costs next to nothing: HTTP/1.1 over one connection that stays open, bodies counted or kept."""

import asyncio
import time
from dataclasses import dataclass
from typing import Self
from urllib.parse import urlsplit

_BUFFER = 1024 * 1024
#: The API closes a connection that was not used for 5 seconds; a new one is made outside of what is measured.
_IDLE_S = 3.0


@dataclass(frozen=True)
class Answer:
    """A body, or its length alone; and how many seconds its first and its last byte took."""

    body: bytes
    length: int
    first: float
    seconds: float


class RefusedError(Exception):
    """The answer was not 200."""


class Client:
    """Asks one question after the other. An answer other than 200 is a RefusedError."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._host, self._port = parts.hostname or "127.0.0.1", parts.port

    async def __aenter__(self) -> Self:
        await self._connect()
        return self

    async def __aexit__(self, *error: object) -> None:
        self._writer.close()

    async def _connect(self) -> None:
        self._reader, self._writer = await asyncio.open_connection(self._host, self._port, limit=_BUFFER)
        self._used = time.perf_counter()

    async def get(self, path: str, *, keep: bool = False) -> Answer:
        """Ask, and read to the end."""
        if time.perf_counter() - self._used > _IDLE_S:
            self._writer.close()
            await self._connect()
        began = time.perf_counter()
        self._writer.write(f"GET {path} HTTP/1.1\r\nHost: {self._host}:{self._port}\r\n\r\n".encode())
        head = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
        first = time.perf_counter() - began
        kept, length, answered = [], 0, head.startswith("http/1.1 200")
        while size := await self._size(head, length):
            chunk = await self._reader.readexactly(size)
            length += size
            if keep or not answered:
                kept.append(chunk)
        self._used = time.perf_counter()
        seconds = self._used - began
        if not answered:
            raise RefusedError(f"{path} was answered with {head.splitlines()[0]}, {b''.join(kept).decode()}")
        return Answer(b"".join(kept), length, first, seconds)

    async def _size(self, head: str, read: int) -> int:
        """How long the next piece of the body is; 0 at its end (RFC 9112, 6 and 7.1)."""
        if "\r\ntransfer-encoding: chunked\r\n" not in head:
            return int(head.partition("\r\ncontent-length: ")[2].partition("\r\n")[0]) - read
        if read:
            await self._reader.readexactly(2)
        size = int(await self._reader.readuntil(b"\r\n"), 16)
        if not size:
            await self._reader.readexactly(2)
        return size
