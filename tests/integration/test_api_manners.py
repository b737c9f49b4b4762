"""How answers behave on their way: known again, led on from, limited, compressed, open to every page."""

import asyncio
import gzip
import re
import time
import zlib
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from functools import partial
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import uvicorn
from starlette.responses import StreamingResponse

from usp import db
from usp.api import database, rates
from usp.api.app import create_app
from usp.api.middleware import Conditional, Gzip
from usp.api.paging import DEFAULT_LIMIT, MAX_LIMIT
from usp.api.problems import TooManyExports
from usp.errors import SettingsError
from usp.models.dataset import Visibility
from usp.settings import Settings, load_settings

if TYPE_CHECKING:
    from tests.integration.conftest import World

AIR = "/v1/datasets/air_quality/readings"
STRANGER = ("203.0.113.7", 50_000)


def settings(url: str, **values: Any) -> Settings:
    """Settings over a database, whatever the environment holds."""
    return Settings(_env_file=None, database_url=url, **values)  # type: ignore[call-arg]


def from_(app: Any, address: str) -> httpx.AsyncClient:
    """A client with an address of its own."""
    return httpx.AsyncClient(transport=httpx.ASGITransport(app, client=(address, 50_000)), base_url="http://test")


WHOLE = [
    AIR,
    "/v1/datasets/air_quality/latest",
    "/v1/datasets",
    "/v1/datasets/air_quality",
    "/v1/devices",
    "/v1/devices/lamp-corso-lodi-1",
    "/v1/sites",
    "/v1/sites/corso-lodi",
    "/health/live",
    "/docs",
    "/docs/assets/swagger-ui.css",
]


@pytest.mark.parametrize("path", WHOLE)
async def test_what_one_has_already_is_not_sent_again(client: httpx.AsyncClient, path: str) -> None:
    """Every answer that comes whole has a weak ETag, and 304 for whoever names it (RFC 9110, 15.4.5)."""
    full = await client.get(path)
    tag = full.headers["etag"]
    assert tag.startswith('W/"')
    assert full.headers["cache-control"] == "no-cache"
    assert {"Authorization", "Accept-Encoding"} <= set(full.headers["vary"].split(", "))
    for known in (tag, tag.removeprefix("W/"), f'"other", {tag}', "*"):
        if known == "*" and "assets" in path:
            continue  # files know their tags only by name
        for method in ("GET", "HEAD"):
            again = await client.request(method, path, headers={"If-None-Match": known})
            assert (again.status_code, again.content) == (304, b""), (known, method)
            assert again.headers["etag"].removeprefix("W/") == tag.removeprefix("W/")
            assert again.headers["cache-control"] == full.headers["cache-control"]
            assert set(again.headers["vary"].split(", ")) == set(full.headers["vary"].split(", "))
            assert not {"content-type", "content-encoding", "link"} & again.headers.keys()
    for known in ('"other"', tag.strip('W/"'), "", 'W/"'):
        assert (await client.get(path, headers={"If-None-Match": known})).status_code == 200


async def test_the_document_is_known_again(client: httpx.AsyncClient) -> None:
    """Its examples' times move on every minute; until then it is 304."""
    statuses = []
    for _ in range(2):
        tag = (await client.get("/openapi.json")).headers["etag"]
        statuses.append((await client.get("/openapi.json", headers={"If-None-Match": tag})).status_code)
    assert 304 in statuses


async def test_the_mark_is_the_same_compressed_or_not(client: httpx.AsyncClient) -> None:
    """Weak tags say that the content is the same; HEAD tells what GET would."""
    packed = await client.get(AIR)
    plain = await client.get(AIR, headers={"Accept-Encoding": "identity"})
    assert packed.headers["content-encoding"] == "gzip"
    assert "content-encoding" not in plain.headers
    assert packed.headers["etag"] == plain.headers["etag"]
    assert packed.content == plain.content
    head = await client.head(AIR)
    assert dict(head.headers) == dict(packed.headers)


async def test_what_is_refused_has_no_mark(client: httpx.AsyncClient) -> None:
    """A condition is looked at only where the answer would be 200 (RFC 9110, 13.2.1)."""
    for path, status in ((f"{AIR}?limit=0", 400), ("/v1/devices/nothing", 404)):
        response = await client.get(path, headers={"If-None-Match": "*"})
        assert response.status_code == status
        assert "etag" not in response.headers


async def test_an_export_has_no_mark(client: httpx.AsyncClient) -> None:
    """It would have to be made to its end before its first byte."""
    response = await client.get(f"{AIR}?format=csv", headers={"If-None-Match": '"a"'})
    assert response.status_code == 200
    assert "etag" not in response.headers


