"""The application: pools, middleware, routes, and one way to tell an error."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.staticfiles import StaticFiles

from usp.api import problems
from usp.api.auth import TakeToken, Tokens, make_readers
from usp.api.database import Database
from usp.api.document import openapi
from usp.api.figures import FigureBoard
from usp.api.middleware import Conditional, Gzip, HeadAndCache, OpenToPages
from usp.api.pages import add_pages
from usp.api.rates import LimitRates
from usp.api.replays import Operations
from usp.api.requests import CountRequests, Requests
from usp.api.routes import datasets, devices, health, ops, readings, rejections, stream
from usp.db import WRITER_ROLE
from usp.models.rate import parse_rate
from usp.settings import Settings

DESCRIPTION = """Open data of a city's street hardware: air, weather, noise, traffic, lighting, parking, charging.

Times are RFC 3339 in UTC and windows half open, `from ≤ t < to`. An unknown parameter is an error. Errors are
problem documents (RFC 9457). Everything is licensed as its dataset says, CC BY 4.0 where nothing else is said.

Everybody may ask. A token, sent as `Authorization: Bearer usp_…`, shows more at the same addresses: with the scope
`read:restricted` what is restricted, with `ops` everything. What this page lists is what everybody sees.
`/metrics` has the platform's figures for Prometheus.

## Manners and limits

* **Pages** have 1,000 rows unless `limit` says otherwise, 10,000 at most; `next`, and the header `Link`, lead on.
  Formats that are not paged give everything unless `limit` is given, and stream it: at most 5 such exports run at once
  for all who ask without a token. One too many is told 503 with `Retry-After`, and so is a question over which the
  database takes longer than 30 seconds: ask for a shorter time, fewer devices, or an export. An export may last as
  long as its client reads; one that takes nothing for a minute is ended.
* **Ask again with `If-None-Match`**: pages and documents have an `ETag` made of their content, which a late reading
  changes too, and are not sent again to whoever has them (304). Exports have none: it would have to be known before
  their first byte.
* **Rate**: {rate} The headers `RateLimit` and `RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers-10) tell what
  is left; beyond it comes 429 with `Retry-After`. `/health/live`, `/health/ready` and `/metrics` are not counted.
* **HEAD** answers like GET without the body, any web page may ask (CORS), and `Accept-Encoding: gzip` saves most of
  the bytes.
"""

ASSETS = "/docs/assets"


def create_app(settings: Settings, *, operations: Operations | None = None) -> FastAPI:
    """Make the application; it starts, and answers 503, also while the database is away.

    `operations` does what the API only passes on; without it, that is refused.
    """
    url = settings.require_database()
    readers = make_readers(url)
    tables = Database(url, role=WRITER_ROLE, application="usp-api-ops", size=3)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        for database in (*(reader.database for reader in readers.values()), tables):
            await database.close()

    app = FastAPI(
        title="Urban sharing platform",
        description=DESCRIPTION.replace("{rate}", _rate(settings)),
        version=version("urban-sharing-platform"),
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        openapi_url="/openapi.json",
    )
    app.state.readers, app.state.operations, app.state.replays = readers, tables, operations
    app.state.tokens, app.state.board = Tokens(tables, settings.ops_token), FigureBoard(tables)
    app.state.requests = Requests()
    routers = [
        *(module.router for module in (datasets, readings, devices, stream, health, rejections, ops)),
        health.metrics_router,
    ]
    for router in routers:
        app.include_router(router)
    #: As templates; a wrong address is compared with them.
    app.state.addresses = [route.path for router in routers for route in router.routes if isinstance(route, APIRoute)]
    _add_documentation(app)
    add_pages(app, settings)
    _add_problems(app)
    _add_middleware(app, settings)
    return app


def _rate(settings: Settings) -> str:
    limit = parse_rate(settings.rate_limit)
    if limit is None:
        return "there is no limit here."
    return f"one client may make {limit} requests. A client is an IPv4 address or an IPv6 network of 64 bits."


def _add_middleware(app: FastAPI, settings: Settings) -> None:
    """The last one is the outermost."""
    app.add_middleware(Conditional)
    app.add_middleware(Gzip)
    if (limit := parse_rate(settings.rate_limit)) is not None:
        spare_loopback = "rate_limit" not in settings.model_fields_set
        app.add_middleware(LimitRates, limit=limit, spare_loopback=spare_loopback)
    app.add_middleware(OpenToPages)
    app.add_middleware(CountRequests, requests=app.state.requests)
    app.add_middleware(HeadAndCache)
    app.add_middleware(TakeToken)


def _add_problems(app: FastAPI) -> None:
    for error in problems.STATUS:
        app.add_exception_handler(error, problems.tell)
    app.add_exception_handler(RequestValidationError, problems.tell)
    app.add_exception_handler(HTTPException, problems.tell_http)


def _add_documentation(app: FastAPI) -> None:
    """Serve /docs with its scripts from the package they are installed with: nothing comes from elsewhere."""
    app.mount(ASSETS, StaticFiles(directory=_assets()), name="assets")
    # FastAPI's documented way of changing the document.
    app.openapi = lambda: openapi(app)  # type: ignore[method-assign]

    @app.get("/docs", include_in_schema=False)
    async def docs() -> Response:
        return get_swagger_ui_html(
            openapi_url="/openapi.json",
            title=app.title,
            swagger_js_url=f"{ASSETS}/swagger-ui-bundle.js",
            swagger_css_url=f"{ASSETS}/swagger-ui.css",
            swagger_favicon_url="data:,",
            swagger_ui_parameters={"validatorUrl": None, "tryItOutEnabled": True},
        )


def _assets() -> Path:
    # Importing it would patch nothing, but there is no need to.
    found = find_spec("fastapi_offline")
    if found is None or found.origin is None:
        raise FileNotFoundError("fastapi_offline")
    return Path(found.origin).parent / "static"
