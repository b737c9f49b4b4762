"""Whatever is wrong is told as RFC 9457 says, with what would be right."""

import asyncio
from collections.abc import Awaitable, Callable

import asyncpg
import httpx
import pytest
from tests.integration.conftest import serving

READINGS = "/v1/datasets/air_quality/readings"


@pytest.mark.parametrize(
    ("query", "parameter", "suggestion"),
    [
        ("devise=a", "devise", "device"),
        ("fron=2026-11-20", "fron", "from"),
        ("FROM=2026-11-20", "FROM", "from"),
        ("page=2", "page", "cursor"),
        ("offset=100", "offset", "cursor"),
        ("Start=2026-11-20", "Start", "from"),
        ("fields=no2", "fields", "properties"),
        ("lat=45.4", "lat", "near"),
        ("from=yesterday", "from", None),
        ("from=2026-11-20T09:00:00", "from", None),
        ("from=2026-13-01T00:00:00Z", "from", None),
        ("from=2026-02-30", "from", None),
        ("from=0001-01-01T00:00:00%2B23:59", "from", None),
        ("to=0001-01-01", "to", None),
        ("from=2026-11-20T10:00:00Z&to=2026-11-20T10:00:00Z", "from", None),
        ("from=2999-01-01", "from", None),
        ("from=2026-01-01&from=2026-01-02", "from", None),
        ("device=", "device", None),
        ("device=lamp-corso-lodi-1,,", "device", None),
        ("device=lamp-corso-lody-1", "device", "lamp-corso-lodi-1"),
        ("device=a%00b", "device", None),
        ("device=" + "x" * 3000, "device", None),
        ("site=corso-ludi", "site", "corso-lodi"),
        ("kind=lampost", "kind", "lamppost"),
        ("category=quick", "category", None),
        ("category=fst", "category", "fast"),
        ("bbox=1,2,3", "bbox", None),
        ("bbox=1,2,3,x", "bbox", None),
        ("bbox=1,2,3,nan", "bbox", None),
        ("bbox=0,50,1,40", "bbox", None),
        ("near=9.2,45.4", "near", None),
        ("near=9.2,45.4,-5", "near", None),
        ("near=9.2,45.4,1e999", "near", None),
        ("where=no2", "where", None),
        ("where=no2:high", "where", None),
        ("where=no2:1e39", "where", None),
        ("where=no2:1e400", "where", None),
        ("where=no2:-1e400", "where", None),
        ("where=no2:inf", "where", None),
        ("where=no22:1", "where", "no2"),
        ("where=no2:1,no2:2", "where", None),
        ("properties=pm25", "properties", "pm2_5"),
        ("properties=no2,", "properties", None),
        ("order=down", "order", None),
        ("order=dsc", "order", "desc"),
        ("limit=0", "limit", None),
        ("limit=10001", "limit", None),
        ("limit=1.5", "limit", None),
        ("limit=%D9%A1", "limit", None),
        ("limit=0&format=csv", "limit", None),
        ("cursor=abc", "cursor", None),
        ("cursor=W10", "cursor", None),
        ("cursor=%C3%A8", "cursor", None),
        ("format=xml", "format", None),
        ("format=cvs", "format", "csv"),
        ("format=excel", "format", "csv"),
    ],
)
async def test_a_bad_parameter_is_named(
    client: httpx.AsyncClient, query: str, parameter: str, suggestion: str | None
) -> None:
    """400 with the parameter, and the nearest known name where one is near."""
    response = await client.get(f"{READINGS}?{query}")
    assert response.status_code == 400, response.text
    assert response.headers["content-type"] == "application/problem+json"
    body = response.json()
    assert body["type"] == "about:blank"
    assert body["title"] == "Bad Request"
    assert body["status"] == 400
    assert body["parameter"] == parameter
    assert len(body["detail"]) < 1500
    if suggestion:
        assert body["suggestion"] == suggestion
        assert suggestion in body["detail"]


@pytest.mark.parametrize(
    ("dataset", "where", "suggestion"),
    [
        ("parking", "occupied:yes", None),
        ("parking", "occupied:True", "true"),
        ("charging", "status:chargin", "charging"),
    ],
)
async def test_states_are_known(client: httpx.AsyncClient, dataset: str, where: str, suggestion: str | None) -> None:
    """A state that the property does not take is refused, not looked for in vain."""
    response = await client.get(f"/v1/datasets/{dataset}/readings", params={"where": where})
    assert response.status_code == 400
    assert response.json().get("suggestion") == suggestion


@pytest.mark.parametrize(
    ("path", "suggestion"),
    [
        ("/v1/datasets/air-quality", "air_quality"),
        ("/v1/datasets/air-quality/readings", "air_quality"),
        ("/v1/datasets/nois/latest", "noise"),
        ("/v1/devices/lamp-corso-lodi-2", "lamp-corso-lodi-1"),
        ("/v1/devices/%00", None),
        ("/v1/sites/corso-lodi-1", "corso-lodi"),
        ("/v1/nothing", None),
        ("/v1/device", "/v1/devices"),
        ("/V1/datasets/parking/reading", "/v1/datasets/parking/readings"),
        ("/v1/datasets/parking/latests/", "/v1/datasets/parking/latest"),
        ("/v1/dataset/parking", "/v1/datasets/parking"),
    ],
)
async def test_what_is_not_there_is_404(client: httpx.AsyncClient, path: str, suggestion: str | None) -> None:
    """With the nearest name, if there is one."""
    response = await client.get(path)
    assert response.status_code == 404
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json().get("suggestion") == suggestion


