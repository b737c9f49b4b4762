"""What holds for every answer: HEAD for every GET, always asked again, open to every page."""

import asyncio

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send


class HeadAndCache:
    """Answers HEAD as GET without the body, and lets caches keep nothing they do not ask about."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        head = scope["method"] == "HEAD"
        told = asyncio.Event()

        async def send_on(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).setdefault("Cache-Control", "no-cache")
                await send(message)
                if head:
                    await send({"type": "http.response.body", "body": b""})
                    told.set()
            elif not head:
                await send(message)

        async def receive_on() -> Message:
            # Once the headers are told nobody listens any more, so that no export is made for nobody.
            await told.wait()
            return {"type": "http.disconnect"}

        if head:
            await self.app({**scope, "method": "GET"}, receive_on, send_on)
        else:
            await self.app(scope, receive, send_on)
