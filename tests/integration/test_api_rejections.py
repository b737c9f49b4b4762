"""Operators look at what was refused, and have it taken up again, over HTTP."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
from tests.integration.conftest import serving
from tests.integration.street import START, Street, on_street

from usp import keys
from usp.api import rejections
from usp.commands.replays import Replays
from usp.errors import DatabaseUnavailable
from usp.ingest import replay
from usp.models.reasons import Reason
from usp.models.rejection import Progress, RejectionFilter
from usp.settings import Settings

AT = "/v1/ops/rejections"


@pytest.fixture(scope="module")
async def street(database_url: str, db: Any) -> AsyncIterator[Street]:
    """Four refusals of a device that is known, one of one that is not, and one that was resolved."""
    async with on_street(database_url, db) as made:
        await made.send("lamp-2", {"no2": 1})
        await made.register("lamp-1", "lamp-2", profile="native-lamppost")
        await made.replay(address="lamp-2")
        items = ({"no2": "high", "o3": 4}, {"time": "noon"}, b"\xff\xfe", {"no2": 1, "time": "x", "y": "z" * 70_000})
        await made.send("lamp-1", *items, at=10)
        await made.send("nobody", {"no2": 5}, at=20)
        yield made


@pytest.fixture(scope="module")
async def ask(street: Street) -> AsyncIterator[httpx.AsyncClient]:
    """An operator of an API that can replay."""
    settings = Settings(_env_file=None, database_url=street.url)  # type: ignore[call-arg]
    async with serving(street.url, Replays(settings)) as client:
        client.headers["Authorization"] = f"Bearer {await keys.create(street.db, 'operator', ['ops'])}"
        yield client


async def listed(ask: httpx.AsyncClient, **query: Any) -> list[dict[str, Any]]:
    """The rejections of a page."""
    response = await ask.get(AT, params=query)
    assert response.status_code == 200, response.text
    data: list[dict[str, Any]] = response.json()["data"]
    return data


def told(response: httpx.Response) -> list[dict[str, Any]]:
    """The lines of a replay."""
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "application/x-ndjson"
    return [orjson.loads(line) for line in response.text.splitlines()]


async def test_only_operators_may_look(ask: httpx.AsyncClient, street: Street) -> None:
    """401 without a token, 403 with another scope; nothing of what was asked is looked at before that."""
    scopes = {"none": None, "restricted": ["read:restricted"], "ingest": ["ingest:*"]}
    for name, wanted in scopes.items():
        token = None if wanted is None else await keys.create(street.db, f"look-{name}", wanted)
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        async with serving(street.url) as client:
            for path in (AT, f"{AT}/1", f"{AT}/99999", f"{AT}/stats", f"{AT}?nonsense=1"):
                response = await client.get(path, headers=headers)
                assert response.status_code == (403 if token else 401), path
                assert response.headers["content-type"] == "application/problem+json"
                assert response.headers["www-authenticate"].startswith('Bearer realm="usp"')
            response = await client.post(f"{AT}/replay", content=b"nonsense", headers=headers)
            assert response.status_code == (403 if token else 401)
    assert (await ask.get(AT)).headers["cache-control"] == "private, no-cache"


async def test_what_waits_is_listed_newest_first(ask: httpx.AsyncClient) -> None:
    """With the item itself: as text, as Base64, or as the digest of what was too large."""
    nobody, large, binary, noon, high = await listed(ask)
    assert [r["reason"] for r in (nobody, large, binary, noon, high)] == [
        "unknown_device", "bad_time", "not_json", "bad_time", "wrong_type",
    ]  # fmt: skip
    assert nobody["address"] == "nobody"
    assert "device" not in nobody
    assert (nobody["payload"], nobody["payload_encoding"], nobody["payload_length"]) == ('{"no2":5}', "utf-8", 9)
    assert (binary["payload"], binary["payload_encoding"]) == ("//4=", "base64")
    assert "payload" not in large
    assert len(large["payload_sha256"]) == 64
    assert (high["device"], high["dataset"], high["field"], high["whole_item"]) == (
        "lamp-1", "air_quality", "no2", False,
    )  # fmt: skip
    assert high["received_at"] == "2026-01-01T00:00:10Z"
    assert high["topic"] == "usp/v1/lamp-1/up"


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ({"reason": "bad_time"}, 2),
        ({"device": "lamp-1"}, 4),
        ({"address": "nobody"}, 1),
        ({"address": "somebody"}, 0),
        ({"field": "no2"}, 1),
        ({"door": "replay"}, 0),
        ({"state": "resolved"}, 1),
        ({"state": "all"}, 6),
        ({"from": "2026-01-01T00:00:11Z", "to": "2026-01-01T00:00:13Z"}, 2),
        ({"device": "lamp-1", "reason": "bad_time", "door": "mqtt", "state": "all"}, 2),
    ],
)
async def test_filters_choose(ask: httpx.AsyncClient, query: dict[str, Any], count: int) -> None:
    """All that are given hold at once."""
    assert len(await listed(ask, **query)) == count


async def test_pages_lead_on(ask: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each rejection once, in order, whether a page is full by number or by bytes."""
    whole = await listed(ask, state="all")

    async def walk(**query: Any) -> list[int]:
        sizes, found, response = [], [], await ask.get(AT, params={"state": "all", **query})
        while True:
            body = response.json()
            found += body["data"]
            sizes.append(len(body["data"]))
            if body["next"] is None:
                assert found == whole
                return sizes
            response = await ask.get(body["next"])

    assert await walk(limit=4) == [4, 2]
    assert await walk(limit=6) == [6]
    assert await walk(limit=1) == [1] * 6
    monkeypatch.setattr(rejections, "PAGE_BYTES", 25)
    assert await walk() == [3, 1, 1, 1]
    monkeypatch.setattr(rejections, "PAGE_BYTES", 1)
    assert sum(await walk(limit=3)) == 6


