"""Operators see how the platform does, who is silent and who waits to be registered, and register him, over HTTP."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import httpx
import orjson
import pytest
from structlog.testing import capture_logs
from tests.integration.conftest import serving
from tests.integration.street import Street, on_street

from usp import keys
from usp.api import ops_state
from usp.commands.operations import Administration
from usp.ingest.registry import publish_profiles
from usp.models.datasets import DATASETS
from usp.models.device import KINDS, Site
from usp.profiles import load_profiles
from usp.registry import bring_in_sites
from usp.settings import Settings

AT = "/v1/ops"
READ = ("minutes", "silent", "state", "candidates")


@pytest.fixture(scope="module")
async def street(database_url: str, db: Any) -> AsyncIterator[Street]:
    """A street with one site, at which nothing stands."""
    async with on_street(database_url, db) as made:
        made.profiles = load_profiles()
        await publish_profiles(db, made.profiles)
        await bring_in_sites(db, [Site(name="square", title="The square", lon=9.2, lat=45.4)])
        yield made


def administration(url: str) -> Administration:
    """What `usp api` gives the API."""
    brokers = "mqtts://city:secret@broker.example.org,mqtt://127.0.0.1:1884"
    return Administration(Settings(_env_file=None, database_url=url, broker_url=brokers))  # type: ignore[call-arg]


@pytest.fixture(scope="module")
async def ask(street: Street) -> AsyncIterator[httpx.AsyncClient]:
    """An operator of an API that can register devices."""
    async with serving(street.url, administration(street.url)) as client:
        client.headers["Authorization"] = f"Bearer {await keys.create(street.db, 'operator', ['ops'])}"
        yield client


async def told(ask: httpx.AsyncClient, what: str, **query: Any) -> Any:
    """What an address answers."""
    response = await ask.get(f"{AT}/{what}", params=query)
    assert response.status_code == 200, response.text
    return response.json()


async def waiting(ask: httpx.AsyncClient, address: str) -> dict[str, Any]:
    """The candidate at an address."""
    (found,) = [c for c in (await told(ask, "candidates"))["data"] if c["address"] == address]
    return dict(found)


async def approve(ask: httpx.AsyncClient, address: str, **wish: Any) -> httpx.Response:
    """Approve as a lamppost that sends our own names."""
    body = {"address": address, "profile": "native-lamppost"} | wish
    return await ask.post(f"{AT}/candidates/approve", json=body)


async def test_only_operators_may_look_and_do(ask: httpx.AsyncClient, street: Street) -> None:
    """401 without a token, 403 with another scope; neither a parameter nor a body is looked at before that."""
    async with serving(street.url, administration(street.url)) as client:
        for status, scopes in ((401, None), (403, ["read:restricted"]), (403, ["ingest:*"])):
            if scopes:
                token = await keys.create(street.db, f"look-{scopes[0]}", scopes)
                client.headers["Authorization"] = f"Bearer {token}"
            for what in READ:
                assert (await client.get(f"{AT}/{what}?nonsense=1")).status_code == status
            response = await client.post(f"{AT}/candidates/approve", content=b"nonsense")
            assert response.status_code == status
            assert response.headers["www-authenticate"].startswith('Bearer realm="usp"')
    for what in READ:
        assert (await ask.get(f"{AT}/{what}")).headers["cache-control"] == "private, no-cache"


@pytest.mark.parametrize(
    ("query", "parameter", "suggestion"),
    [
        ("minutes?minutes=0", "minutes", None),
        ("minutes?minutes=10081", "minutes", None),
        ("minutes?minute=5", "minute", "minutes"),
        ("silent?kind=lampost", "kind", "lamppost"),
        ("silent?limit=10001", "limit", None),
        ("silent?cursor=abc", "cursor", None),
        ("candidates?limit=1001", "limit", None),
        ("candidates?cursor=abc", "cursor", None),
        ("state?format=csv", "format", None),
    ],
)
async def test_a_bad_parameter_is_named(
    ask: httpx.AsyncClient, query: str, parameter: str, suggestion: str | None
) -> None:
    """400 with the parameter, and the nearest known name where one is near."""
    response = await ask.get(f"{AT}/{query}")
    assert response.status_code == 400, response.text
    assert (response.json()["parameter"], response.json().get("suggestion")) == (parameter, suggestion)


# Candidates


async def test_a_candidate_comes_with_what_a_form_needs(ask: httpx.AsyncClient, street: Street, usp: Any) -> None:
    """As the command tells it; with profiles, kinds with their categories, and sites at which nothing stands yet."""
    await street.send("lamp-form", {"no2": 1}, {"no2": 2.5})
    found = await told(ask, "candidates")
    (candidate,) = [c for c in found["data"] if c["address"] == "lamp-form"]
    assert (candidate["waiting"], candidate["fields"]) == (2, {"no2": 2.5})
    assert candidate["suggestions"][0] == {"profile": "native-lamppost", "known": 1, "fields": 1}
    status, output = await usp("devices", "candidates", "--json")
    times = {name: datetime.fromisoformat(candidate[name]) for name in ("first_at", "last_at", "sampled_at")}
    (printed,) = [c for c in orjson.loads(output) if c["address"] == "lamp-form"]
    printed |= {name: datetime.fromisoformat(printed[name]) for name in times}
    assert (status, printed) == (0, candidate | times)
    assert {p["profile"]: p["kind"] for p in found["profiles"]} == {p.name: p.kind for p in street.profiles.values()}
    assert found["kinds"].keys() == KINDS.keys()
    assert found["kinds"]["charging_point"]["categories"] == ["fast", "normal"]
    assert found["sites"] == [{"site": "square", "title": "The square", "lon": 9.2, "lat": 45.4}]
    assert len((await told(ask, "candidates", limit=1))["data"]) == 1


async def test_what_a_candidate_sent_is_stored_when_it_is_approved(ask: httpx.AsyncClient, street: Street) -> None:
    """Five frames wait, and five are stored; approving again finds nothing to do."""
    await street.send("lamp-new", *({"no2": number} for number in range(5)))
    response = await approve(ask, "lamp-new", site="square", title="Nuovo è bello", visibility="restricted")
    assert response.status_code == 200, response.text
    done = {
        "device": "lamp-new", "address": "lamp-new", "title": "Nuovo è bello", "kind": "lamppost",
        "profile": "native-lamppost", "visibility": "restricted", "was_there": False, "resolved": 5, "refused": {},
        "left": 0, "not_kept": 0,
    }  # fmt: skip
    assert response.json() == done
    assert await street.readings("lamp-new") == [(number, number) for number in range(5)]
    again = await approve(ask, "lamp-new", site="square")
    assert again.json() == done | {"was_there": True, "resolved": 0}
    device = (await ask.get("/v1/devices/lamp-new")).json()
    assert (device["place"]["site"], device["place"]["lon"]) == ("square", 9.2)


async def test_what_stays_refused_is_told_by_its_reason(ask: httpx.AsyncClient, street: Street) -> None:
    """The rest is stored; and the log tells whose token it was."""
    await street.send("lamp-half", {"no2": 1}, {"no2": "much"}, {"no2": 3})
    with capture_logs() as lines:
        done = (await approve(ask, "lamp-half", lon=9.21, lat=45.41, approximate=True)).json()
    assert [(line["device"], line["token"]) for line in lines if line["event"] == "device_approved"] == [
        ("lamp-half", "operator")
    ]
    assert (done["resolved"], done["refused"], done["left"]) == (2, {"wrong_type": 1}, 0)
    assert [value for _, value in await street.readings("lamp-half")] == [1, 3]
    place = (await ask.get("/v1/devices/lamp-half")).json()["place"]
    assert (place["lon"], place["lat"], place["approximate"]) == (9.21, 45.41, True)


async def test_two_who_approve_at_once_register_one_device(ask: httpx.AsyncClient, street: Street) -> None:
    """Both are told that it is done; what waited is counted once."""
    await street.send("lamp-twice", *({"no2": number} for number in range(5)))
    both = await asyncio.gather(*(approve(ask, "lamp-twice") for _ in range(2)))
    assert [response.status_code for response in both] == [200, 200]
    assert sorted((r.json()["was_there"], r.json()["resolved"]) for r in both) == [(False, 5), (True, 0)]
    assert len(await street.readings("lamp-twice")) == 5


async def test_two_who_disagree_are_not_both_told_yes(ask: httpx.AsyncClient, street: Street) -> None:
    """The second one's wish does not go over what the first one has registered."""
    await street.send("lamp-quarrel", {"no2": 1})
    both = await asyncio.gather(*(approve(ask, "lamp-quarrel", title=title) for title in ("One", "Other")))
    assert sorted(response.status_code for response in both) == [200, 400]
    (done,) = [response.json() for response in both if response.status_code == 200]
    (refused,) = [response.json()["detail"] for response in both if response.status_code == 400]
    assert "It is registered already, as lamp-quarrel" in refused
    assert (await ask.get("/v1/devices/lamp-quarrel")).json()["title"] == done["title"]