async def test_a_late_reading_changes_the_mark(client: httpx.AsyncClient, world: "World") -> None:
    """A window that ended long ago is another answer as soon as a reading of then comes in."""
    window = {"from": world.text(2), "to": world.text(5)}
    first = await client.get(AIR, params=window)
    known = {"If-None-Match": first.headers["etag"]}
    assert (await client.get(AIR, params=window, headers=known)).status_code == 304
    await world.put("air_quality", "lamp-corso-lodi-1", 3.5, no2=12.0)
    changed = await client.get(AIR, params=window, headers=known)
    assert changed.status_code == 200
    assert changed.headers["etag"] != first.headers["etag"]
    assert len(changed.json()["data"]) == len(first.json()["data"]) + 1
    await world.db.execute("DELETE FROM usp.air_quality WHERE time = $1", world.at(3.5))
    assert (await client.get(AIR, params=window, headers=known)).status_code == 304


async def test_links_lead_on(client: httpx.AsyncClient) -> None:
    """`Link` has the next page, the dataset's description and its licence (RFC 8288)."""
    path, pages = f"{AIR}?limit=50", 0
    while path:
        response = await client.get(path)
        links = response.links
        assert links.get("next", {}).get("url") == response.json()["next"]
        assert links["describedby"]["url"] == "/v1/datasets/air_quality"
        assert links["license"]["url"] == "https://creativecommons.org/licenses/by/4.0/"
        path, pages = links.get("next", {}).get("url", ""), pages + 1
    assert pages == 3
    assert (await client.get("/v1/datasets/air_quality")).json()["licence"] == "CC-BY-4.0"
    export = (await client.get(f"{AIR}?format=csv")).links
    assert export.keys() == {"describedby", "license"}
    devices = await client.get("/v1/devices?limit=1")
    assert devices.links["next"]["url"] == devices.json()["next"]


async def test_a_strange_host_stays_within_its_link(client: httpx.AsyncClient) -> None:
    """Whatever `Host` says, a link is one link."""
    response = await client.get(f"{AIR}?limit=1", headers={"Host": 'x>; rel="license", <y'})
    assert len(response.links) == 3
    assert response.links["license"]["url"] == "https://creativecommons.org/licenses/by/4.0/"


async def test_a_page_of_another_origin_sees_what_it_needs(client: httpx.AsyncClient) -> None:
    """Preflights allow Authorization and If-None-Match; answers expose links, marks and limits."""
    ask = {
        "Origin": "https://example.org",
        "Access-Control-Request-Method": "GET",
        "Access-Control-Request-Headers": "authorization, if-none-match",
    }
    allowed = await client.options(AIR, headers=ask)
    assert allowed.status_code == 200
    assert {"authorization", "if-none-match"} <= set(allowed.headers["access-control-allow-headers"].split(", "))
    for path, status in ((AIR, 200), ("/v1/nothing", 404)):
        response = await client.get(path, headers={"Origin": "https://example.org"})
        assert response.status_code == status
        exposed = response.headers["access-control-expose-headers"]
        assert {"Link", "ETag", "Retry-After", "RateLimit", "RateLimit-Policy"} <= set(exposed.split(", "))


async def test_who_does_not_want_gzip_gets_none(client: httpx.AsyncClient) -> None:
    """A weight of zero refuses (RFC 9110, 12.5.3); what fits in a packet is not compressed."""
    for refusal in ("gzip;q=0", "gzip; q=0.0, identity", "br, GZIP;q=0"):
        assert "content-encoding" not in (await client.get(AIR, headers={"Accept-Encoding": refusal})).headers
    assert (await client.get(AIR, headers={"Accept-Encoding": "gzip;q=0.5"})).headers["content-encoding"] == "gzip"
    small = await client.get("/health/live")
    assert "content-encoding" not in small.headers
    assert "Accept-Encoding" in small.headers["vary"]


async def _streaming(content_type: str, accept: str = "gzip") -> tuple[dict[str, str], list[bytes]]:
    """What has left the house when a stream has made its first part and not yet its second."""
    sent: list[Any] = []
    made = asyncio.Event()

    async def parts() -> AsyncIterator[bytes]:
        yield b"first\n" * 10
        made.set()
        await asyncio.Event().wait()

    app = Conditional(StreamingResponse(parts(), media_type=content_type))
    scope = {
        "type": "http",
        "method": "GET",
        "path": "/",
        "headers": [(b"accept-encoding", accept.encode())],
        "asgi": {"spec_version": "2.4"},
    }

    async def send(message: Any) -> None:
        sent.append(message)

    answering = asyncio.create_task(Gzip(app)(scope, asyncio.Event().wait, send))  # type: ignore[arg-type]
    await asyncio.wait_for(made.wait(), 5)
    answering.cancel()
    await asyncio.gather(answering, return_exceptions=True)
    headers = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return headers, [message["body"] for message in sent[1:]]


