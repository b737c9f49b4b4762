"""A pool of connections that opens when it is first needed, and again whenever the database comes back."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import cast

import asyncpg

from usp.api.problems import TooSlow
from usp.db import Connection, Pool, Verdict, open_pool, verdict
from usp.errors import DatabaseUnavailable

#: What a connection says when its server has gone, or when it lost its thread over that.
LOST = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)

#: How long a request waits for a connection before it is told to come back.
WAIT_S = 5.0
#: For this long after a failed attempt nobody tries again: a thousand waiting requests are one attempt.
PAUSE_S = 1.0


class Database:
    """The database as one role sees it."""

    def __init__(self, url: str, *, role: str, application: str, size: int) -> None:
        self._url = url
        self._role = role
        self._application = application
        self._size = size
        self._pool: Pool | None = None
        self._opening = asyncio.Lock()
        self._failed_at = -PAUSE_S

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """A connection for a short time; whatever says that the database is away becomes `DatabaseUnavailable`."""
        pool = await self._opened()
        try:
            connection = await pool.acquire(timeout=WAIT_S)
        except LOST as error:
            raise DatabaseUnavailable(str(error)) from error
        try:
            yield cast("Connection", connection)
        except asyncpg.QueryCanceledError as error:
            raise TooSlow from error
        except LOST as error:
            if verdict(error) is Verdict.RETRY or isinstance(error, asyncpg.InternalClientError):
                raise DatabaseUnavailable(str(error)) from error
            raise
        finally:
            # A connection that cannot be made ready again has been closed by the pool.
            with suppress(*LOST):
                await pool.release(connection)

    async def _opened(self) -> Pool:
        if self._pool is not None:
            return self._pool
        async with self._opening:
            if self._pool is None:
                self._pool = await self._open()
            return self._pool

    async def _open(self) -> Pool:
        if time.monotonic() - self._failed_at < PAUSE_S:
            raise DatabaseUnavailable
        try:
            async with asyncio.timeout(WAIT_S):
                return await open_pool(self._url, role=self._role, application=self._application, size=self._size)
        except LOST as error:
            self._failed_at = time.monotonic()
            raise DatabaseUnavailable(str(error)) from error

    async def close(self) -> None:
        """Close what is open; running requests have a moment to end."""
        if self._pool is None:
            return
        try:
            async with asyncio.timeout(WAIT_S):
                await self._pool.close()
        except TimeoutError:
            self._pool.terminate()