@pytest.mark.parametrize(
    ("body", "parameter", "says"),
    [
        (b"", None, "JSON object"),
        (b"[]", None, "JSON object"),
        (b'{"addres":"a"}', "addres", "Did you mean address?"),
        (b'{"profile":"native-lamppost"}', "address", "missing"),
        (b'{"address":"lamp-bad"}', "profile", "missing"),
        ({"address": 7}, "address", "a text"),
        ({"address": ""}, "address", "a text"),
        ({"address": "a\x00"}, "address", "control character"),
        ({"title": "a\nb"}, "title", "control character"),
        ({"title": "a" * 201}, "title", "200 at most"),
        ({"name": "No Name"}, "name", "no identifier"),
        ({"kind": "lampost"}, "kind", "Did you mean lamppost?"),
        ({"kind": "lamppost", "category": "fast"}, "category", "it takes none at all"),
        ({"visibility": "secret"}, "visibility", "open, restricted, ops"),
        ({"category": "dwelling", "visibility": "open"}, "visibility", "never open"),
        ({"lon": 9.2}, "lat", "lon and lat go together"),
        ({"lon": "9.2", "lat": 45.4}, "lon", "a number"),
        ({"lon": True, "lat": 45.4}, "lon", "a number"),
        ({"lon": 45.4, "lat": 109.2}, "lat", "lat"),
        ({"approximate": "yes"}, "approximate", "true or false"),
        ({"profile": "native-lampost"}, None, "there is no profile"),
        ({"site": "sqare"}, None, "square"),
        ({"kind": "energy_meter"}, None, "is for a lamppost"),
        ({"address": "nobody"}, None, "Nothing waits from 'nobody'"),
        ({"name": "other"}, None, "speaks under its own name"),
    ],
)  # fmt: skip
async def test_a_bad_body_is_told(
    ask: httpx.AsyncClient, street: Street, body: bytes | dict[str, Any], parameter: str | None, says: str
) -> None:
    """400 that says what is wrong, with the member where one is to blame; nothing is registered."""
    await street.send("lamp-bad", {"no2": 1})
    content = (
        body if isinstance(body, bytes) else orjson.dumps({"address": "lamp-bad", "profile": "native-lamppost"} | body)
    )
    response = await ask.post(f"{AT}/candidates/approve", content=content)
    assert response.status_code == 400, response.text
    assert response.json().get("parameter") == parameter
    assert says in response.json()["detail"]
    assert not await street.db.fetchval("SELECT EXISTS (SELECT FROM usp.device WHERE name = 'lamp-bad')")


