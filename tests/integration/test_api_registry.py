"""Datasets, devices and sites as a stranger gets them."""

from typing import TYPE_CHECKING, Any

import httpx

if TYPE_CHECKING:
    from tests.integration.conftest import World


async def test_datasets_say_what_is_measured(client: httpx.AsyncClient, world: "World") -> None:
    """Units, aggregation, licence and extent, of open datasets only."""
    body = (await client.get("/v1/datasets")).json()
    listed = {d["name"]: d for d in body["data"]}
    assert list(listed)[:3] == ["air_quality", "weather", "noise"]
    assert "device_health" not in listed
    air = listed["air_quality"]
    assert air["licence"] == "CC-BY-4.0"
    assert air["kinds"] == ["lamppost"]
    assert air["extent"] == {"first": world.text(0), "last": world.text(59.5)}
    assert air["properties"][1] == {
        "name": "pm2_5",
        "title": "Particles below 2.5 µm",
        "unit": "µg/m³",
        "type": "real",
        "aggregation": "mean",
        "range": {"min": 0, "max": 1000},
    }
    assert listed["weather"]["extent"] is None
    assert listed["indoor_climate"]["extent"] is None
    charging = (await client.get("/v1/datasets/charging")).json()
    assert charging == listed["charging"]
    assert "soc" not in [p["name"] for p in charging["properties"]]
    assert charging["properties"][0]["states"][0] == "available"
    assert charging["extent"]["last"] == world.text(3)


async def test_devices_are_listed_where_they_stand(client: httpx.AsyncClient) -> None:
    """By name, each with its datasets; nulls are left out."""
    body = (await client.get("/v1/devices")).json()
    listed = {d["device"]: d for d in body["data"]}
    assert list(listed) == sorted(listed)
    assert listed["cp-lodi-1"] == {
        "device": "cp-lodi-1",
        "kind": "charging_point",
        "category": "fast",
        "parent": "station-lodi",
        "site": "mobility-area-lodi",
        "lon": 9.2113,
        "lat": 45.4461,
        "approximate": False,
        "max_hold": 90000.0,
        "datasets": ["charging"],
    }
    assert "retired_at" in listed["bay-retired-1"]
    assert "parent" not in listed["bay-child-1"]
    assert listed["lamp-corso-lodi-1"]["interval"] == 600.0


async def test_devices_can_be_filtered(client: httpx.AsyncClient) -> None:
    """The same places as elsewhere, as of now."""

    async def listed(**params: str) -> list[str]:
        return [d["device"] for d in (await client.get("/v1/devices", params=params)).json()["data"]]

    assert await listed(device="station-lodi") == ["cp-lodi-1", "cp-lodi-2", "station-lodi"]
    assert await listed(kind="lamppost", site="corso-lodi") == ["lamp-corso-lodi-1"]
    assert await listed(category="main") == ["meter-main"]
    assert await listed(near="9.2113,45.4461,5") == ["cp-lodi-1", "cp-lodi-2", "station-lodi"]
    body = (await client.get("/v1/devices", params={"limit": "3"})).json()
    assert len(body["data"]) == 3
    assert (await client.get(body["next"])).json()["data"][0]["device"] == "cp-lodi-1"
    text = (await client.get("/v1/devices", params={"format": "csv", "device": "lamp-viale-bligny-1"})).text
    assert text.splitlines()[1] == (
        "lamp-viale-bligny-1,,lamppost,,,viale-bligny,9.1917,45.451,false,600,90000,,"
        "air_quality;weather;noise;traffic;lighting;wifi"
    )


