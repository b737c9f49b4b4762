"""What a subscriber is sent: events as text (HTML, 9.2), at his own pace, as long as he takes them."""

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Iterator
from contextlib import AbstractAsyncContextManager, aclosing, suppress
from http import HTTPStatus

import orjson
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from usp.api.live import Hub, Subscriber

MEDIA_TYPE = "text/event-stream"
#: After so long without an event a comment says that the connection lives.
HEARTBEAT_S = 15.0
#: How often a token is asked about again.
TOKEN_S = 5.0
#: How long a client is to wait before it comes again.
RETRY_MS = 3_000
#: About so much is sent at once.
CHUNK_BYTES = 32_768

Allowed = Callable[[], Awaitable[bool]]
Listening = AbstractAsyncContextManager[tuple[Hub, Subscriber]]


class EventStream(Response):
    """An answer that ends when its client goes, may see no longer what it sees, or the server ends."""

    media_type = MEDIA_TYPE

    def __init__(self, listening: Listening, last: str | None, allowed: Allowed | None) -> None:
        self.status_code = HTTPStatus.OK.value
        self.background = None
        # A proxy that gathers an answer before it passes it on would hold events back.
        self.init_headers({"Cache-Control": "no-store", "X-Accel-Buffering": "no", "Vary": "Accept"})
        self._listening = listening
        self._last = last
        self._allowed = allowed

    async def __call__(self, _: Scope, receive: Receive, send: Send) -> None:
        """Send until the end; errors before the first byte are still answers."""
        async with self._listening as (hub, subscriber):
            leaving = asyncio.create_task(_until_gone(receive, subscriber))
            try:
                await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
                async with aclosing(chunks(hub, subscriber, self._last, self._allowed)) as told:
                    async for chunk in told:
                        # Whoever takes nothing has his connection cut by the server.
                        await send({"type": "http.response.body", "body": chunk, "more_body": True})
                await send({"type": "http.response.body", "body": b""})
            finally:
                leaving.cancel()


async def _until_gone(receive: Receive, subscriber: Subscriber) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    subscriber.end()


async def chunks(
    hub: Hub, subscriber: Subscriber, last: str | None, allowed: Allowed | None = None
) -> AsyncGenerator[bytes]:
    """All that a subscriber is told, from the event `last` on, as long as he is `allowed` to hear it."""
    due = time.monotonic() + TOKEN_S
    async with aclosing(_told(hub, subscriber, last, TOKEN_S if allowed else HEARTBEAT_S)) as told:
        async for chunk in told:
            # Between any two: who takes his time over what comes first is no exception.
            if allowed is not None and time.monotonic() >= due:
                if not await allowed():
                    return
                due = time.monotonic() + TOKEN_S
            if subscriber.ended:
                return
            yield chunk


async def _told(hub: Hub, subscriber: Subscriber, last: str | None, every: float) -> AsyncGenerator[bytes]:
    """What comes first, what comes then, and a comment every so many seconds."""
    yield b"retry: %d\n\n" % RETRY_MS
    mark, pending = hub.mark, subscriber.pending
    xid = mark.resumed(last, subscriber.question)
    news: dict[str, Iterable[int]] = {name: hub.feeds[name].order for name in pending}
    if xid is not None:
        news = {name: keys | hub.missed(name, xid, subscriber) for name, keys in pending.items()}
    subscriber.pending = {name: set() for name in pending}
    if xid is None:
        # Without an id again: who is cut off before `live` knows no longer what his last one stood for (HTML, 9.2.6).
        yield b"event: reset\ndata: {}\nid\n\n"
    for chunk in _gathered(_news(hub, subscriber, news, gone=xid is not None)):
        yield chunk
    told = orjson.dumps({"resumed": xid is not None})
    yield _event(b"live", told, mark.id_for(subscriber.question))
    due = time.monotonic() + every
    while not subscriber.ended:
        with suppress(TimeoutError):
            async with asyncio.timeout(due - time.monotonic()):
                await subscriber.wake.wait()
        if time.monotonic() >= due:
            yield b":\n\n"
            due = time.monotonic() + every
        subscriber.wake.clear()
        mark, news = hub.mark, dict(subscriber.pending)
        subscriber.pending = {name: set() for name in news}
        for chunk in _gathered(_news(hub, subscriber, news), mark.id_for(subscriber.question)):
            yield chunk


def _news(hub: Hub, subscriber: Subscriber, news: dict[str, Iterable[int]], *, gone: bool = True) -> Iterator[bytes]:
    """An event, without its end, for each device; what is gone is told where `gone`."""
    for dataset, keys in news.items():
        for key in keys:
            there, line = hub.told(dataset, key, subscriber)
            name = hub.name(key)
            if line:
                yield b"event: state\ndata: %b\n" % line
            elif gone and not there and name:  # else it is of a device that is not looked up yet
                told = {"dataset": dataset, "device": name}
                yield b"event: gone\ndata: %b\n" % orjson.dumps(told)


def _gathered(events: Iterator[bytes], last_id: str = "") -> Iterator[bytes]:
    """Events in chunks; the last has the id, since all before it has been told then."""
    held, gathered = b"", bytearray()
    for event in events:
        if held:
            gathered += held + b"\n"
        held = event
        if len(gathered) >= CHUNK_BYTES:
            yield bytes(gathered)
            gathered.clear()
    if held:
        yield bytes(gathered) + held + (b"id: %b\n\n" % last_id.encode() if last_id else b"\n")


def _event(name: bytes, data: bytes, id_: str = "") -> bytes:
    return next(_gathered(iter([b"event: %b\ndata: %b\n" % (name, data)]), id_))