async def test_an_approval_takes_no_parameters_and_is_posted(ask: httpx.AsyncClient) -> None:
    """What does something is not read."""
    assert (await ask.get(f"{AT}/candidates/approve")).headers["allow"] == "POST, OPTIONS"
    assert (await ask.post(f"{AT}/candidates/approve?format=json", json={})).status_code == 400


async def test_without_administration_nobody_is_registered(ask: httpx.AsyncClient, street: Street) -> None:
    """501, which names what can; everything else is shown, but for the brokers' addresses."""
    async with serving(street.url) as client:
        client.headers.update(ask.headers)
        for response in (await client.get(f"{AT}/candidates"), await approve(client, "lamp-bad")):
            assert response.status_code == 501
            assert "usp devices approve" in response.json()["detail"]
        assert (await told(client, "state"))["broker"]["addresses"] == []


async def test_a_database_that_is_away_is_said_to_be(ask: httpx.AsyncClient, street: Street) -> None:
    """503 with `Retry-After`, also where another connection is made for the purpose."""
    away = street.url.replace(street.url.rsplit("/", 1)[1], "nothing")
    async with serving(street.url, administration(away)) as client:
        client.headers.update(ask.headers)
        for response in (await client.get(f"{AT}/candidates"), await approve(client, "lamp-bad")):
            assert response.status_code == 503, response.text
            assert response.headers["retry-after"]


# Figures


