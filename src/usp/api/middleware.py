"""What holds for every answer: HEAD for every GET, always asked again, known again, compressed, open to every page."""

import asyncio
import hashlib
import re
from http import HTTPStatus

from fastapi.middleware.gzip import GZipMiddleware
from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.gzip import DEFAULT_EXCLUDED_CONTENT_TYPES
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from usp.api.pages import OPS_TOKEN
from usp.api.problems import METHODS, problem

#: What a page may read of an answer beside its body; without being named here it sees none of them.
EXPOSED = (
    *(
        "Link",
        "ETag",
        "Content-Disposition",
        "Retry-After",
        "RateLimit",
        "RateLimit-Policy",
        "WWW-Authenticate",
        "Allow",
    ),
)
#: Below this an answer fits in one packet anyway.
GZIP_FROM_BYTES = 1_000
#: Formats that are compressed in themselves.
COMPRESSED = ("application/vnd.apache.parquet",)

_NO_GZIP = re.compile(r"(?:gzip|x-gzip)\s*;\s*q=0(?:\.0*)?\s*(?:,|$)", re.IGNORECASE)
#: RFC 9110, 8.8.3.
_TAG = re.compile(r'(?:W/)?"([\x21\x23-\x7e\x80-\xff]*)"')
_ABOUT_BODY = re.compile("content-(?!location)|link$", re.IGNORECASE)


class OpenToPages(CORSMiddleware):
    """Any page may ask (CORS), but not for what the operators' page of the demonstration gets without a token."""

    def __init__(self, app: ASGIApp) -> None:
        super().__init__(app, allow_origins=["*"], allow_methods=METHODS, allow_headers=["*"], expose_headers=EXPOSED)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        closed = scope["type"] == "http" and scope["path"] == OPS_TOKEN
        await (self.app if closed else super().__call__)(scope, receive, send)

    def preflight_response(self, request_headers: Headers) -> Response:
        """Refuse like everything else that is refused."""
        response = super().preflight_response(request_headers)
        if response.status_code < HTTPStatus.BAD_REQUEST:
            return response
        refusal = problem(HTTPStatus.BAD_REQUEST, f"A page may use {', '.join(METHODS)} here and nothing else.")
        own = {"content-length", "content-type"}
        refusal.headers.update({name: value for name, value in response.headers.items() if name not in own})
        return refusal


class Gzip(GZipMiddleware):
    """Compresses what is large and not compressed in itself.

    Each part of a stream is sent as soon as it is there; streams of events stay as they are.
    """

    def __init__(self, app: ASGIApp) -> None:
        excluded = (*DEFAULT_EXCLUDED_CONTENT_TYPES, *COMPRESSED)
        super().__init__(app, GZIP_FROM_BYTES, compresslevel=5, exclude_content_types=excluded)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on; `gzip;q=0` says that it is not wanted (RFC 9110, 12.5.3)."""
        wants = scope["type"] != "http" or not _NO_GZIP.search(Headers(scope=scope).get("Accept-Encoding", ""))
        await (super().__call__ if wants else self.app)(scope, receive, send)


class Conditional:
    """Marks every answer that comes whole by its content, and does not send it again to whoever has it.

    The mark is a weak ETag, since the same content may be sent compressed or not (RFC 9110, 8.8.1). It is made of the
    body itself: whatever changes an answer, a late reading in last year's as well, changes it. A stream has none: it
    would have to be made to its end before its first byte could be sent.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        if scope["type"] != "http" or scope["method"] != "GET":
            await self.app(scope, receive, send)
            return
        known = ",".join(Headers(scope=scope).getlist("If-None-Match"))
        held: Message | None = None

        async def send_on(message: Message) -> None:
            nonlocal held
            if message["type"] == "http.response.start" and message["status"] == HTTPStatus.OK:
                headers = MutableHeaders(scope=message)
                if (own := headers.get("ETag")) is not None:
                    headers["ETag"] = f"W/{own.removeprefix('W/')}"
                elif "Content-Length" in headers:
                    held = message
                    return
            if held is not None:
                start, held = held, None
                if message["type"] == "http.response.body" and not message.get("more_body", False):
                    start, message = _marked(start, message, known)
                await send(start)
            await send(message)

        await self.app(scope, receive, send_on)


def _marked(start: Message, body: Message, known: str) -> tuple[Message, Message]:
    """An answer with its mark; or, where that is known already, 304 (RFC 9110, 13.1.2 and 15.4.5)."""
    headers = MutableHeaders(scope=start)
    content = body.get("body", b"")
    tag = hashlib.sha256(content).hexdigest()[:24]
    headers["ETag"] = f'W/"{tag}"'
    if known.strip() != "*" and tag not in _TAG.findall(known):
        return start, body
    kept = [(name, value) for name, value in start["headers"] if not _ABOUT_BODY.match(name.decode("latin-1"))]
    return {**start, "status": HTTPStatus.NOT_MODIFIED.value, "headers": kept}, {**body, "body": b""}


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
                headers = MutableHeaders(scope=message)
                headers.setdefault("Cache-Control", "no-cache")
                if "accept-encoding" not in ",".join(headers.getlist("Vary")).lower():
                    headers.add_vary_header("Accept-Encoding")
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
