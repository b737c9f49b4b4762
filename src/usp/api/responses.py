"""From a representation to an HTTP response: errors before the first byte are still answers."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Any, cast

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from usp.api.database import Database
from usp.api.figures import FigureBoard
from usp.api.paging import next_url
from usp.api.representations import Format, choose
from usp.api.representations.json import JSON, document
from usp.api.selection import Selection


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
    chunks = format_.chunks(selection, database, lambda cursor: next_url(request.url, cursor))
    headers = {"Vary": "Accept"}
    if format_.paged:
        whole = b"".join([chunk async for chunk in chunks])
        return Response(whole, headers=headers, media_type=format_.content_type)
    headers["Content-Disposition"] = f'attachment; filename="{selection.name}.{format_.name}"'
    return Stream(await anext(chunks, b""), chunks, headers, format_.content_type)


def format_of(request: Request, texts: dict[str, str]) -> Format:
    """The format a request asks for."""
    return choose(texts.get("format"), request.headers.get("accept"))


def json_only(request: Request, texts: dict[str, str]) -> None:
    """Refuse another format where there is a single document."""
    choose(texts.get("format"), request.headers.get("accept"), (JSON(),))


def one(content: Any, status: int = 200) -> Response:
    """A single document."""
    return Response(document(content), status, {"Vary": "Accept"}, JSON.content_type)


def operations(request: Request) -> Database:
    """The database as the platform itself sees it; for its health only."""
    return cast("Database", request.app.state.operations)


def board(request: Request) -> FigureBoard:
    """The platform's figures."""
    return cast("FigureBoard", request.app.state.board)