async def test_minutes_tell_what_came_in_each(ask: httpx.AsyncClient, street: Street) -> None:
    """Counts by kind and delays as the health figures estimate them; the running minute is not told."""
    while datetime.now(UTC).second > 56:
        await asyncio.sleep(0.2)  # it must not end meanwhile
    now = datetime.now(UTC).replace(second=0, microsecond=0)
    await street.db.execute("DELETE FROM usp.ingest_minute")
    rows = [
        (0, "mqtt", "lamppost", "", "received", "", 99),  # the running minute
        *((ago, "mqtt", "lamppost", "", what, "", 10 * ago) for ago in (1, 3) for what in ("received", "stored")),
        (3, "replay", "lamppost", "", "received", "", 5),
        (3, "mqtt", "lamppost", "", "rejected", "bad_time", 2),
        (3, "mqtt", "lamppost", "", "rejected", "not_json", 3),
        (3, "mqtt", "parking_sensor", "", "duplicate", "", 7),
        (2, "mqtt", "", "", "rejected", "unknown_device", 4),
        (2, "", "", "noise", "delay", "0.5", 50),
        (2, "", "", "air_quality", "delay", "1", 50),
        (2, "", "", "device_health", "delay", "inf", 900),
        (3, "mqtt", "lamppost", "", "event", "join", 8),
    ]
    await street.db.executemany(
        "INSERT INTO usp.ingest_minute (minute, slot, door, kind, dataset, what, reason, count) "
        "VALUES ($1, 0, $2, $3, $4, $5, $6, $7)",
        [(now - timedelta(minutes=ago), *rest) for ago, *rest in rows],
    )
    found = await told(ask, "minutes", minutes=3)
    assert found["start"] == (now - timedelta(minutes=3)).isoformat().replace("+00:00", "Z")
    assert (found["step_s"], found["steps"]) == (60, 3)
    assert found["kinds"].keys() == {*KINDS, "unknown"}
    assert found["kinds"]["lamppost"] == {
        "received": [35, 0, 10], "stored": [30, 0, 10], "duplicate": [0, 0, 0], "rejected": [5, 0, 0],
        "delay_p50_s": [None, 0.5, None], "delay_p95_s": [None, 0.95, None],
    }  # fmt: skip
    assert found["kinds"]["unknown"]["rejected"] == [0, 4, 0]
    assert found["kinds"]["parking_sensor"]["duplicate"] == [7, 0, 0]
    assert found["total"]["received"] == [35, 0, 10]
    assert found["total"]["rejected"] == [5, 4, 0]
    assert found["total"]["delay_p50_s"] == [None, 3600.0, None]
    week = await told(ask, "minutes", minutes=10_080)
    assert (week["step_s"], week["steps"]) == (1680, 360)
    assert sum(week["total"]["received"]) == 45
    assert len((await told(ask, "minutes"))["total"]["received"]) == 60


async def test_silent_devices_are_told_with_their_place(ask: httpx.AsyncClient, street: Street) -> None:
    """Those that fell silent last come first, those never heard last; as many as health counts, page by page."""
    await street.register("quiet-1", "quiet-2", "quiet-3", "quiet-4", profile="native-lamppost")
    quiet = "SELECT id FROM usp.device WHERE name = $1"
    for number, hours in ((1, 30), (2, 28), (3, 30)):
        await street.db.execute(
            f"INSERT INTO usp.air_quality_latest (device, no2, no2_time, no2_flags, received_at) "
            f"VALUES (({quiet}), 1, $2, 0, now())",
            f"quiet-{number}", datetime.now(UTC).replace(microsecond=0) - timedelta(hours=hours),
        )  # fmt: skip
    await street.db.execute(
        f"INSERT INTO usp.placement (device, site, valid) SELECT ({quiet}), id, '(,)' FROM usp.site", "quiet-2"
    )
    await street.db.execute("UPDATE usp.device SET visibility = 'ops' WHERE name = 'quiet-1'")
    pages = [await told(ask, "silent", kind="lamppost,energy_meter", limit=2)]
    while pages[-1]["next"]:
        pages.append((await ask.get(pages[-1]["next"])).json())
    rows = [row for page in pages for row in page["data"]]
    names = [row["device"] for row in rows]
    assert len(set(names)) == len(names) == (await ask.get("/health/ingest")).json()["kinds"]["lamppost"]["silent"]
    assert [name for name in names if name.startswith("quiet")] == ["quiet-2", "quiet-1", "quiet-3", "quiet-4"]
    by_name = {row["device"]: row for row in rows}
    place = {name: by_name["quiet-2"][name] for name in ("site", "lon", "lat", "kind")}
    assert place == {"site": "square", "lon": 9.2, "lat": 45.4, "kind": "lamppost"}
    assert by_name["quiet-2"]["silent_for_s"] == pytest.approx(28 * 3600, abs=60)
    assert by_name["quiet-4"].keys() == {"device", "kind"}
    assert (await told(ask, "silent", kind="energy_meter"))["data"] == []


