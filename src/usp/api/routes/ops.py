"""What the operators' page shows, and what it does."""

import structlog
from fastapi import APIRouter, Request
from starlette.responses import Response

from usp.api import auth, ops_candidates, ops_minutes, ops_silent, ops_state, params, replays, responses
from usp.api.document import described
from usp.api.paging import next_url
from usp.api.params import Texts
from usp.models.token import OPS, Grant

log = structlog.get_logger()

router = APIRouter(prefix="/v1/ops", tags=["operations"])


async def _as_operator(request: Request) -> Grant:
    """Refuse whoever is none."""
    return await auth.needed(request, OPS, lambda grant: OPS in grant.scopes)


async def _texts(request: Request, known: tuple[str, ...]) -> Texts:
    """An operator's parameters."""
    await _as_operator(request)
    texts = params.read(request.query_params.multi_items(), known, request.url.path)
    responses.json_only(request, texts)
    return texts


@router.get("/minutes", **described("minutes", params.MINUTES, needs=OPS))
async def minutes(request: Request) -> Response:
    """Items and delays of the last full minutes, step by step: what sparklines draw.

    Each array has `steps` values, the oldest first; the first step begins at `start`. A step is a minute; over more
    than 360 minutes it is as many as make 360 steps at most. Counts are of items, over all doors, replays too.
    Delays are those of rows, from measuring to being stored, estimated as in `/health/ingest`; null where no row
    came. `unknown` are senders that nobody has registered.
    """
    wanted = ops_minutes.minutes_of(await _texts(request, params.MINUTES))
    # A week of several workers takes a second or more.
    async with responses.operations(request).connection() as connection:
        return responses.one(await ops_minutes.document(connection, wanted))


@router.get("/silent", **described("silent", params.SILENT, needs=OPS))
async def silent(request: Request) -> Response:
    """Devices that are silent, as `/health/ingest` counts them: those heard last come first, those never heard last.

    `interval` is in seconds and left out of devices that report changes; `last_time` and `silent_for_s` are left out
    of those that were never heard.
    """
    texts = await _texts(request, params.SILENT)
    kinds, limit, mark = ops_silent.kinds_of(texts), ops_silent.rows_of(texts), ops_silent.after(texts)
    async with responses.operations(request).soon() as connection:
        page, more = await ops_silent.listed(connection, kinds, limit, mark)
    return responses.one({"data": page, "next": next_url(request.url, more) if more else None})


@router.get("/state", **described("state", params.DOCUMENT, needs=OPS))
async def state(request: Request) -> Response:
    """Database, roll-ups, broker and workers.

    What the database does not answer within half a second, as while a table is locked, is named in `unanswered` and
    left out. `connections` are those of the whole server; `oldest_write` is the writing transaction of the lowest
    number, in whatever database of the server, for which roll-ups have to wait; `pid` is null for a prepared one,
    `seconds` where this account may not see when it began. `rows` are the database's estimates. `behind_s` is the
    time from the end of the last hour that is rolled up; up to 4,200 is usual. `addresses` are the brokers that
    this process was told of; a worker is connected when it is so to all that it was told of.
    """
    await _texts(request, params.DOCUMENT)
    async with responses.operations(request).soon() as connection:
        return responses.one(await ops_state.document(connection, ops_candidates.brokers(request)))


@router.get("/candidates", **described("candidates", params.CANDIDATES, needs=OPS))
async def candidates(request: Request) -> Response:
    """Who sends without being registered, the newest first, and what a form that registers them offers.

    As `usp devices candidates --json`: `fields` is what the network server decoded of the newest message, or what the
    device itself says; else `payload` has its bytes in hex, and `port`. `suggestions` are the profiles that understand
    `known` of the `fields` there, the best first. `registered_as` is who has the address meanwhile.
    """
    limit = ops_candidates.rows_of(await _texts(request, params.CANDIDATES))
    return responses.one(await ops_candidates.listed(request, limit))


@router.post("/candidates/approve", **described("approve", (), needs=OPS))
async def approve(request: Request) -> Response:
    """Register who sends from an address, and take up all that waits: as `usp devices approve`.

    While ingest runs the answer takes some seconds: until nothing more comes as unknown. It tells what became of what
    waited: `resolved` is stored now, or was before; `refused` stays, by reason; `left` was not reached within a
    minute; `not_kept` had come beyond what is kept. Approving again does no harm, and takes up what is left; whoever
    hangs up does not end it.
    """
    grant = await _as_operator(request)
    params.read(request.query_params.multi_items(), ())
    done = await ops_candidates.approved(request, await replays.read_body(request))
    log.info("device_approved", device=done["device"], address=done["address"], token=grant.name)
    return responses.one(done)
