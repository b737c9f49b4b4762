"""The pages: the map at `/`, the operators' page at `/ops`, and what they need that is not data."""

from http import HTTPStatus
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

from fastapi import APIRouter, FastAPI, Request
from starlette.exceptions import HTTPException
from starlette.responses import FileResponse, JSONResponse, RedirectResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from usp.api.problems import NothingThere
from usp.settings import Settings

#: What Vite makes of the sources; where it is missing, the API does without.
BUILT = Path(__file__).parents[1] / "web/dist"
#: The one answer that pages of other origins may not read (see `middleware.OpenToPages`).
OPS_TOKEN = "/ops/token"  # noqa: S105 - an address

#: Names of the built files hold a digest of their content.
_FOR_EVER = "public, max-age=31536000, immutable"
_SAID_BY_PROXIES = ("Forwarded", "Via", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-IP")
_LOCAL_NAMES = {"localhost", "127.0.0.1", "::1"}


class _Built(StaticFiles):
    """The built files, which may not be there."""

    async def check_config(self) -> None:
        """A missing folder is an answer 404, no failure."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        """A file, which browsers need not ask for again where its name says what is in it."""
        if path.endswith(".html"):
            # Pages have addresses of their own, at which browsers are told what they may do.
            raise HTTPException(HTTPStatus.NOT_FOUND)
        response = await super().get_response(path, scope)
        response.headers["X-Content-Type-Options"] = "nosniff"
        if path.startswith("assets/") and response.status_code == HTTPStatus.OK:
            response.headers["Cache-Control"] = _FOR_EVER
        return response


def add_pages(app: FastAPI, settings: Settings) -> None:
    """Serve the pages; without their files, `/` leads to the documentation."""
    router = APIRouter(include_in_schema=False)
    policy = _policy(settings)

    def page(name: str, frames: str) -> Response:
        headers = {"Content-Security-Policy": f"{policy}; frame-ancestors {frames}", **_HEADERS}
        return FileResponse(BUILT / name, headers=headers)

    @router.get("/")
    async def map_page() -> Response:
        # Whoever likes may show the map in a page of his own.
        return page("index.html", "*") if (BUILT / "index.html").is_file() else RedirectResponse("/docs")

    @router.get("/ops")
    async def ops_page() -> Response:
        if not (BUILT / "ops.html").is_file():
            raise NothingThere("The pages have not been built: `make pages` does it.")
        return page("ops.html", "'none'")

    @router.get("/pages/settings.json")
    async def page_settings() -> Response:
        tiles = settings.map_tiles and {"url": settings.map_tiles, "attribution": settings.map_attribution}
        return JSONResponse({"tiles": tiles or None})

    @router.get(OPS_TOKEN)
    async def ops_token(request: Request) -> Response:
        """The operator's token, to the operators' page on this machine itself, where `usp demo` has made one."""
        token = settings.ops_token if _at_home(request) else None
        return JSONResponse({"token": token}, headers={"Cache-Control": "no-store"})

    app.include_router(router)
    app.mount("/web", _Built(directory=BUILT, check_dir=False), name="web")


_HEADERS = {"X-Content-Type-Options": "nosniff", "Referrer-Policy": "same-origin"}


def _policy(settings: Settings) -> str:
    """Everything from here, nothing from elsewhere but the tiles that the settings name (CSP level 3)."""
    tiles = urlsplit(settings.map_tiles or "")
    elsewhere = f" {tiles.scheme}://{tiles.netloc}" if tiles.netloc else ""
    return "; ".join(
        (
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "font-src 'self'",
            "worker-src 'self'",
            f"img-src 'self' data: blob:{elsewhere}",
            f"connect-src 'self'{elsewhere}",
            "base-uri 'none'",
            "form-action 'none'",
        )
    )


def _at_home(request: Request) -> bool:
    """Whether the operators' page asks, in a browser on this machine, under a name of this machine.

    Another page's script is kept away by the browser (no CORS here, and it says so in Sec-Fetch-Site), and a name that
    somebody else's DNS makes lead here is none of ours. A proxy on this machine that does not say it is one cannot be
    told from a browser.
    """
    headers = request.headers
    try:
        host = urlsplit(f"//{headers.get('Host', '')}").hostname
        local = ip_address(request.client.host if request.client else "").is_loopback
    except ValueError:
        return False
    passed_on = any(name in headers for name in _SAID_BY_PROXIES)
    return local and host in _LOCAL_NAMES and not passed_on and headers.get("Sec-Fetch-Site") in {None, "same-origin"}