@pytest.mark.parametrize(
    ("query", "parameter", "suggestion"),
    [
        ("reson=bad_time", "reson", "reason"),
        ("reason=bad_tim", "reason", "bad_time"),
        ("reason=", "reason", None),
        ("device=lamp-11", "device", "lamp-1"),
        ("device=a,b", "device", None),
        ("device=%00", "device", None),
        ("address=a%00", "address", None),
        ("state=opened", "state", "open"),
        ("from=yesterday", "from", None),
        ("from=2026-01-02&to=2026-01-01", "from", None),
        ("limit=1001", "limit", None),
        ("limit=0", "limit", None),
        ("cursor=abc", "cursor", None),
        ("format=csv", "format", None),
        ("door=mqtt&door=replay", "door", None),
    ],
)
async def test_a_bad_parameter_is_named(
    ask: httpx.AsyncClient, query: str, parameter: str, suggestion: str | None
) -> None:
    """400 with the parameter, and the nearest known name where one is near."""
    response = await ask.get(f"{AT}?{query}")
    assert response.status_code == 400, response.text
    assert (response.json()["parameter"], response.json().get("suggestion")) == (parameter, suggestion)


async def test_a_cursor_belongs_to_its_question(ask: httpx.AsyncClient) -> None:
    """That of another list is refused."""
    onward = (await ask.get(AT, params={"limit": 1})).json()["next"]
    assert (await ask.get(onward)).status_code == 200
    assert (await ask.get(f"{onward}&reason=bad_time")).status_code == 400


async def test_one_is_told_with_its_explanation(ask: httpx.AsyncClient) -> None:
    """And one that there is not is 404, however large its number."""
    (rejection,) = await listed(ask, address="nobody")
    response = await ask.get(f"{AT}/{rejection['id']}")
    explanation = response.json().pop("explanation")
    assert "register it" in explanation
    assert response.json() == rejection | {"explanation": explanation}
    for number in ("0", "99999", "9" * 40):
        missing = await ask.get(f"{AT}/{number}")
        assert missing.status_code == 404
        assert missing.json()["detail"].startswith("There is no rejection")
    assert (await ask.get(f"{AT}/nonsense")).status_code == 404
    assert (await ask.get(f"{AT}/1?nonsense=1")).status_code == 400


async def test_figures_tell_what_waits(ask: httpx.AsyncClient) -> None:
    """By reason, by sender, by day."""
    found = {}
    for by in ("reason", "address", "day"):
        rows = (await ask.get(f"{AT}/stats", params={"by": by})).json()["data"]
        found[by] = {row[by]: (row["open"], row["resolved"], row.get("kept"), row.get("total")) for row in rows}
    assert found["reason"] == {
        "bad_time": (2, 0, 2, 2), "not_json": (1, 0, 1, 1), "unknown_device": (1, 1, 2, 2), "wrong_type": (1, 0, 1, 1),
    }  # fmt: skip
    assert found["address"] == {"lamp-1": (4, 0, 4, 4), "nobody": (1, 0, 1, 1), "lamp-2": (0, 1, 1, 1)}
    assert found["day"] == {"2026-01-01": (5, 1, None, None)}
    assert (await ask.get(f"{AT}/stats?by=raeson")).json()["suggestion"] == "reason"