async def test_a_stream_is_not_held_back() -> None:
    """Its first part arrives, and can be unpacked, before there is a second."""
    headers, parts = await _streaming("application/x-ndjson")
    assert headers["content-encoding"] == "gzip"
    assert zlib.decompressobj(31).decompress(parts[0]) == b"first\n" * 10


@pytest.mark.parametrize("content_type", ["application/vnd.apache.parquet", "text/event-stream"])
async def test_some_formats_are_never_compressed(content_type: str) -> None:
    """Parquet is so in itself, and an event must not wait for others."""
    headers, parts = await _streaming(content_type)
    assert "content-encoding" not in headers
    assert parts == [b"first\n" * 10]


async def test_a_large_answer_is_compressed_once(client: httpx.AsyncClient) -> None:
    """What is packed unpacks to what it was."""
    async with client.stream("GET", AIR, headers={"Accept-Encoding": "gzip"}) as response:
        packed = b"".join([part async for part in response.aiter_raw()])
    assert int(response.headers["content-length"]) == len(packed)
    assert gzip.decompress(packed).startswith(b'{"data":[')


async def test_who_asks_too_often_is_told_when_to_come_back(database_url: str, world: "World") -> None:
    """429 with `Retry-After`, for this client alone, and never for probes and the documentation's parts."""
    app = create_app(settings(database_url, rate_limit="5/hour"))
    async with from_(app, "203.0.113.7") as one, from_(app, "203.0.113.8") as other:
        for left in range(4, -1, -1):
            response = await one.get("/v1/datasets/air_quality/nothing")
            assert response.status_code == 404
            assert response.headers["ratelimit-policy"] == '"client";q=5;w=3600'
            assert re.fullmatch(f'"client";r={left};t=3(600|59.)', response.headers["ratelimit"])
        refused = await one.get("/v1/devices", headers={"Origin": "https://example.org"})
        assert refused.status_code == 429
        assert refused.headers["content-type"] == "application/problem+json"
        assert 3590 <= int(refused.headers["retry-after"]) <= 3600
        assert refused.headers["ratelimit"].startswith('"client";r=0;t=')
        assert refused.headers["access-control-allow-origin"] == "*"
        assert refused.headers["cache-control"] == "no-cache"
        assert "5 per 1 hour" in refused.json()["detail"]
        assert (await one.head("/v1/devices")).status_code == 429
        for path in ("/health/live", "/docs/assets/swagger-ui.css"):
            free = await one.get(path)
            assert free.status_code == 200
            assert "ratelimit" not in free.headers
        assert (await other.get("/openapi.json")).status_code == 200


async def test_the_limit_ends_when_it_said(database_url: str) -> None:
    """Whoever waits as long as `Retry-After` says is let in."""
    app = create_app(settings(database_url, rate_limit="2 per 2 seconds"))
    async with from_(app, "203.0.113.7") as client:
        answers = [await client.get("/v1/nothing") for _ in range(3)]
        assert [answer.status_code for answer in answers] == [404, 404, 429]
        await asyncio.sleep(int(answers[-1].headers["retry-after"]))
        assert (await client.get("/v1/nothing")).status_code == 404


@pytest.mark.parametrize(
    ("addresses", "second"),
    [
        (["2001:db8::1", "2001:db8::ffff:2"], 429),
        (["2001:db8::1", "2001:db8:0:1::1"], 200),
        (["203.0.113.7", "::ffff:203.0.113.7"], 429),
        (["not-an-address", "neither"], 429),
        (["127.0.0.1", "127.0.0.1"], 429),
    ],
)
async def test_a_client_is_an_address_or_a_network_of_64_bits(
    database_url: str, addresses: list[str], second: int
) -> None:
    """In IPv6 a household has 2⁶⁴ addresses; a limit that is set holds for this machine too."""
    app = create_app(settings(database_url, rate_limit="1/hour"))
    statuses = []
    for address in addresses:
        async with from_(app, address) as client:
            statuses.append((await client.get("/openapi.json")).status_code)
    assert statuses == [200, second]


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "::ffff:127.0.0.1"])
async def test_this_machine_is_not_limited_unless_told(database_url: str, address: str) -> None:
    """By default loopback goes free, and others have the documented limit; `off` lets everybody go."""
    app = create_app(settings(database_url))
    async with from_(app, address) as here, from_(app, "203.0.113.7") as there:
        assert "ratelimit" not in (await here.get("/openapi.json")).headers
        assert (await there.get("/openapi.json")).headers["ratelimit-policy"] == '"client";q=1200;w=60'
    free = create_app(settings(database_url, rate_limit="off"))
    async with from_(free, "203.0.113.7") as there:
        assert "ratelimit" not in (await there.get("/openapi.json")).headers


