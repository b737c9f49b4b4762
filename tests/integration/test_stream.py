"""The stream tells the newest states, whoever commits when, and whoever comes again."""

import asyncio
import itertools
import random
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import asyncpg
import httpx
import pytest
from tests.integration.listening import Listener, listening, put, quickly, serving_at_port

from usp import keys
from usp.api import live
from usp.api.params import OPEN_DATASETS
from usp.models.datasets import DATASETS

if TYPE_CHECKING:
    from tests.integration.conftest import World

LAMP, OTHER = "lamp-corso-lodi-1", "lamp-viale-bligny-1"
AIR = ("air_quality", LAMP)
_steps = itertools.count(100)


@pytest.fixture(scope="module")
async def api(world: "World", database_url: str) -> AsyncIterator[httpx.AsyncClient]:
    """A stranger's client of a real server that looks more often than others."""
    assert world.ids
    with quickly():
        async with serving_at_port(database_url) as client:
            yield client


async def newest(api: httpx.AsyncClient, *names: str, query: str = "", **headers: str) -> dict[Any, Any]:
    """What `latest` says, as the stream would."""
    found = {}
    for name in names or OPEN_DATASETS:
        answer = await api.get(f"/v1/datasets/{name}/latest?{query}", headers=headers)
        for row in answer.raise_for_status().json()["data"]:
            found[name, row["device"]] = {"dataset": name, **row}
    return found


async def others(world: "World", count: int) -> None:
    """Transactions that have nothing to do with it."""
    for _ in range(count):
        await world.db.execute("SELECT pg_current_xact_id()")


@pytest.mark.parametrize(
    "query",
    [
        *("", "properties=no2", "properties=pm10,no2", "properties=laeq,clients,occupied"),
        *("device=station-lodi", "device=bay-corso-lodi-1,bay-child-1", "site=corso-lodi,viale-bligny"),
        *("kind=charging_point,energy_meter", "category=fast,logistics", "site=corso-lodi&kind=parking_sensor"),
        *("bbox=9.1917,45.4461,9.2113,45.451", "bbox=9.2,40,-9,50", "near=9.2121,45.4466,90"),
    ],
)
async def test_at_first_comes_all_that_latest_tells(api: httpx.AsyncClient, query: str) -> None:
    """Each state is what `latest` says of the device, property by property, and nothing is left out."""
    names = OPEN_DATASETS
    if query.startswith("properties"):
        asked = set(query.partition("=")[2].split(","))
        names = {n: d for n, d in OPEN_DATASETS.items() if asked & d.by_name.keys()}
        wanted: dict[Any, Any] = {}
        for name, dataset in names.items():
            chosen = ",".join(p for p in dataset.by_name if p in asked)
            wanted |= await newest(api, name, query=f"properties={chosen}")
    else:
        wanted = await newest(api, query=query)
    async with listening(api, query) as listener:
        assert listener.states == wanted
        assert wanted
        assert (listener.kinds[0], listener.kinds[-1]) == ("reset", "live")
        assert {*listener.kinds[1:-1]} == {"state"}


async def test_a_change_is_told_at_once(
    api: httpx.AsyncClient, world: "World", monkeypatch: pytest.MonkeyPatch
) -> None:
    """Within a second; what is written again without a change is not."""
    monkeypatch.setattr(live, "POLL_S", 0.5)
    async with listening(api, "dataset=parking,air_quality") as listener:
        before = len(listener.events)
        await world.put("parking", "bay-corso-lodi-1", next(_steps), occupied=True)
        await listener.until(lambda: len(listener.events) > before, 1)
        assert listener.events[before][1]["occupied"] is True
        await world.db.execute("UPDATE usp.air_quality_latest SET received_at = now()")
        await asyncio.sleep(0.7)
        assert len(listener.events) == before + 1
        assert listener.states == await newest(api, "parking", "air_quality")


