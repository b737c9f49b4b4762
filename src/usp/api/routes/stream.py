"""Newest values as they change."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import cast

from fastapi import APIRouter, FastAPI, Request
from starlette.responses import Response

from usp.api import auth, params
from usp.api.document import described
from usp.api.live_stream import MEDIA_TYPE, EventStream
from usp.api.live_streams import Streams
from usp.api.problems import NotAcceptable, shown
from usp.errors import DatabaseUnavailable, UspError
from usp.models.dataset import Visibility


@asynccontextmanager
async def _running(app: FastAPI) -> AsyncIterator[None]:
    app.state.streams = Streams(app.state.readers)
    async with app.state.streams.running():
        yield


router = APIRouter(prefix="/v1", tags=["readings"], lifespan=_running)


@router.get("/stream", **described("stream", params.STREAM))
async def stream(request: Request) -> Response:
    """Newest values as they change, as server-sent events; a feed that never ends and always converges.

    First everything that matches: `reset`, a `state` for each device and dataset, `live`. Then a `state` whenever one
    has changed, an object as in `latest` with its `dataset`, and `gone` when a device has moved out of what was asked
    for, was taken out of service or is shown no longer. States in between may be skipped, the newest never is.

    Whoever comes again with `Last-Event-ID`, as browsers do by themselves, is told what he missed, and then `live`;
    where that is not known any more, everything again, beginning with `reset`.
    """
    reader = await auth.reader(request)
    texts = params.read(request.query_params.multi_items(), params.STREAM)
    question = params.stream_question(texts, reader.visibility)
    _check_accept(request.headers.get("accept", ""))
    streams = cast("Streams", request.app.state.streams)
    allowed = None if await auth.grant(request) is None else partial(_allowed, request, reader.visibility)
    return EventStream(streams.listening(question), request.headers.get("last-event-id"), allowed)


def _check_accept(accept: str) -> None:
    ranges = [part.partition(";")[0].strip().lower() for part in accept.split(",")]
    if accept.strip() and not {MEDIA_TYPE, "text/*", "*/*"} & {*ranges}:
        raise NotAcceptable(f"`Accept` {shown(accept)} does not take {MEDIA_TYPE}.")


async def _allowed(request: Request, seen: Visibility) -> bool:
    """Whether the token still allows as much as when the stream began."""
    try:
        found = await auth.grant(request)
    except DatabaseUnavailable:
        return True  # nothing new is told meanwhile
    except UspError:
        return False
    return found is not None and found.visibility is seen
