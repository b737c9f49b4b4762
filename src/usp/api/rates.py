"""Rate limits: a client who asks too often is told when to come back.

Each window of time begins with a client's first request, so that who waits as long as `Retry-After` says is let in.
The headers `RateLimit` and `RateLimit-Policy` are those of the IETF's draft-ietf-httpapi-ratelimit-headers-10.
"""

import math
import time
from collections import OrderedDict
from http import HTTPStatus
from ipaddress import IPv4Address, IPv6Address, ip_address

from limits import RateLimitItem
from limits.storage import Storage
from limits.strategies import FixedWindowRateLimiter
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from usp.api.paging import MAX_LIMIT
from usp.api.problems import problem

#: Clients remembered at once, about 350 bytes each; beyond it those are forgotten whose window ends soonest.
MOST_CLIENTS = 50_000
#: What watches the platform, and what /docs is made of.
EXEMPT = ("/health/live", "/health/ready", "/metrics")
EXEMPT_BELOW = ("/docs/assets/",)


class Counters(Storage):
    """Counts by client in memory, never more than so many; the storage that `limits` ships has no bound.

    All windows are of one length: those that began first end first, and stand first.
    """

    STORAGE_SCHEME = None
    base_exceptions = ()

    def __init__(self, most: int = MOST_CLIENTS) -> None:
        super().__init__()
        self._most = most
        self._counts: OrderedDict[str, tuple[int, float]] = OrderedDict()

    def incr(self, key: str, expiry: float, amount: int = 1) -> int:
        """Count; the first of a window begins it."""
        now = time.monotonic()
        self._forget(now)
        if key not in self._counts and len(self._counts) >= self._most:
            self._counts.popitem(last=False)
        count, ends = self._counts.get(key, (0, now + expiry))
        self._counts[key] = (count + amount, ends)
        return count + amount

    def get(self, key: str) -> int:
        """How many there were."""
        return self._counts.get(key, (0, 0.0))[0]

    def get_expiry(self, key: str) -> float:
        """When the window ends, by the monotonic clock."""
        return self._counts.get(key, (0, time.monotonic()))[1]

    def _forget(self, now: float) -> None:
        while self._counts:
            key, (_, ends) = next(iter(self._counts.items()))
            if ends > now:
                return
            del self._counts[key]

    def check(self) -> bool:
        """Memory is always there."""
        return True

    def reset(self) -> int:
        """Forget everybody."""
        count = len(self._counts)
        self._counts.clear()
        return count

    def clear(self, key: str) -> None:
        """Forget one."""
        self._counts.pop(key, None)


class LimitRates:
    """Counts requests by client, and refuses those beyond the limit with 429 (RFC 6585, 4)."""

    def __init__(self, app: ASGIApp, limit: RateLimitItem, *, spare_loopback: bool) -> None:
        self.app = app
        self._limit = limit
        self._spare_loopback = spare_loopback
        self._limiter = FixedWindowRateLimiter(Counters())
        self._policy = f'"client";q={limit.amount};w={limit.get_expiry()}'

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        address = _address(scope)
        if _exempt(scope) or (self._spare_loopback and address is not None and address.is_loopback):
            await self.app(scope, receive, send)
            return
        client = _key(address)
        allowed = self._limiter.hit(self._limit, client)
        ends, left = self._limiter.get_window_stats(self._limit, client)
        wait = max(1, math.ceil(ends - time.monotonic()))

        async def send_on(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["RateLimit-Policy"] = self._policy
                headers["RateLimit"] = f'"client";r={left};t={wait}'
            await send(message)

        if allowed:
            await self.app(scope, receive, send_on)
            return
        response = problem(
            HTTPStatus.TOO_MANY_REQUESTS,
            f"More requests than {self._limit} came from your address; ask again in {wait} s. "
            f"One request may bring up to {MAX_LIMIT} rows, format=csv everything at once, and with `If-None-Match` "
            "what has not changed is not sent again.",
        )
        response.headers["Retry-After"] = str(wait)
        await response(scope, receive, send_on)


def _exempt(scope: Scope) -> bool:
    return scope["type"] != "http" or scope["path"] in EXEMPT or scope["path"].startswith(EXEMPT_BELOW)


def _address(scope: Scope) -> IPv4Address | IPv6Address | None:
    """Where a request comes from; behind a trusted proxy the server has put the client's address here."""
    try:
        address = ip_address(scope["client"][0])
    except (KeyError, TypeError, ValueError):
        return None
    # A socket that listens to both families shows IPv4 clients as ::ffff:192.0.2.1 (RFC 4291, 2.5.5.2).
    return getattr(address, "ipv4_mapped", None) or address


def _key(address: IPv4Address | IPv6Address | None) -> str:
    """One client: an IPv4 address, or an IPv6 network of 64 bits, which a single household has to itself (RFC 6177)."""
    if address is None:
        return "unknown"
    return address.packed[:8].hex()