async def test_who_comes_again_hears_what_he_missed(api: httpx.AsyncClient, world: "World") -> None:
    """And no more, but for what was written just before he went."""
    async with listening(api) as listener:
        known, last = dict(listener.states), listener.last_id
    await others(world, 300)
    async with listening(api, last_event_id=last) as listener:
        last = listener.last_id
    await world.put("air_quality", LAMP, next(_steps), no2=55.5)
    async with listening(api, last_event_id=last) as listener:
        assert listener.kinds == ["state", "live"]
        assert {**known, **listener.states} == await newest(api)
        assert listener.events[-1][1] == {"resumed": True}


@pytest.mark.parametrize("what", ["ahead", "another question", "another database", "nonsense", "long ago"])
async def test_an_id_of_elsewhere_gets_everything(api: httpx.AsyncClient, what: str) -> None:
    """A restored or replaced database, another question, an id that was made up: the stream begins anew."""
    async with listening(api) as listener:
        system, question, xid = listener.last_id.split("-")
    last = {
        "ahead": f"{system}-{question}-{int(xid) + 1000}",
        "another question": f"{system}-0123456789-{xid}",
        "another database": f"0123456789-{question}-{xid}",
        "nonsense": "none of ours",
        "long ago": f"{system}-{question}-{int(xid) + 1000 - 2**32}".replace("--", "-"),
    }[what]
    async with listening(api, last_event_id=last) as listener:
        assert listener.kinds[0] == "reset"
        assert listener.states == await newest(api)


