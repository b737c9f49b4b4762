"""How the platform is doing."""

from contextlib import suppress

from fastapi import APIRouter, Request
from starlette.responses import Response

from usp.api import auth, health, ingest_health, metrics, params, responses
from usp.api.document import described
from usp.errors import DatabaseUnavailable
from usp.models.dataset import Visibility

router = APIRouter(prefix="/health", tags=["health"])
metrics_router = APIRouter()


@router.get("/live", **described("live", params.DOCUMENT))
async def live(request: Request) -> Response:
    """The process answers; nothing else is looked at."""
    responses.json_only(request, params.read(request.query_params.multi_items(), params.DOCUMENT))
    return responses.one({"status": "alive"})


@router.get("/ready", **described("ready", params.DOCUMENT))
async def ready(request: Request) -> Response:
    """Each thing the platform depends on, by name; 503 when a critical one fails."""
    responses.json_only(request, params.read(request.query_params.multi_items(), params.DOCUMENT))
    checks = await health.dependencies(auth.everybody(request).database, responses.operations(request))
    return health.verdict(checks)


@router.get("/ingest", **described("ingest", params.DOCUMENT))
async def ingest(request: Request) -> Response:
    """What came in and what became of it: received = stored + duplicate + rejected.

    Counts are since the database was made and add up over all workers; `in_flight` has been taken from the broker
    and is not committed yet. `rates` are items per second, `row_rates` rows. `delay_p50_s` and `delay_p95_s` are the
    times from measuring to being stored, over the last hour; 3600 means an hour or more, and `delay_over_3600_s` is
    the number of rows that were so late. A device is `silent` when its newest value is older than three reporting
    intervals, or than the time a state may hold where it reports changes.

    Counts, rates and delays of items and rows are totals of the whole platform. Devices (`expected`, `reporting`,
    `silent`) and `last_event` are what the reader may see; kinds and datasets of which he sees nothing are left out.
    Which devices are silent is told to tokens with the scope `ops`.
    """
    reader = await auth.reader(request)
    responses.json_only(request, params.read(request.query_params.multi_items(), params.DOCUMENT))
    return responses.one(ingest_health.document(await responses.board(request).figures(), reader.visibility))


@metrics_router.get("/metrics", include_in_schema=False)
async def prometheus(request: Request) -> Response:
    """The same figures for Prometheus, and those of this process; without the database only the latter."""
    params.read(request.query_params.multi_items(), ())
    seen, figures = Visibility.OPEN, None
    with suppress(DatabaseUnavailable):
        seen = (await auth.reader(request)).visibility
        figures = await responses.board(request).figures()
    return metrics.exposition(figures, seen, request.app.state.requests, request.headers.get("accept", ""))
