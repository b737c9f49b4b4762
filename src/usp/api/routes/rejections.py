"""What was refused, for operators: to look at, and to take up again."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from usp.api import auth, params, rejections, replays, responses
from usp.api.database import Database
from usp.api.document import described
from usp.api.paging import next_url
from usp.models.dataset import Visibility
from usp.models.token import OPS

router = APIRouter(prefix="/v1/ops/rejections", tags=["operations"])


async def _as_operator(request: Request) -> Database:
    """The database as operators see it, to whoever is one."""
    await auth.needed(request, OPS, lambda grant: OPS in grant.scopes)
    return auth.everybody(request, Visibility.OPS).database


@router.get("", **described("rejections", params.REJECTIONS, needs=OPS))
async def list_rejections(request: Request) -> Response:
    """What was refused, newest first; what waits still unless `state` says otherwise.

    `reason`, `detail` and `field` are those of the last attempt. `payload` is the item itself, as text where it is
    UTF-8 and as Base64 otherwise; of items over 64 KiB only length and digest are there. A page ends early where its
    items have more than 4 MB together.
    """
    database = await _as_operator(request)
    texts = params.read(request.query_params.multi_items(), params.REJECTIONS, request.url.path, lists=())
    responses.json_only(request, texts)
    chosen, rows, mark = rejections.choice(texts), rejections.rows_of(texts), rejections.after(texts)
    async with database.connection() as connection:
        page, more = await rejections.listed(connection, chosen, rows, mark, most_bytes=rejections.PAGE_BYTES)
    onward = next_url(request.url, rejections.mark_after(page[-1])) if more else None
    return responses.one({"data": [rejections.document(record) for record in page], "next": onward})


@router.get("/stats", **described("rejection_stats", params.REJECTION_STATS, needs=OPS))
async def rejection_stats(request: Request) -> Response:
    """How many wait (`open`), how many are `resolved`; and how many were `kept`, of how many there were (`total`).

    `open` and `resolved` are counted under today's reason, `kept` and `total` under the one at arrival; the first
    1,000 of an address and reason are kept, 10,000 of those that wait to be understood. By day, only what was kept can
    be told.
    """
    database = await _as_operator(request)
    texts = params.read(request.query_params.multi_items(), params.REJECTION_STATS, lists=())
    responses.json_only(request, texts)
    by, limit = rejections.groups_of(texts)
    async with database.connection() as connection:
        return responses.one({"data": await rejections.stats(connection, by, limit), "next": None})


@router.get("/{rejection:int}", **described("rejection", params.DOCUMENT, "rejection", needs=OPS))
async def one_rejection(request: Request, rejection: int) -> Response:
    """One rejection: everything that is known of it, and what its reason means."""
    database = await _as_operator(request)
    responses.json_only(request, params.read(request.query_params.multi_items(), params.DOCUMENT))
    async with database.connection() as connection:
        record = await rejections.one(connection, rejection)
    return responses.one(rejections.document(record) | {"explanation": rejections.explanation(record["reason"])})


@router.post("/replay", **described("replay", (), needs=OPS))
async def replay(request: Request) -> Response:
    """Take up what waits, oldest first: the same bytes through today's profiles, codecs and registry.

    The body chooses as the list does; `{}` means everything that waits. Each line of the answer tells how far it has
    come, and the last one says `done`; one that says `interrupted` tells why. Whoever hangs up may end the replay;
    what was taken by then is committed, and another replay finds what is left. `refused` counts what stays, by
    today's reason; `without_bytes` match, but only their digest was kept. With `dry_run` nothing is written.
    """
    database = await _as_operator(request)
    params.read(request.query_params.multi_items(), ())
    chosen, dry_run = replays.parse(await replays.read_body(request))
    async with database.connection() as connection:
        await rejections.check_device(connection, chosen)
    return await replays.answer(replays.operations(request).replay(chosen, dry_run=dry_run))