async def test_behind_a_proxy_its_clients_count(database_url: str) -> None:
    """As `usp api` runs, X-Forwarded-For is believed of a proxy on this machine, and of nobody else."""
    config = uvicorn.Config(create_app(settings(database_url)), lifespan="off", log_config=None)
    config.load()
    proxied = {"X-Forwarded-For": "198.51.100.1, 203.0.113.7"}
    async with from_(config.loaded_app, "127.0.0.1") as proxy, from_(config.loaded_app, "203.0.113.9") as stranger:
        assert "ratelimit" not in (await proxy.get("/v1/nothing")).headers
        for left in (1199, 1198):
            told = (await proxy.get("/v1/nothing", headers=proxied)).headers["ratelimit"]
            assert told.startswith(f'"client";r={left};')
        spoofed = {"X-Forwarded-For": "203.0.113.7"}
        assert '"client";r=1199;' in (await stranger.get("/v1/nothing", headers=spoofed)).headers["ratelimit"]
        assert '"client";r=1198;' in (await stranger.get("/v1/nothing")).headers["ratelimit"]


@pytest.mark.parametrize("text", ["many", "", "0/minute", "5/fortnight", "1/minute; 2/hour", "-1/minute"])
def test_a_rate_that_is_none_says_what_would_be_right(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """One line that names the setting, with examples."""
    monkeypatch.setenv("USP_RATE_LIMIT", text)
    with pytest.raises(SettingsError, match=r"USP_RATE_LIMIT: got .*1200/minute.* or off"):
        load_settings()


def test_many_clients_take_little_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those are forgotten first whose window ends soonest, and all whose window has ended."""
    now = 0.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    counters = rates.Counters(most=100)
    for number in range(1_000):
        counters.incr(f"client-{number}", 60)
    assert counters.incr("client-999", 60) == 2
    assert counters.incr("client-0", 60) == 1
    now = 60.0
    assert counters.incr("one more", 60) == 1
    assert counters.reset() == 1


async def test_the_documentation_tells_the_limits_that_hold(
    database_url: str, world: "World", monkeypatch: pytest.MonkeyPatch
) -> None:
    """Page sizes, exports at once, the longest question and the rate are those of the code."""
    monkeypatch.setattr(database, "WAIT_S", 0.1)
    app = create_app(settings(database_url, rate_limit="70 per 2 minutes"))
    told = " ".join(app.description.split())
    assert f"have {DEFAULT_LIMIT:,} rows unless `limit` says otherwise, {MAX_LIMIT:,} at most" in told
    assert "**Rate**: one client may make 70 per 2 minute requests" in told
    assert f"takes longer than {(db.open_pool.__kwdefaults__ or {})['statement_timeout_s']:.0f} seconds" in told
    async with app.router.lifespan_context(app), AsyncExitStack() as stack:
        exports = app.state.readers[Visibility.OPEN].database
        for _ in range(5):
            await stack.enter_async_context(exports.export())
        with pytest.raises(TooManyExports):
            await stack.enter_async_context(exports.export())
    assert "at most 5 such exports" in told


async def test_a_question_that_takes_too_long_is_told_so(
    database_url: str, world: "World", monkeypatch: pytest.MonkeyPatch
) -> None:
    """The database gives up; 503 says when to come back and what to ask instead, and the next one is answered."""
    monkeypatch.setattr(database, "open_pool", partial(db.open_pool, statement_timeout_s=0.2))
    app = create_app(settings(database_url))
    async with app.router.lifespan_context(app), from_(app, "127.0.0.1") as client:
        assert (await client.get(AIR)).status_code == 200
        async with world.db.transaction():
            await world.db.execute("LOCK TABLE usp.air_quality IN ACCESS EXCLUSIVE MODE")
            slow = await client.get(AIR)
        assert slow.status_code == 503
        assert slow.headers["retry-after"] == "5"
        assert slow.headers["content-type"] == "application/problem+json"
        assert "ask for less" in slow.json()["detail"]
        assert 0.15 < slow.elapsed.total_seconds() < 4
        assert (await client.get(AIR)).status_code == 200
