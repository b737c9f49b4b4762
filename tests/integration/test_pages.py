"""The pages as they are served: what a browser is told beside them, and who gets the demonstration's token."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from usp.api import pages
from usp.api.app import create_app
from usp.models.token import PREFIX
from usp.settings import Settings

TOKEN = PREFIX + "a" * 43
HERE = {"Host": "127.0.0.1:8000"}


@asynccontextmanager
async def browsing(database_url: str, asking: str = "127.0.0.1", **settings: str) -> AsyncIterator[httpx.AsyncClient]:
    """Somebody at an address of his own, and an API with settings."""
    app = create_app(Settings(_env_file=None, database_url=database_url, **settings))  # type: ignore[call-arg, arg-type]
    transport = httpx.ASGITransport(app=app, client=(asking, 50000))
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://test") as client,
    ):
        yield client


def policy(answer: httpx.Response) -> dict[str, set[str]]:
    """The Content-Security-Policy, by directive."""
    parts = (part.split() for part in answer.headers["Content-Security-Policy"].split(";"))
    return {name: set(values) for name, *values in parts}


@pytest.mark.parametrize("page", ["/", "/ops"])
async def test_a_page_may_load_nothing_from_elsewhere(database_url: str, page: str) -> None:
    """Scripts, styles and connections are this platform's own, and no page runs a script that is not a file."""
    async with browsing(database_url) as client:
        answer = await client.get(page)
        assert answer.status_code == 200
        allowed = policy(answer)
        assert allowed["default-src"] == {"'none'"}
        for name in ("script-src", "style-src", "connect-src", "font-src", "worker-src"):
            assert allowed[name] == {"'self'"}, name
        assert re.search(r"<script(?![^>]* src=)|<style|\son\w+=|style=", answer.text) is None
        for address in re.findall(r'(?:src|href)="(/[^"]+)"', answer.text):
            if address != "/docs":
                found = await client.get(address)
                assert found.status_code == 200, address
                assert found.headers["X-Content-Type-Options"] == "nosniff"


async def test_only_the_map_may_be_shown_within_another_page(database_url: str) -> None:
    """A city puts the map into its home page; nobody puts the operators' buttons under somebody else's."""
    async with browsing(database_url) as client:
        assert policy(await client.get("/"))["frame-ancestors"] == {"*"}
        assert policy(await client.get("/ops"))["frame-ancestors"] == {"'none'"}


async def test_a_page_has_one_address(database_url: str) -> None:
    """Among the built files, where nothing would tell browsers what they may do, there are no pages."""
    async with browsing(database_url) as client:
        for name in ("index.html", "ops.html", "./ops.html"):
            assert (await client.get(f"/web/{name}")).status_code == 404


async def test_built_files_are_kept_by_browsers(database_url: str) -> None:
    """A file that has its content's digest in its name is asked for once; the page that names it, every time."""
    async with browsing(database_url) as client:
        page = await client.get("/")
        assert page.headers["Cache-Control"] == "no-cache"
        (script,) = re.findall(r'src="(/web/assets/[^"]+)"', page.text)
        assert "immutable" in (await client.get(script)).headers["Cache-Control"]
        assert "immutable" not in (await client.get("/web/assets/none.js")).headers.get("Cache-Control", "")


async def test_tiles_come_from_where_the_setting_says_and_nowhere_else(database_url: str) -> None:
    """The policy lets exactly that host in, and the page is told whom to name."""
    tiles = {"map_tiles": "https://tiles.example.org/{z}/{x}/{y}.png?key=1", "map_attribution": "Example <b>"}
    async with browsing(database_url, **tiles) as client:
        allowed = policy(await client.get("/"))
        assert allowed["connect-src"] == {"'self'", "https://tiles.example.org"}
        assert allowed["script-src"] == {"'self'"}
        told = (await client.get("/pages/settings.json")).json()
        assert told == {"tiles": {"url": tiles["map_tiles"], "attribution": "Example <b>"}}
    async with browsing(database_url) as client:
        assert (await client.get("/pages/settings.json")).json() == {"tiles": None}