async def test_a_device_is_told_in_full(client: httpx.AsyncClient, world: "World") -> None:
    """Its places over time, its relatives, and when it was last heard of."""
    lamp = (await client.get("/v1/devices/lamp-corso-lodi-1")).json()
    assert lamp["place"]["site"] == "corso-lodi"
    assert [p["site"] for p in lamp["placements"]] == ["viale-bligny", "corso-lodi"]
    assert lamp["placements"][0]["to"] == lamp["placements"][1]["from"] == world.text(6)
    assert lamp["datasets"][0] == {"dataset": "air_quality", "last_time": world.text(59.5)}
    assert lamp["datasets"][1] == {"dataset": "weather"}
    assert "current" not in str(lamp)
    station = (await client.get("/v1/devices/station-lodi")).json()
    assert station["children"] == ["cp-lodi-1", "cp-lodi-2"]


async def test_sites_and_who_stands_there(client: httpx.AsyncClient) -> None:
    """Only sites where something open stands or stood; only open devices count."""
    body = (await client.get("/v1/sites")).json()
    assert {s["site"]: s["devices"] for s in body["data"]} == {
        "corso-lodi": 3,
        "mobility-area-lodi": 3,
        "viale-bligny": 1,
    }
    site = (await client.get("/v1/sites/corso-lodi")).json()
    assert site["devices"] == ["bay-corso-lodi-1", "lamp-corso-lodi-1", "meter-main"]
    near = (await client.get("/v1/sites", params={"near": "9.1917,45.4510,10", "format": "csv"})).text
    assert near.splitlines()[1:] == ["viale-bligny,Viale-Bligny,,9.1917,45.451,false,1"]


async def test_the_documentation_loads_nothing_from_elsewhere(client: httpx.AsyncClient) -> None:
    """`/docs` brings its scripts with it."""
    page = await client.get("/docs")
    assert "//" not in page.text.replace("</", "").replace("// ", "").replace("data:,", "")
    for asset in ("swagger-ui-bundle.js", "swagger-ui.css"):
        assert f"/docs/assets/{asset}" in page.text
        assert (await client.get(f"/docs/assets/{asset}")).status_code == 200


async def test_every_example_of_the_documentation_works(client: httpx.AsyncClient) -> None:
    """Each parameter alone, and all that are filled in together, answer 200."""
    document = (await client.get("/openapi.json")).json()
    asked = 0
    for path, methods in document["paths"].items():
        if path.startswith("/v1/ops/"):
            continue  # for holders of a token: test_api_rejections
        if path == "/v1/stream":
            continue  # never ends: test_stream
        parameters = methods["get"]["parameters"]
        address = path
        together: dict[str, Any] = {}
        alone: list[dict[str, Any]] = []
        for parameter in parameters:
            assert parameter["description"]
            example = parameter.get("example", (parameter["schema"].get("examples") or [None])[0])
            assert example is not None, parameter
            if parameter["in"] == "path":
                address = address.replace(f"{{{parameter['name']}}}", example)
            else:
                alone.append({parameter["name"]: example})
                together |= {parameter["name"]: example} if "example" in parameter else {}
        # What only goes with buckets is asked with one.
        alone = [a | ({"bucket": "1h"} if a.keys() & {"by", "tz"} else {}) for a in alone]
        for params in [{}, together, *alone]:
            response = await client.get(address, params=params)
            assert response.status_code == 200, (address, params, response.text)
            asked += 1
        shown = methods["get"]["responses"]["200"]["content"]["application/json"]["example"]
        assert shown
    assert asked > 40


async def test_examples_are_answers(client: httpx.AsyncClient) -> None:
    """The answers that the documentation shows have the keys that the API gives."""
    document = (await client.get("/openapi.json")).json()
    for path, methods in document["paths"].items():
        if "get" not in methods:
            continue
        content = methods["get"]["responses"]["200"]["content"]
        assert "\r" not in content.get("text/csv", {}).get("example", ""), path
    real = (await client.get("/health/ingest")).json()
    shown = document["paths"]["/health/ingest"]["get"]["responses"]["200"]["content"]["application/json"]["example"]
    assert shown.keys() == real.keys()
    assert shown["totals"].keys() == real["totals"].keys()
    assert shown["kinds"]["lamppost"].keys() == real["kinds"]["lamppost"].keys()
    assert shown["datasets"]["air_quality"].keys() == real["datasets"]["air_quality"].keys()