async def test_the_state_of_what_the_platform_stands_on(ask: httpx.AsyncClient, street: Street) -> None:
    """Versions, sizes, connections, roll-ups, workers; brokers without their passwords."""
    await street.db.execute(
        "INSERT INTO usp.worker VALUES (0, 'here', 7, now(), now(), 12, true), (1, 'there', 8, now(), now(), 3, false),"
        " (2, 'gone', 9, now() - interval '1 day', now() - interval '1 hour', 5, true)"
    )
    await street.db.execute("ANALYZE usp.air_quality")
    found = await told(ask, "state")
    assert found["broker"] == {
        "addresses": ["broker.example.org:8883", "127.0.0.1:1884"], "workers": 2, "connected": 1, "in_flight": 15,
    }  # fmt: skip
    assert [(w["slot"], w["host"], w["alive"]) for w in found["workers"]] == [
        (0, "here", True), (1, "there", True), (2, "gone", False),
    ]  # fmt: skip
    await street.db.execute("DELETE FROM usp.worker")
    database = found["database"]
    assert database["postgresql"].split(".")[0].isdigit()
    assert (database["timescaledb"].split(".")[0], database["licence"], database["unanswered"]) == ("2", "apache", [])
    assert database["size_bytes"] > 1_000_000
    assert 0 < database["connections"]["used"] <= database["connections"]["most"]
    assert [table["table"] for table in database["hypertables"]][: len(DATASETS)] == list(DATASETS)
    air = database["hypertables"][list(DATASETS).index("air_quality")]
    assert air["rows"] == await street.db.fetchval("SELECT count(*) FROM usp.air_quality")
    assert air["chunks"] >= 1
    assert {row["dataset"] for row in found["rollup"]} == set(DATASETS)
    assert all(row["behind_s"] > 0 for row in found["rollup"])


async def test_a_transaction_that_holds_others_up_is_named(ask: httpx.AsyncClient, street: Street) -> None:
    """The oldest one that has written; and where a table is locked the rest is told nevertheless."""
    other = await asyncpg.connect(street.url, server_settings={"application_name": "someone"})
    await other.execute("BEGIN")
    await other.execute("LOCK TABLE usp.noise IN ACCESS EXCLUSIVE MODE")
    await other.execute("SELECT pg_current_xact_id()")
    found = (await told(ask, "state"))["database"]
    pid = other.get_server_pid()
    await other.execute("ROLLBACK")
    await other.close()
    assert (found["oldest_write"]["pid"], found["oldest_write"]["application"]) == (pid, "someone")
    assert found["unanswered"] == ["hypertables"]
    assert found["size_bytes"] > 1_000_000


async def test_an_account_that_is_no_superuser_is_enough(street: Street, ask: httpx.AsyncClient) -> None:
    """One that owns nothing and may become the platform's roles can look and approve."""
    await street.db.execute("CREATE ROLE clerk LOGIN PASSWORD 'x'")
    await street.db.execute("GRANT usp_writer, usp_open, usp_restricted, usp_ops TO clerk")
    try:
        at, name = street.url.split("@")[-1].split("//")[-1], "lamp-clerk"
        url = f"postgresql://clerk:x@{at}"
        await street.send(name, {"no2": 1})
        async with serving(url, administration(url)) as client:
            client.headers.update(ask.headers)
            state = await told(client, "state")
            assert state["database"]["unanswered"] == []
            assert (await approve(client, name)).json()["resolved"] == 1
    finally:
        await street.db.execute("DROP OWNED BY clerk; DROP ROLE clerk")


def test_the_patience_of_the_state_is_short() -> None:
    """Five questions that are all held up still leave an answer."""
    assert len(ops_state.QUESTIONS) * ops_state.PATIENCE_MS < 4_000
