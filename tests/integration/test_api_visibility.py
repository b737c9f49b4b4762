"""To one who may not see it, it does not exist."""

import re
from typing import TYPE_CHECKING

import httpx
import pytest

from usp.models.datasets import DATASETS
from usp.models.device import KINDS

from tests.integration.conftest import HIDDEN  # isort: skip

if TYPE_CHECKING:
    from tests.integration.conftest import World

OPEN = [name for name in DATASETS if name != "device_health"]
LISTS = [
    "/v1/datasets",
    *(f"/v1/datasets/{name}" for name in OPEN),
    *(f"/v1/datasets/{name}/{what}" for name in OPEN for what in ("readings", "latest")),
    "/v1/devices",
    "/v1/sites",
    "/health/ingest",
    "/health/ready",
    "/openapi.json",
    *(f"/v1/devices/{name}" for name in ("station-lodi", "bay-child-1", "meter-main", "lamp-corso-lodi-1")),
    "/v1/sites/corso-lodi",
]
#: Names of hidden devices and sites, the hidden dataset and its properties, and a hidden property.
TRACES = re.compile(r"hidden|lamp-ops|secret|device_health|rssi|battery|frame_counter|\bsoc\b|soc_time")


@pytest.mark.parametrize("format_", ["json", "csv"])
@pytest.mark.parametrize("path", LISTS)
async def test_no_answer_has_a_trace_of_what_is_hidden(client: httpx.AsyncClient, path: str, format_: str) -> None:
    """Not in any row, header, document or count."""
    response = await client.get(path, headers={"Accept": f"*/*, {format_}"}, params={"format": format_})
    if response.status_code == 400:
        assert format_ == "csv" or path == "/openapi.json"
        return
    assert response.status_code in {200, 503}
    assert HIDDEN
    assert not TRACES.search(response.text), TRACES.search(response.text)


def without(text: str, name: str) -> str:
    """An answer, the name asked for taken out."""
    return text.replace(name, "…")


@pytest.mark.parametrize("name", HIDDEN)
async def test_a_hidden_device_is_an_unknown_device(client: httpx.AsyncClient, world: "World", name: str) -> None:
    """The answer is the same to the letter, whether there is a hidden device of that name or none."""

    async def answers() -> list[tuple[int, str]]:
        paths = (
            "/v1/devices/{}",
            "/v1/devices?device={}",
            "/v1/datasets/air_quality/readings?device={}",
            "/v1/datasets/air_quality/latest?device={}&format=csv",
        )
        found = [await client.get(path.format(name)) for path in paths]
        return [(response.status_code, response.text) for response in found]

    hidden = await answers()
    await world.db.execute("UPDATE usp.device SET name = 'x' || name WHERE name = $1", name)
    unknown = await answers()
    await world.db.execute("UPDATE usp.device SET name = substr(name, 2) WHERE name = 'x' || $1", name)
    assert hidden == unknown
    assert [status for status, _ in hidden] == [404, 400, 400, 400]


@pytest.mark.parametrize(
    ("path", "hidden", "made_up"),
    [
        ("/v1/datasets/{}", "device_health", "device_heelth"),
        ("/v1/datasets/{}/readings", "device_health", "device_heelth"),
        ("/v1/datasets/{}/latest", "device_health", "device_heelth"),
        ("/v1/sites/{}", "secret-garden", "secred-garden"),
        ("/v1/devices?site={}", "secret-garden", "secred-garden"),
        ("/v1/datasets/air_quality/readings?site={}", "secret-garden", "secred-garden"),
        ("/v1/datasets/charging/readings?properties={}", "soc", "zoc"),
        ("/v1/datasets/charging/latest?properties=power,{}", "soc", "zoc"),
        ("/v1/datasets/charging/readings?where={}:41", "soc", "zoc"),
        ("/v1/datasets/charging/latest?where={}:41", "soc", "zoc"),
    ],
)
async def test_hidden_names_are_unknown_names(client: httpx.AsyncClient, path: str, hidden: str, made_up: str) -> None:
    """A dataset, a site and a property are no different."""
    one, other = [await client.get(path.format(n)) for n in (hidden, made_up)]
    assert one.status_code == other.status_code
    assert one.status_code in {400, 404}
    assert without(one.text, hidden) == without(other.text, made_up)


async def test_hidden_devices_have_no_rows(client: httpx.AsyncClient) -> None:
    """Neither by kind nor by category nor by place."""
    for query in ("kind=indoor_sensor", "category=dwelling", "near=9.2,45.4,100"):
        assert (await client.get(f"/v1/devices?{query}")).json()["data"] == []
    for dataset in ("energy", "indoor_climate"):
        query = "near=9.2,45.4,100"
        assert (await client.get(f"/v1/datasets/{dataset}/readings?{query}")).json()["data"] == []
    assert set(KINDS) >= {"indoor_sensor"}


async def test_a_row_of_hidden_values_is_no_row(client: httpx.AsyncClient) -> None:
    """A charging point that told only its car's battery level said nothing to strangers."""
    body = (await client.get("/v1/datasets/charging/readings", params={"device": "cp-lodi-1"})).json()
    assert len(body["data"]) == 4
