"""Replays asked for over HTTP: what the body says, and how the answer grows while the replay goes on."""

from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from typing import Any, Protocol, cast

import asyncpg
import orjson
import structlog
from starlette.requests import Request
from starlette.responses import Response

from usp.api import rejections
from usp.api.params import CHOICE, Texts
from usp.api.problems import NotOffered, UnknownName, nearest, shown
from usp.api.responses import Stream
from usp.db import LOST, Verdict, verdict
from usp.errors import DatabaseUnavailable, QueryError, UspError
from usp.models.rejection import Progress, RejectionFilter

log = structlog.get_logger()

MEDIA_TYPE = "application/x-ndjson"
#: A body may have so many bytes, and name so many rejections.
MAX_BODY, MAX_IDS = 1_000_000, 10_000
#: The members of the body.
MEMBERS = ("ids", *CHOICE, "dry_run")


class Operations(Protocol):
    """What the API passes on to whoever started it."""

    def replay(self, chosen: RejectionFilter, *, dry_run: bool) -> AsyncGenerator[Progress]:
        """Take up what was rejected. Raises ReplayRuns, and ProfileError where today's profiles are mistaken."""


def operations(request: Request) -> Operations:
    """What this process was given. Raises NotOffered."""
    found = request.app.state.replays
    if found is None:
        raise NotOffered
    return cast("Operations", found)


async def read_body(request: Request) -> bytes:
    """The body. Raises QueryError where it is too long."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY:
            raise QueryError(f"The body has more than {MAX_BODY:,} bytes.")
    return body


def read_members(body: bytes, known: Sequence[str], example: str) -> dict[str, Any]:
    """The members of a JSON object, all of them known."""
    try:
        asked = orjson.loads(body)
    except orjson.JSONDecodeError:
        asked = None
    if not isinstance(asked, dict):
        raise QueryError(f"The body has to be a JSON object, {example}.")
    for name in asked:
        if name not in known:
            raise UnknownName(
                f"{shown(name)} is no member here; there are {', '.join(known)}.",
                parameter=name[:80],
                suggestion=nearest(name.lower(), known, cutoff=0.0),
            )
    return asked


def parse(body: bytes) -> tuple[RejectionFilter, bool]:
    """Which rejections are meant, and whether it is only tried."""
    asked = read_members(body, MEMBERS, 'as {"reason": "unknown_device"}; {} means all that wait')
    dry_run = asked.get("dry_run", False)
    if not isinstance(dry_run, bool):
        raise QueryError("`dry_run` is true or false.", parameter="dry_run")
    chosen = rejections.choice(_texts(asked))
    return RejectionFilter(**{**vars(chosen), "ids": _ids(asked)}), dry_run


def _texts(asked: Mapping[str, Any]) -> Texts:
    texts = {name: asked[name] for name in CHOICE if name in asked}
    for name, text in texts.items():
        if not isinstance(text, str) or not text:
            raise QueryError(f"`{name}` is a text; leave it out where any will do.", parameter=name)
    return texts


def _ids(asked: Mapping[str, Any]) -> tuple[int, ...] | None:
    if "ids" not in asked:
        return None
    ids = asked["ids"]
    fine = isinstance(ids, list) and all(type(n) is int and 0 < n <= rejections.HIGHEST_ID for n in ids)
    if not fine or not 0 < len(ids) <= MAX_IDS:
        raise QueryError(f"`ids` is a list of 1 to {MAX_IDS:,} numbers of rejections.", parameter="ids")
    return tuple(dict.fromkeys(ids))


async def answer(steps: AsyncGenerator[Progress]) -> Response:
    """The replay's progress, a line for each step; what keeps it from beginning is an answer of its own."""
    try:
        first = await anext(steps)
    except BaseException as error:
        await steps.aclose()
        told = _told(error)
        if told is error:
            raise
        raise told from error
    return Stream(_line(first, done=False), _lines(first, steps), {"Cache-Control": "no-store"}, MEDIA_TYPE)


async def _lines(progress: Progress, steps: AsyncGenerator[Progress]) -> AsyncIterator[bytes]:
    async with aclosing(steps):
        try:
            async for progress in steps:  # noqa: PLR1704 - the last one is told once more
                yield _line(progress, done=False)
            yield _line(progress, done=True)
        except (UspError, *LOST, asyncpg.PostgresError) as error:
            # The status has been sent; the last line has to tell.
            log.exception("replay_interrupted")
            told = _told(error)
            detail = str(told) if isinstance(told, UspError) else "Something went wrong here; the log has the details."
            yield _line(progress, done=False, interrupted=detail)


def _told(error: BaseException) -> BaseException:
    if isinstance(error, LOST) and verdict(error) is Verdict.RETRY:
        return DatabaseUnavailable(str(error))
    return error


def _line(progress: Progress, *, done: bool, **members: str) -> bytes:
    told = {
        "chosen": progress.chosen,
        "taken": progress.taken,
        "resolved": progress.resolved,
        "refused": dict(progress.refused),
        "without_bytes": progress.without_bytes,
        "done": done,
    }
    return orjson.dumps(told | members) + b"\n"
