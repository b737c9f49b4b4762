"""What holds for every answer: HEAD for every GET, always asked again, open to every page."""

import asyncio
from http import HTTPStatus

from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from usp.api.problems import METHODS, problem


class OpenToPages(CORSMiddleware):
    """Any page may ask (CORS)."""

    def __init__(self, app: ASGIApp) -> None:
        super().__init__(app, allow_origins=["*"], allow_methods=METHODS, allow_headers=["*"])

    def preflight_response(self, request_headers: Headers) -> Response:
        """Refuse like everything else that is refused."""
        response = super().preflight_response(request_headers)
        if response.status_code < HTTPStatus.BAD_REQUEST:
            return response
        refusal = problem(HTTPStatus.BAD_REQUEST, f"A page may use {', '.join(METHODS)} here and nothing else.")
        own = {"content-length", "content-type"}
        refusal.headers.update({name: value for name, value in response.headers.items() if name not in own})
        return refusal


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