async def test_a_replay_tells_how_it_goes(ask: httpx.AsyncClient, street: Street) -> None:
    """Line by line, and at last that it is done; tried first, then done, then there is nothing left."""
    name = "lamp-later"
    await street.send(name, {"no2": 1}, {"no2": "x"})
    await street.register(name, profile="native-lamppost")
    body = {"address": name, "dry_run": True}
    tried = told(await ask.post(f"{AT}/replay", json=body))
    end = {"chosen": 2, "taken": 2, "resolved": 1, "refused": {"wrong_type": 1}, "without_bytes": 0}
    assert tried == [
        end | {"taken": 0, "resolved": 0, "refused": {}, "done": False}, end | {"done": False}, end | {"done": True},
    ]  # fmt: skip
    assert await street.readings(name) == []
    assert told(await ask.post(f"{AT}/replay", json={"address": name})) == tried
    assert await street.readings(name) == [(0, 1)]
    (left,) = await listed(ask, address=name)
    again = told(await ask.post(f"{AT}/replay", json={"ids": [left["id"], left["id"]]}))
    assert (again[-1]["chosen"], again[-1]["resolved"], again[-1]["done"]) == (1, 0, True)
    assert (await ask.get(f"{AT}/{left['id']}")).json()["replayed_at"]


async def test_a_second_replay_is_told_to_wait(
    ask: httpx.AsyncClient, street: Street, monkeypatch: pytest.MonkeyPatch
) -> None:
    """409 as long as another one runs, whoever runs it."""
    monkeypatch.setattr(replay, "PAUSE_S", 0.01)
    other = Replays(Settings(_env_file=None, database_url=street.url)).replay(  # type: ignore[call-arg]
        RejectionFilter(address="nobody"), dry_run=True
    )
    await anext(other)
    response = await ask.post(f"{AT}/replay", json={"address": "nobody", "dry_run": True})
    assert response.status_code == 409
    assert response.json()["detail"] == "Another replay is under way; wait until it has ended."
    await other.aclose()
    assert told(await ask.post(f"{AT}/replay", json={"address": "nobody", "dry_run": True}))[-1]["done"]


@pytest.mark.parametrize(
    ("body", "parameter", "suggestion"),
    [
        (b"", None, None),
        (b"[]", None, None),
        (b"{", None, None),
        (b'{"x":"' + b"y" * 1_000_000 + b'"}', None, None),
        (b'{"addres":"a"}', "addres", "address"),
        (b'{"state":"all"}', "state", None),
        (b'{"reason":"unknown_devise"}', "reason", "unknown_device"),
        (b'{"reason":7}', "reason", None),
        (b'{"device":"lamp-11"}', "device", "lamp-1"),
        (b'{"address":""}', "address", None),
        (b'{"address":"\\u0000"}', "address", None),
        (b'{"from":"now"}', "from", None),
        (b'{"ids":[]}', "ids", None),
        (b'{"ids":[true]}', "ids", None),
        (b'{"ids":[9223372036854775808]}', "ids", None),
        (b'{"ids":"all"}', "ids", None),
        (b'{"dry_run":"yes"}', "dry_run", None),
    ],
)
async def test_a_bad_body_is_told(
    ask: httpx.AsyncClient, body: bytes, parameter: str | None, suggestion: str | None
) -> None:
    """400 with the member that is to blame; nothing is taken up."""
    response = await ask.post(f"{AT}/replay", content=body)
    assert response.status_code == 400, response.text
    assert response.json().get("parameter") == parameter
    assert suggestion is None or response.json()["suggestion"] == suggestion


async def test_methods_are_told(ask: httpx.AsyncClient) -> None:
    """What is read is not written, and the other way round."""
    reading, doing = await ask.post(AT), await ask.get(f"{AT}/replay")
    assert (reading.status_code, reading.headers["allow"]) == (405, "GET, HEAD, OPTIONS")
    assert (doing.status_code, doing.headers["allow"]) == (405, "POST, OPTIONS")
    assert (await ask.options(f"{AT}/replay")).headers["allow"] == "POST, OPTIONS"
    assert (await ask.post(f"{AT}/replay?format=json", json={})).status_code == 400


async def test_without_operations_it_cannot_replay(ask: httpx.AsyncClient, street: Street) -> None:
    """501, which names what can; looking is no different."""
    async with serving(street.url) as client:
        client.headers.update(ask.headers)
        response = await client.post(f"{AT}/replay", json={})
        assert response.status_code == 501
        assert "usp rejections replay" in response.json()["detail"]
        assert (await client.get(AT)).status_code == 200


