"""A pool of connections that opens when it is first needed, and again whenever the database comes back."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import cast

import asyncpg

from usp.api.problems import TooManyExports, TooSlow
from usp.db import LOST, Connection, Pool, Verdict, open_pool, verdict
from usp.errors import DatabaseUnavailable

#: How long a request waits for a connection before it is told to come back.
WAIT_S = 5.0
#: How long a question may take that is answered in milliseconds: how things are, and whose a token is.
ANSWER_S = 4.0
#: For this long after a failed attempt nobody tries again: a thousand waiting requests are one attempt.
PAUSE_S = 1.0
#: How long a connection may take to be made ready for the next one; then it is cut.
RELEASE_S = 1.0


class Database:
    """The database as one role sees it; a name without a schema is one of `schema`."""

    def __init__(self, url: str, *, role: str, application: str, size: int, schema: str | None = None) -> None:
        self._url = url
        self._role = role
        self._application = application
        self._size = size
        self._schema = schema
        # An export lasts as long as its client likes: half of the connections are for everything else.
        self._exports = asyncio.Semaphore(max(1, size // 2))
        self._pool: Pool | None = None
        self._opening = asyncio.Lock()
        self._failed_at = -PAUSE_S

    def apart(self, purpose: str) -> "Database":
        """The same with one connection of its own, which nobody else's questions keep waiting."""
        application = f"{self._application}-{purpose}"
        return Database(self._url, role=self._role, application=application, size=1, schema=self._schema)

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
            if isinstance(error, TimeoutError):
                connection.terminate()  # nobody answers there, so nobody would answer a farewell
            if verdict(error) is Verdict.RETRY:
                raise DatabaseUnavailable(str(error)) from error
            raise
        finally:
            # A connection that cannot be made ready again has been closed by the pool.
            with suppress(*LOST):
                await pool.release(connection, timeout=RELEASE_S)

    @asynccontextmanager
    async def soon(self) -> AsyncIterator[Connection]:
        """A connection for a question that is answered in milliseconds, or not at all."""
        try:
            async with asyncio.timeout(ANSWER_S), self.connection() as connection:
                yield connection
        except TimeoutError as error:
            raise DatabaseUnavailable(str(error)) from error

    @asynccontextmanager
    async def export(self) -> AsyncIterator[Connection]:
        """A connection for as long as somebody reads; only so many at once."""
        try:
            async with asyncio.timeout(WAIT_S):
                await self._exports.acquire()
        except TimeoutError:
            raise TooManyExports from None
        try:
            async with self.connection() as connection:
                yield connection
        finally:
            self._exports.release()

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
                return await open_pool(
                    self._url,
                    role=self._role,
                    application=self._application,
                    size=self._size,
                    schema=self._schema,
                )
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