@pytest.mark.parametrize("path", ["/v1/datasets", "/v1/devices/lamp-corso-lodi-1", "/health/live", "/v1/sites"])
async def test_every_address_refuses_what_it_does_not_know(client: httpx.AsyncClient, path: str) -> None:
    """Also where there are hardly any parameters."""
    response = await client.get(path, params={"formatt": "json"})
    assert response.status_code == 400
    assert response.json()["suggestion"] == "format"


async def test_only_reading_is_allowed(client: httpx.AsyncClient) -> None:
    """405, and which methods there are."""
    response = await client.post("/v1/datasets")
    assert response.status_code == 405
    assert response.headers["content-type"] == "application/problem+json"
    for path in ("/v1/datasets", "/v1/devices/lamp-corso-lodi-1", "/docs", "/docs/assets/swagger-ui.css", "/metrics"):
        assert (await client.post(path)).headers["allow"] == "GET, HEAD, OPTIONS"


async def test_options_tells_the_methods(client: httpx.AsyncClient) -> None:
    """Also where no page asks whether it may; what is not there has none."""
    for path in ("/v1/datasets", READINGS, "/openapi.json", "/docs"):
        response = await client.options(path)
        assert (response.status_code, response.content) == (204, b"")
        assert response.headers["allow"] == "GET, HEAD, OPTIONS"
    assert (await client.options("/v1/nothing")).status_code == 404


async def test_head_is_get_without_a_body(client: httpx.AsyncClient) -> None:
    """Also for exports, and for what is not there."""
    for path in ("/v1/datasets", READINGS, f"{READINGS}?format=csv", "/v1/nothing", "/docs"):
        head, full = await client.head(path), await client.get(path)
        assert head.status_code == full.status_code
        assert head.content == b""
        assert head.headers["content-type"] == full.headers["content-type"]


async def test_every_page_may_ask(client: httpx.AsyncClient) -> None:
    """CORS is open, answers are asked for again, and large ones are compressed."""
    response = await client.get(READINGS, headers={"Origin": "https://example.org"})
    assert response.headers["access-control-allow-origin"] == "*"
    assert response.headers["cache-control"] == "no-cache"
    assert response.headers["content-encoding"] == "gzip"
    bad = await client.get("/v1/nothing", headers={"Origin": "https://example.org"})
    assert bad.headers["access-control-allow-origin"] == "*"
    ask = {"Origin": "https://example.org", "Access-Control-Request-Method": "GET"}
    assert (await client.options(READINGS, headers=ask)).status_code == 200
    refused = await client.options(READINGS, headers=ask | {"Access-Control-Request-Method": "DELETE"})
    assert refused.status_code == 400
    assert refused.headers["content-type"] == "application/problem+json"
    assert refused.headers["access-control-allow-origin"] == "*"
    assert refused.json()["status"] == 400


async def test_without_a_database_it_says_503_and_recovers(
    empty_database: Callable[..., Awaitable[str]], template: str
) -> None:
    """The API starts before its database, and answers as soon as that is there; and again after a cut."""
    url = await empty_database(template)
    name = url.rsplit("/", 1)[1]
    admin = await asyncpg.connect(url.replace(name, "postgres"))
    away = "ALTER DATABASE {} ALLOW_CONNECTIONS {}"
    cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1"

    async def all_say(status: int) -> None:
        for path in (READINGS, f"{READINGS}?format=csv", "/v1/datasets", "/v1/devices", "/health/ready"):
            response = await client.get(path)
            assert response.status_code == status, (path, response.text)
            if status == 503:
                assert response.headers["retry-after"] == "5"
                assert response.headers["content-type"] == "application/problem+json"
        assert (await client.get("/health/live")).status_code == 200

    await admin.execute(away.format(name, "false"))
    async with serving(url) as client:
        await all_say(503)
        await admin.execute(away.format(name, "true"))
        await _until_ready(client)
        await all_say(200)
        await admin.execute(away.format(name, "false"))
        await admin.execute(cut, name)
        await all_say(503)
        await admin.execute(away.format(name, "true"))
        await _until_ready(client)
        await all_say(200)
    await admin.close()


async def _until_ready(client: httpx.AsyncClient) -> None:
    async with asyncio.timeout(10):
        while (await client.get("/health/ready")).status_code != 200:
            await asyncio.sleep(0.1)


async def test_an_unmigrated_database_is_not_ready(empty_database: Callable[..., Awaitable[str]]) -> None:
    """Readiness names the schema; data is refused, not half answered."""
    async with serving(await empty_database()) as client:
        ready = await client.get("/health/ready")
        assert ready.status_code == 503
        assert ready.json()["dependencies"]["schema"]["status"] == "failing"
        assert (await client.get("/v1/devices")).status_code >= 500