@pytest.mark.parametrize(
    "url",
    ["tiles", "ftp://tiles.example.org/{z}/{x}/{y}", "https://a.example/{z}/{x}", "https://a.example;x/{z}/{x}/{y}"],
)
def test_tiles_that_cannot_be_are_refused(url: str) -> None:
    """A mistaken address is told at the start, with what would be right; none slips into the policy."""
    with pytest.raises(ValueError, match="expected an address as https"):
        Settings(_env_file=None, map_tiles=url)  # type: ignore[call-arg]


async def test_the_demonstrations_token_opens_the_operators_addresses(database_url: str) -> None:
    """A browser on this machine gets it without asking anybody, and it is worth as much as any token of scope ops."""
    async with browsing(database_url, ops_token=TOKEN) as client:
        answer = await client.get("/ops/token", headers=HERE | {"Sec-Fetch-Site": "same-origin"})
        assert answer.json() == {"token": TOKEN}
        assert answer.headers["Cache-Control"] == "no-store"
        bearer = {"Authorization": f"Bearer {TOKEN}"}
        assert (await client.get("/v1/ops/rejections", headers=bearer)).status_code == 200
        assert (await client.get("/v1/ops/rejections")).status_code == 401
    async with browsing(database_url) as client:
        assert (await client.get("/ops/token", headers=HERE)).json() == {"token": None}
        assert (await client.get("/v1/ops/rejections", headers=bearer)).status_code == 401


@pytest.mark.parametrize(
    ("asking", "headers"),
    [
        ("192.0.2.7", {}),
        ("::ffff:192.0.2.7", {}),
        ("127.0.0.1", {"Host": "city.example.org"}),
        ("127.0.0.1", {"Host": "127.0.0.1.example.org"}),
        ("127.0.0.1", {"Host": "["}),
        ("127.0.0.1", {"X-Forwarded-For": "192.0.2.7"}),
        ("127.0.0.1", {"X-Real-IP": "192.0.2.7"}),
        ("127.0.0.1", {"Via": "1.1 proxy"}),
        ("127.0.0.1", {"Sec-Fetch-Site": "cross-site"}),
        ("127.0.0.1", {"Sec-Fetch-Site": "same-site"}),
        ("127.0.0.1", {"Sec-Fetch-Site": "none"}),
    ],
)
async def test_nobody_else_gets_the_token(database_url: str, asking: str, headers: dict[str, str]) -> None:
    """Not another machine, not a name that somebody made lead here, not a proxy's visitors, not another page."""
    async with browsing(database_url, asking, ops_token=TOKEN) as client:
        assert (await client.get("/ops/token", headers=HERE | headers)).json() == {"token": None}


async def test_no_other_page_can_read_the_token(database_url: str) -> None:
    """All else may be read by any page (CORS); this one answer may not."""
    async with browsing(database_url, ops_token=TOKEN) as client:
        other = HERE | {"Origin": "https://other.example"}
        assert "Access-Control-Allow-Origin" not in (await client.get("/ops/token", headers=other)).headers
        assert (await client.get("/v1/datasets", headers=other)).headers["Access-Control-Allow-Origin"] == "*"


async def test_the_api_does_without_the_pages(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where they have not been built, `/` leads to the documentation and everything else answers."""
    monkeypatch.setattr(pages, "BUILT", tmp_path / "none")
    async with browsing(database_url) as client:
        assert (await client.get("/")).headers["Location"] == "/docs"
        ops = await client.get("/ops")
        assert ops.status_code == 404
        assert "make pages" in ops.json()["detail"]
        assert (await client.get("/web/assets/map.js")).status_code == 404
        assert (await client.get("/v1/datasets")).status_code == 200
