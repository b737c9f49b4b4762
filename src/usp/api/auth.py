"""Who asks: a bearer token becomes a reader, with a view of the database of his own (RFC 6750)."""

import hmac
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, cast

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from usp.api.database import Database
from usp.api.extent import Extents
from usp.api.problems import BadAuthorization, Forbidden, InvalidToken, TokenNeeded
from usp.db import OPEN_ROLE, OPS_ROLE, RESTRICTED_ROLE
from usp.errors import UspError
from usp.models.dataset import Visibility
from usp.models.token import FORM, OPS, Grant, digest

#: For so long a token is believed without asking again: a revoked one works no longer than this.
KEEP_S = 5.0
#: Tokens remembered, found or not.
_REMEMBERED = 1_000

#: RFC 6750, 2.1: b64token.
_B64TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*", re.ASCII)
#: Where a request keeps what its Authorization header was: the digest of a token, what is wrong, or nothing.
_PRESENTED = "usp.presented"

#: What each visibility reads through: the role, the name shown by the database, and connections at most.
_POOLS = {
    Visibility.OPEN: (OPEN_ROLE, "usp-api-open", 10),
    Visibility.RESTRICTED: (RESTRICTED_ROLE, "usp-api-restricted", 6),
    Visibility.OPS: (OPS_ROLE, "usp-api-views-ops", 4),
}


@dataclass(frozen=True)
class Reader:
    """One who asks: what he may see at most, and the database as he sees it."""

    visibility: Visibility
    database: Database
    extents: Extents


def make_readers(url: str) -> dict[Visibility, Reader]:
    """One for each visibility. Each has a pool under a role that can read the views of its own schema only."""
    readers = {}
    for visibility, (role, application, size) in _POOLS.items():
        database = Database(url, role=role, application=application, size=size, schema=visibility.value)
        readers[visibility] = Reader(visibility, database, Extents(database))
    return readers


class TakeToken:
    """Takes the token off the request, so that nothing further in can log it, and tells caches to keep apart."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, without the token."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        _take(scope)

        async def send_on(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.add_vary_header("Authorization")
                if _PRESENTED in scope and headers.get("Cache-Control") != "no-store":
                    headers["Cache-Control"] = "private, no-cache"
            await send(message)

        await self.app(scope, receive, send_on)


def _take(scope: Scope) -> None:
    """Put the digest in the token's place, in the very scope that those further out hold as well.

    A function of its own: what fails later shows the variables of every frame that still runs.
    """
    presented = [value for name, value in scope["headers"] if name == b"authorization"]
    if presented:
        scope[_PRESENTED] = read_header(presented)
        scope["headers"] = [(name, value) for name, value in scope["headers"] if name != b"authorization"]


def read_header(values: list[bytes]) -> bytes | UspError:
    """The digest of the token that a request presents, or what is wrong with its Authorization header."""
    scheme, _, credentials = values[0].decode("latin-1").strip().partition(" ")
    if len(values) > 1:
        return BadAuthorization("`Authorization` is given more than once.")
    if scheme.lower() != "bearer":
        return TokenNeeded("`Authorization` is of another scheme; write Authorization: Bearer usp_….")
    token = credentials.strip(" ")
    if _B64TOKEN.fullmatch(token) is None:
        return BadAuthorization("`Authorization` holds no token; write Authorization: Bearer usp_….")
    return digest(token) if FORM.fullmatch(token) else InvalidToken()


class Tokens:
    """Looks tokens up by their digest."""

    def __init__(self, database: Database, ops_token: str | None = None) -> None:
        self._database = database
        #: What `usp demo` has made for its operators' page; it is in no database and ends with this process.
        self._given = {} if ops_token is None else {digest(ops_token): Grant("demo", frozenset({OPS}))}
        self._known: dict[bytes, tuple[float, tuple[Grant, datetime | None] | None]] = {}

    async def grant(self, presented: bytes) -> Grant:
        """What the token of this digest allows; unknown, expired and revoked ones are not told apart."""
        if presented in self._given:
            return self._given[presented]
        looked_at, found = self._known.get(presented, (-KEEP_S, None))
        if time.monotonic() - looked_at >= KEEP_S:
            found = await self._look_up(presented)
            self._remember(presented, found)
        if found is None:
            raise InvalidToken
        grant, expires_at = found
        if expires_at is not None and expires_at <= datetime.now(UTC):
            raise InvalidToken
        return grant

    async def _look_up(self, presented: bytes) -> tuple[Grant, datetime | None] | None:
        async with self._database.soon() as connection:
            row = await connection.fetchrow(
                "SELECT name, hash, scopes, expires_at FROM usp.token WHERE hash = $1 AND revoked_at IS NULL", presented
            )
        # The index compares digests, which say nothing about the token; what it found is compared in constant time.
        if row is None or not hmac.compare_digest(row["hash"], presented):
            return None
        return Grant(row["name"], frozenset(row["scopes"])), row["expires_at"]

    def _remember(self, presented: bytes, found: Any) -> None:
        self._known.pop(presented, None)
        if len(self._known) >= _REMEMBERED:
            self._known.pop(next(iter(self._known)))
        self._known[presented] = (time.monotonic(), found)


async def grant(request: Request) -> Grant | None:
    """What the request's token allows; None without a token."""
    presented = request.scope.get(_PRESENTED)
    if presented is None:
        return None
    if isinstance(presented, UspError):
        raise presented
    return await cast("Tokens", request.app.state.tokens).grant(presented)


def everybody(request: Request, seen: Visibility = Visibility.OPEN) -> Reader:
    """Everybody, or everybody who may see so much."""
    return cast("dict[Visibility, Reader]", request.app.state.readers)[seen]


async def reader(request: Request) -> Reader:
    """Who asks. Without a token: everybody."""
    found = await grant(request)
    return everybody(request) if found is None else everybody(request, found.visibility)


async def needed(request: Request, scope: str, allows: Callable[[Grant], bool]) -> Grant:
    """What the request's token allows, where it is refused without one that `allows`; `scope` would."""
    found = await grant(request)
    if found is None:
        raise TokenNeeded(f"A token with the scope {scope} is needed.")
    if not allows(found):
        raise Forbidden(f"The token has not the scope {scope}.", scope=scope)
    return found
