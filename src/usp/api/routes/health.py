"""How the platform is doing."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from usp.api import health, ingest_health, params, responses
from usp.api.document import described

router = APIRouter(prefix="/health", tags=["health"])


@router.get("/live", **described("live", params.DOCUMENT))
async def live(request: Request) -> Response:
    """The process answers; nothing else is looked at."""
    responses.json_only(request, params.read(request.query_params.multi_items(), params.DOCUMENT))
    return responses.one({"status": "alive"})


@router.get("/ready", **described("ready", params.DOCUMENT))
async def ready(request: Request) -> Response:
    """Each thing the platform depends on, by name; 503 when a critical one fails."""
    responses.json_only(request, params.read(request.query_params.multi_items(), params.DOCUMENT))
    checks = await health.dependencies(responses.open_data(request), responses.operations(request))
    return health.verdict(checks)


@router.get("/ingest", **described("ingest", params.DOCUMENT))
async def ingest(request: Request) -> Response:
    """What came in and what became of it: received = stored + duplicate + rejected.

    Counts are since the database was made and add up over all workers; `in_flight` has been taken from the broker
    and is not committed yet. `rates` are items per second. `delay_p50_s` and `delay_p95_s` are the times from
    measuring to being stored, over the last hour. A device is `silent` when its newest value is older than three
    reporting intervals, or than the time a state may hold where it reports changes.
    """
    responses.json_only(request, params.read(request.query_params.multi_items(), params.DOCUMENT))
    return responses.one(await ingest_health.ingest(responses.operations(request), health.HEARTBEAT_S))
