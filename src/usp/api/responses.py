"""From a representation to an HTTP response: errors before the first byte are still answers."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine, Mapping
from contextlib import aclosing
from typing import Any, TypeVar, cast
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from usp.api.database import Database
from usp.api.figures import FigureBoard
from usp.api.paging import next_url
from usp.api.representations import Format, choose
from usp.api.representations.json import JSON, document
from usp.api.selection import Selection

T = TypeVar("T")
#: Nobody reads it; it is counted among what clients did.
_CLIENT_GONE = 499

#: SPDX identifier -> where the licence itself stands; any other is found in SPDX's list.
_LICENCES = {
    "CC-BY-4.0": "https://creativecommons.org/licenses/by/4.0/",
    "CC-BY-SA-4.0": "https://creativecommons.org/licenses/by-sa/4.0/",
    "CC0-1.0": "https://creativecommons.org/publicdomain/zero/1.0/",
}
#: What stands for itself in an address (RFC 3986, 2.2); of the rest a Host header may hold anything.
_IN_ADDRESS = ":/?#[]@!$&'()*+,;=%"


class Stream(StreamingResponse):
    """A stream whose source is closed when the client has gone."""

    def __init__(self, first: bytes, rest: AsyncIterator[bytes], headers: dict[str, str], media_type: str) -> None:
        self._source = cast("AsyncGenerator[bytes]", rest)
        super().__init__(self._chunks(first), headers=headers, media_type=media_type)

    async def _chunks(self, first: bytes) -> AsyncIterator[bytes]:
        yield first
        async for chunk in self._source:
            yield chunk

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send until the end, or until nobody listens."""
        async with aclosing(self._source):
            await super().__call__(scope, receive, send)


async def rows(request: Request, selection: Selection, format_: Format, database: Database) -> Response:
    """The rows of a selection, in a format."""
    onward: list[str] = []

    def link(cursor: str) -> str:
        onward.append(next_url(request.url, cursor))
        return onward[-1]

    chunks = format_.chunks(selection, database, link)
    if format_.paged:
        whole = await _while_listened(request, _all(chunks))
        if whole is None:
            return Response(status_code=_CLIENT_GONE)
        headers = {"Vary": "Accept", **links(selection.about, *onward)}
        return Response(whole, headers=headers, media_type=format_.content_type)
    headers = {"Vary": "Accept", **links(selection.about)}
    headers["Content-Disposition"] = f'attachment; filename="{selection.name}.{format_.name}"'
    first = await _while_listened(request, _next(chunks))
    if first is None:
        return Response(status_code=_CLIENT_GONE)
    return Stream(first, chunks, headers, format_.content_type)


async def _while_listened(request: Request, work: Coroutine[Any, Any, T]) -> T | None:
    """What the work gives; None where the client has left before, and the work was given up."""
    working = asyncio.create_task(work)
    leaving = asyncio.create_task(_left(request))
    try:
        await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
        return await working if working.done() else None
    finally:
        for task in (working, leaving):
            task.cancel()
        await asyncio.wait({working, leaving})


async def _left(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _all(chunks: AsyncIterator[bytes]) -> bytes:
    return b"".join([chunk async for chunk in chunks])


async def _next(chunks: AsyncIterator[bytes]) -> bytes:
    return await anext(chunks, b"")


def links(about: Mapping[str, str], onward: str | None = None) -> dict[str, str]:
    """The header `Link` (RFC 8288): the next page, what describes the dataset, its licence; none where there are none.

    `about` is a selection's: `dataset` and `licence`, an SPDX identifier.
    """
    targets: list[tuple[str, str]] = []
    if onward is not None:
        targets.append((onward, "next"))
    if "dataset" in about:
        targets.append((f"/v1/datasets/{about['dataset']}", "describedby"))
    if licence := about.get("licence"):
        targets.append((_LICENCES.get(licence, f"https://spdx.org/licenses/{licence}.html"), "license"))
    text = ", ".join(f'<{quote(address, safe=_IN_ADDRESS)}>; rel="{relation}"' for address, relation in targets)
    return {"Link": text} if text else {}


def format_of(request: Request, texts: dict[str, str]) -> Format:
    """The format a request asks for."""
    return choose(texts.get("format"), request.headers.get("accept"))


def json_only(request: Request, texts: dict[str, str]) -> None:
    """Refuse another format where there is a single document."""
    choose(texts.get("format"), request.headers.get("accept"), (JSON(),))


def one(content: Any, status: int = 200, *, about: Mapping[str, str] | None = None) -> Response:
    """A single document; `about` is what it tells of, as in a selection."""
    onward = content.get("next") if isinstance(content, dict) else None
    headers = {"Vary": "Accept", **links(about or {}, onward)}
    return Response(document(content), status, headers, JSON.content_type)


def operations(request: Request) -> Database:
    """The database as the platform itself sees it; for its health only."""
    return cast("Database", request.app.state.operations)


def board(request: Request) -> FigureBoard:
    """The platform's figures."""
    return cast("FigureBoard", request.app.state.board)