async def test_a_mistaken_profile_is_told(street: Street, ask: httpx.AsyncClient, tmp_path: Path) -> None:
    """Whoever mends a profile and replays reads what is still wrong with it."""
    (tmp_path / "mended.yaml").write_text("name: mended\ntitle: Mended\nkind: lampost\n")
    settings = Settings(_env_file=None, database_url=street.url, profiles_dir=tmp_path)  # type: ignore[call-arg]
    async with serving(street.url, Replays(settings)) as client:
        client.headers.update(ask.headers)
        response = await client.post(f"{AT}/replay", json={})
        assert response.status_code == 409
        assert "lamppost" in response.json()["detail"]


class Faltering:
    """Operations whose database goes away."""

    def __init__(self, *, at_once: bool) -> None:
        self._at_once = at_once

    async def replay(self, chosen: RejectionFilter, *, dry_run: bool) -> AsyncGenerator[Progress]:  # noqa: ARG002
        """One step, or none."""
        if self._at_once:
            raise ConnectionRefusedError("nobody listens")
        yield Progress(7, taken=3, resolved=3)
        raise DatabaseUnavailable


async def test_a_replay_that_breaks_off_says_so(street: Street, ask: httpx.AsyncClient) -> None:
    """503 before it has begun; afterwards the last line tells, and does not say that it is done."""
    async with serving(street.url, Faltering(at_once=True)) as client:
        client.headers.update(ask.headers)
        response = await client.post(f"{AT}/replay", json={})
        assert (response.status_code, response.headers["retry-after"]) == (503, "5")
    async with serving(street.url, Faltering(at_once=False)) as client:
        client.headers.update(ask.headers)
        first, last = told(await client.post(f"{AT}/replay", json={}))
    assert (first["taken"], first["done"]) == (3, False)
    assert (last["taken"], last["done"], last["interrupted"]) == (3, False, "The database does not answer.")


async def test_whoever_hangs_up_leaves_nothing_behind(street: Street, ask: httpx.AsyncClient) -> None:
    """Not even the place of a replay: the next one begins at once."""
    settings = Settings(_env_file=None, database_url=street.url)  # type: ignore[call-arg]
    steps = Replays(settings).replay(RejectionFilter(address="nobody"), dry_run=False)
    task = asyncio.create_task(anext(steps))
    await asyncio.sleep(0.05)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await steps.aclose()
    assert told(await ask.post(f"{AT}/replay", json={"address": "nobody", "dry_run": True}))[-1]["done"]


async def test_the_documentation_is_true(ask: httpx.AsyncClient) -> None:
    """Every status has a name, every example works for an operator, and answers look as they are shown."""
    document = (await ask.get("/openapi.json")).json()
    told_ = {path: methods for path, methods in document["paths"].items() if path.startswith(AT)}
    assert sorted(told_) == [AT, f"{AT}/replay", f"{AT}/stats", f"{AT}/{{rejection}}"]
    for methods in told_.values():
        for operation in methods.values():
            assert operation["security"] == [{"token": []}]
            assert "`ops`" in operation["description"]
            assert {"400", "401", "403", "503"} <= operation["responses"].keys()
            assert all(response["description"] for response in operation["responses"].values())
    assert {"409", "501"} <= told_[f"{AT}/replay"]["post"]["responses"].keys()
    assert "404" in told_[f"{AT}/{{rejection}}"]["get"]["responses"]
    for path in (AT, f"{AT}/stats"):
        for parameter in told_[path]["get"]["parameters"]:
            example = parameter.get("example", (parameter["schema"].get("examples") or [None])[0])
            if parameter["name"] != "device":
                response = await ask.get(path, params={parameter["name"]: example})
                assert response.status_code == 200, (parameter, response.text)
    schema = told_[AT]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
    known = schema["properties"]["data"]["items"]["properties"]
    for rejection in await listed(ask, state="all"):
        assert rejection.keys() <= known.keys()
    assert known["reason"]["enum"] == list(Reason)
    example = told_[f"{AT}/replay"]["post"]["requestBody"]["content"]["application/json"]["example"]
    assert told(await ask.post(f"{AT}/replay", json=example))[-1]["done"]


async def test_times_have_their_fraction(ask: httpx.AsyncClient, street: Street) -> None:
    """A page ends between two that came within the same microsecond as well."""
    at = START + timedelta(days=1, microseconds=1)
    for number in range(3):
        await street.db.execute(
            "INSERT INTO usp.rejection (received_at, door, address, reason, whole_item, payload_length) "
            "VALUES ($1, 'mqtt', 'same-moment', 'not_json', true, $2)",
            at, number,
        )  # fmt: skip
    response = await ask.get(AT, params={"address": "same-moment", "limit": 1})
    lengths = [response.json()["data"][0]["payload_length"]]
    while onward := response.json()["next"]:
        response = await ask.get(onward)
        lengths += [row["payload_length"] for row in response.json()["data"]]
    assert lengths == [2, 1, 0]