async def test_a_new_property_is_told_to_all(api: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who comes again to a process that knows more properties than the one before hears everything."""
    noise = DATASETS["noise"]
    with monkeypatch.context() as before:
        before.setitem(DATASETS, "noise", replace(noise, properties=noise.properties[:-1]))
        async with listening(api, "dataset=noise") as listener:
            last = listener.last_id
    async with listening(api, "dataset=noise", last_event_id=last) as listener:
        assert listener.kinds[0] == "reset"


async def cut_short(api: httpx.AsyncClient, query: str, last: str) -> str:
    """Listen until the first state; the id with which a browser comes again."""
    async with api.stream("GET", f"/v1/stream?{query}", headers={"last-event-id": last}) as response:
        async for line in response.aiter_lines():
            name, _, value = line.partition(":")
            last = value.strip() if name == "id" else last
            if line == "event: state":
                return last
    raise AssertionError(last)


async def test_who_is_cut_off_before_he_has_all_begins_anew(api: httpx.AsyncClient, world: "World") -> None:
    """Having forgotten what he knew, he is told all again, also where all is as it was when he knew it."""
    query, bay = "dataset=air_quality", world.ids["bay-corso-lodi-1"]
    async with listening(api, query) as listener:
        last = listener.last_id
    await world.db.execute("UPDATE usp.device SET retired_at = now() WHERE id = $1", bay)
    last = await cut_short(api, query, last)
    await world.db.execute("UPDATE usp.device SET retired_at = NULL WHERE id = $1", bay)
    async with listening(api, query, **({"last_event_id": last} if last else {})) as listener:
        assert listener.states == await newest(api, "air_quality")


async def test_a_new_stream_shows_nothing_that_is_hidden(
    api: httpx.AsyncClient, world: "World", monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever listens already and however long ago it was looked who may be seen."""
    monkeypatch.setattr(live, "REGISTRY_S", 60)
    async with listening(api, "dataset=air_quality"):
        await world.db.execute("UPDATE usp.device SET visibility = 'restricted' WHERE name = $1", OTHER)
        async with listening(api, "dataset=air_quality") as new:
            assert new.states == await newest(api, "air_quality")
            assert ("air_quality", OTHER) not in new.states
        await world.db.execute("UPDATE usp.device SET visibility = 'open' WHERE name = $1", OTHER)


async def test_a_device_that_is_new_comes_with_its_first_reading(
    api: httpx.AsyncClient, world: "World", monkeypatch: pytest.MonkeyPatch
) -> None:
    """And nothing is told before of one without a name."""
    monkeypatch.setattr(live, "REGISTRY_S", 0.6)
    async with listening(api, "dataset=parking") as listener:
        before = len(listener.events)
        async with world.db.transaction():
            world.ids["bay-new"] = await world.db.fetchval(
                "INSERT INTO usp.device (name, kind, profile) "
                "VALUES ('bay-new', 'parking_sensor', 'test-parking-sensor') RETURNING id"
            )
            await world.put("parking", "bay-new", next(_steps), occupied=True)
        await listener.until(lambda: ("parking", "bay-new") in listener.states)
        assert listener.kinds[before:] == ["state"]


async def test_a_transaction_that_ends_late_is_not_skipped(
    api: httpx.AsyncClient, world: "World", database_url: str
) -> None:
    """One that began first and commits last: those who listen hear it, and those who come again as well."""
    slow = await asyncpg.connect(database_url)
    async with listening(api, "dataset=air_quality") as listener:
        transaction = slow.transaction()
        await transaction.start()
        await put(world.ids[LAMP], 1111.0, slow)
        await put(world.ids[OTHER], 2222.0, world.db)
        # What is committed is told, whoever else still writes.
        await listener.until(lambda: listener.states["air_quality", OTHER]["no2"] == 2222)
        await others(world, 300)
        await asyncio.sleep(1)
        last = listener.last_id
        assert listener.states[AIR]["no2"] != 1111
        await transaction.commit()
        await listener.until(lambda: listener.states[AIR]["no2"] == 1111)
    async with listening(api, "dataset=air_quality", last_event_id=last) as listener:
        assert listener.kinds[0] == "state"
        assert listener.states[AIR]["no2"] == 1111
    await slow.close()


async def test_everybody_converges(api: httpx.AsyncClient, world: "World", database_url: str) -> None:
    """Writers that commit in any order, clients that go and come: in the end all know what `latest` knows."""
    chance = random.Random(6)  # noqa: S311 - nobody has to guess it
    writing = True

    async def write() -> None:
        connection = await asyncpg.connect(database_url)
        while writing:
            async with connection.transaction():
                # Its number is drawn first, its row written last.
                await connection.execute("SELECT pg_current_xact_id()")
                await asyncio.sleep(chance.random() ** 4)
                await put(world.ids[chance.choice([LAMP, OTHER])], chance.randrange(10_000), connection)
        await connection.close()

    async def come_and_go() -> Listener:
        states: dict[Any, Any] = {}
        last = ""
        while True:
            async with listening(api, "dataset=air_quality", **({"last_event_id": last} if last else {})) as listener:
                assert (listener.kinds[0] == "reset") is not bool(last)
                # What was known before stays, but for what was told since.
                listener.states = {**states, **listener.states}
                if wanted:
                    await listener.until(lambda: listener.states == wanted)
                    return listener
                await asyncio.sleep(chance.random() * 0.7)
                states, last = listener.states, listener.last_id

    wanted: dict[Any, Any] = {}
    writers = [asyncio.create_task(write()) for _ in range(6)]
    clients = [asyncio.create_task(come_and_go()) for _ in range(8)]
    await asyncio.sleep(2)
    writing = False
    await asyncio.gather(*writers)
    wanted |= await newest(api, "air_quality")
    await asyncio.gather(*clients)


async def test_a_box_has_what_stands_in_it_today(api: httpx.AsyncClient, world: "World") -> None:
    """A device that is moved out is gone, one that is moved in is told; one taken out of service is gone everywhere."""
    box = "dataset=air_quality,parking&bbox=9.19,45.44,9.20,45.46"
    device = world.ids[LAMP]
    async with listening(api, box) as inside, listening(api, "site=corso-lodi") as site, listening(api) as everywhere:
        assert {key[1] for key in inside.states} == {OTHER}
        await world.db.execute("UPDATE usp.placement SET lon = 9.195, lat = 45.45 WHERE device = $1", device)
        await inside.until(lambda: AIR in inside.states)
        await everywhere.until(lambda: everywhere.states[AIR]["lon"] == 9.195)
        assert site.states[AIR]["site"] == "corso-lodi"
        await world.db.execute("UPDATE usp.placement SET lon = NULL, lat = NULL WHERE device = $1", device)
        await inside.until(lambda: AIR not in inside.states)
        assert inside.events[-1] == ("gone", {"dataset": "air_quality", "device": LAMP})
        last = inside.last_id
        async with listening(api, box, last_event_id=last) as again:
            assert "reset" not in again.kinds
        await world.db.execute("UPDATE usp.device SET retired_at = now() WHERE id = $1", device)
        await everywhere.until(lambda: AIR not in everywhere.states)
        assert everywhere.states == await newest(api)
        await site.until(lambda: AIR not in site.states)
        async with listening(api, box, last_event_id=last) as again:
            # What is gone meanwhile is not told one by one.
            assert again.kinds[0] == "reset"
        await world.db.execute("UPDATE usp.device SET retired_at = NULL WHERE id = $1", device)
        await everywhere.until(lambda: AIR in everywhere.states)


async def test_hidden_devices_are_not_told(api: httpx.AsyncClient, world: "World") -> None:
    """Nor changes of hidden properties; who becomes hidden is gone, also for one who asked by name."""
    token = await keys.create(world.db, "listener", ["read:restricted"])
    query = "dataset=air_quality,charging"
    async with (
        listening(api, query) as anybody,
        listening(api, f"{query}&device={OTHER},station-lodi") as named,
        listening(api, query, authorization=f"Bearer {token}") as insider,
    ):
        assert ("charging", "cp-hidden-3") in insider.states.keys() - anybody.states.keys()
        told = len(anybody.events)
        await world.db.execute("UPDATE usp.charging_latest SET soc = soc + 1")
        await insider.until(lambda: insider.states["charging", "cp-lodi-2"]["soc"] == 42)
        await world.put("air_quality", "lamp-hidden-1", next(_steps), no2=3.5)
        await insider.until(lambda: insider.states["air_quality", "lamp-hidden-1"]["no2"] == 3.5)
        await asyncio.sleep(0.6)
        assert len(anybody.events) == told
        await world.db.execute("UPDATE usp.device SET visibility = 'restricted' WHERE name = $1", OTHER)
        await anybody.until(lambda: ("air_quality", OTHER) not in anybody.states)
        await named.until(lambda: ("air_quality", OTHER) not in named.states)
        assert anybody.states == await newest(api, "air_quality", "charging")
        assert ("charging", "cp-lodi-1") in named.states
        assert ("air_quality", OTHER) in insider.states
        refused = await api.get(f"/v1/stream?device={OTHER}")
        assert (refused.status_code, refused.json()["parameter"]) == (400, "device")
        await world.db.execute("UPDATE usp.device SET visibility = 'open' WHERE name = $1", OTHER)
        await named.until(lambda: ("air_quality", OTHER) in named.states)


async def test_manners(api: httpx.AsyncClient) -> None:
    """Nobody keeps it or compresses it, any page may listen, HEAD is answered, and mistakes are told."""
    asked = {"accept": "text/event-stream", "accept-encoding": "gzip", "origin": "https://example.org"}
    async with api.stream("GET", "/v1/stream", headers=asked) as response:
        headers = response.headers
        assert headers["content-type"] == "text/event-stream; charset=utf-8"
        assert headers["cache-control"] == "no-store"
        assert headers["access-control-allow-origin"] == "*"
        assert "content-encoding" not in headers
        assert "etag" not in headers
    head = await api.head("/v1/stream")
    assert (head.status_code, head.content) == (200, b"")
    for query, parameter in (
        ("dataset=air", "dataset"),
        ("dataset=device_health", "dataset"),
        ("properties=soc", "properties"),
        ("dataset=noise&properties=no2", "properties"),
        ("bbox=1,2", "bbox"),
        ("site=nowhere", "site"),
        ("limit=5", "limit"),
    ):
        answer = await api.get(f"/v1/stream?{query}")
        assert (answer.status_code, answer.json()["parameter"]) == (400, parameter), query
    assert (await api.get("/v1/stream", headers={"accept": "text/html"})).status_code == 406
