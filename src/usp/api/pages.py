"""The pages: the map at `/`, the operators' page at `/ops`, and what they need that is not data."""

from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

from fastapi import APIRouter, FastAPI, Request
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
_LOCAL_NAMES = {"localhost", "127.0.0.1", "::1"}


class _Built(StaticFiles):
    """The built files, which may not be there."""

    async def check_config(self) -> None:
        """A missing folder is an answer 404, no failure."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        """A file, which browsers need not ask for again where its name says what is in it."""
        response = await super().get_response(path, scope)
        response.headers["X-Content-Type-Options"] = "nosniff"
        if path.startswith("assets/") and response.status_code == 200:
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

    Another page's script is kept away by the browser (no CORS here, and it says so in Sec-Fetch-Site); a name that
    somebody else's DNS makes lead here is none of ours; and a proxy on this machine has the name of its own site.
    """
    host = urlsplit(f"//{request.headers.get('Host', '')}").hostname
    asking = request.client.host if request.client else ""
    try:
        local = ip_address(asking).is_loopback
    except ValueError:
        local = False
    return local and host in _LOCAL_NAMES and request.headers.get("Sec-Fetch-Site") in {None, "same-origin"}
