"""The same answer in five formats: equal value by value, and right in the programs that people use."""

import asyncio
import csv
import io
import json
from collections.abc import AsyncIterator
from datetime import datetime
from typing import TYPE_CHECKING, Any

import httpx
import numpy as np
import pandas as pd  # type: ignore[import-untyped]
import polars as pl
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.parquet  # type: ignore[import-untyped]
import pytest
from tests.integration.conftest import serving

from usp.api.representations import FORMATS, choose
from usp.models.dataset import Visibility
from usp.models.datasets import DATASETS

if TYPE_CHECKING:
    from tests.integration.conftest import World

Row = dict[str, Any]

TITLE = "Piazza «Lodi», è \"qui\" 'là'; 温度 💡\nsecond line"
#: The largest and the smallest double, one of seventeen digits, a negative zero, and one shown with an exponent.
ENERGIES = (1.7976931348623157e308, 5e-324, 123456.78901234567, -0.0, 1e22)
#: As single precision, each is shown as its shortest decimal.
POWERS = (12.1, 0.1, 3.4e38, -0.0, 1e-45)

PATHS = (
    "/v1/datasets/air_quality/readings?order=desc&limit=9",
    "/v1/datasets/charging/readings?device=cp-lodi-1,cp-lodi-2",
    "/v1/datasets/charging/latest?",
    "/v1/datasets/parking/readings?",
    "/v1/datasets/noise/latest?",
    "/v1/datasets/wifi/readings?",
    "/v1/datasets/indoor_climate/readings?",
    "/v1/devices?",
    "/v1/sites?",
)


@pytest.fixture(scope="module")
async def client(world: "World", database_url: str) -> AsyncIterator[httpx.AsyncClient]:
    """A stranger who asks about a city with odd values and titles."""
    for number, (power, energy) in enumerate(zip(POWERS, ENERGIES, strict=True)):
        await world.put("charging", "cp-lodi-2", 10 + number / 7, power=power, energy=energy)
    await world.db.execute("UPDATE usp.site SET title = $1, address = '' WHERE name = 'corso-lodi'", TITLE)
    await world.db.execute("UPDATE usp.site SET title = '=1+1', address = '-2' WHERE name = 'viale-bligny'")
    async with serving(database_url) as stranger:
        yield stranger


async def ask(client: httpx.AsyncClient, path: str, name: str) -> httpx.Response:
    """An answer in a format."""
    response = await client.get(f"{path}&format={name}")
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == choose(name, None).content_type
    return response


def parquet(content: bytes) -> pa.Table:
    """A Parquet file."""
    return pyarrow.parquet.read_table(io.BytesIO(content))


def number(value: float, type_: pa.DataType) -> float:
    """What was meant: of a single-precision number, its shortest decimal."""
    return float(str(np.float32(value))) if type_ == pa.float32() else value


def from_parquet(content: bytes) -> list[Row]:
    """Rows; times as JSON writes them."""
    table = parquet(content)
    rows: list[Row] = table.to_pylist()
    for row in rows:
        for field in table.schema:
            value = row[field.name]
            if isinstance(value, datetime):
                whole, dot, fraction = value.isoformat().removesuffix("+00:00").partition(".")
                row[field.name] = whole + (dot + fraction).rstrip("0") + "Z"
            elif isinstance(value, float):
                row[field.name] = number(value, field.type)
    return rows


def from_csv(text: str, schema: pa.Schema) -> list[Row]:
    """Rows; what a text means is told by a schema."""

    def meant(type_: pa.DataType, value: str) -> Any:
        if pa.types.is_list(type_):
            return value.split(";") if value else []
        if not value:
            return None
        if pa.types.is_boolean(type_):
            return {"true": True, "false": False}[value]
        if pa.types.is_floating(type_) or pa.types.is_integer(type_):
            return float(value)
        return value

    return [
        {name: meant(schema.field(name).type, value) for name, value in row.items()}
        for row in csv.DictReader(io.StringIO(text, newline=""))
    ]


def from_features(body: Row) -> list[Row]:
    """Rows; the geometry becomes a position again."""
    rows = []
    for feature in body["features"]:
        lon, lat = feature["geometry"]["coordinates"] if feature["geometry"] else (None, None)
        rows.append(feature["properties"] | {"lon": lon, "lat": lat})
    return rows


@pytest.mark.parametrize("path", PATHS)
async def test_every_format_tells_the_same(client: httpx.AsyncClient, path: str) -> None:
    """Nulls, flags, states, booleans, texts, and every number to its last digit."""
    packed = (await ask(client, path, "parquet")).content
    schema = parquet(packed).schema
    expected = from_parquet(packed)
    names = schema.names

    def whole(rows: list[Row]) -> list[Row]:
        assert all(value is not None for row in rows for name, value in row.items() if name not in {"lon", "lat"})
        return [{name: row.get(name) for name in names} for row in rows]

    body = (await ask(client, path, "json")).json()
    assert whole(body["data"]) == expected
    lines = (await ask(client, path, "ndjson")).text
    assert [json.loads(line) for line in lines.removesuffix("\n").split("\n") if line] == body["data"]
    assert whole(from_features((await ask(client, path, "geojson")).json())) == expected
    table = from_csv((await ask(client, path, "csv")).text, schema)
    for row in table:
        # The only texts that CSV does not tell as they are.
        row |= {name: row[name][1:] for name in ("title", "address") if (row.get(name) or "").startswith("'")}
    assert table == expected
    assert expected or "indoor" in path


async def test_numbers_are_what_was_stored(client: httpx.AsyncClient) -> None:
    """From the largest to the smallest, the signs of zeros included."""
    path = "/v1/datasets/charging/readings?device=cp-lodi-2&properties=power,energy"
    rows = from_parquet((await ask(client, path, "parquet")).content)[4:]
    assert str([row["energy"] for row in rows]) == str(list(ENERGIES))
    assert str([row["power"] for row in rows]) == str(list(POWERS))
    text = (await ask(client, path, "csv")).text.splitlines()[5:]
    assert [line.split(",")[5:7] for line in text] == [
        ["12.1", "1.7976931348623157e+308"], ["0.1", "5e-324"], ["3.4e+38", "123456.78901234567"], ["-0", "-0"],
        ["1e-45", "1e+22"],
    ]  # fmt: skip


async def test_text_is_text_and_no_formula(client: httpx.AsyncClient) -> None:
    """A title that begins with an equals sign is shown by a spreadsheet and not computed; elsewhere it is as it is."""
    rows = {row["site"]: row for row in from_csv((await ask(client, "/v1/sites?", "csv")).text, pa.schema(
        [(name, pa.string()) for name in ("site", "title", "address", "lon", "lat", "approximate", "devices")]
    ))}  # fmt: skip
    assert (rows["viale-bligny"]["title"], rows["viale-bligny"]["address"]) == ("'=1+1", "'-2")
    assert rows["corso-lodi"]["title"] == TITLE
    sites = {row["site"]: row for row in (await ask(client, "/v1/sites?", "json")).json()["data"]}
    assert sites["viale-bligny"]["title"] == "=1+1"
    assert sites["corso-lodi"]["title"] == TITLE


async def test_csv_in_pandas_and_polars(client: httpx.AsyncClient) -> None:
    """Times are UTC, values numbers, states and flags words; what is missing is missing."""
    content = (await ask(client, "/v1/datasets/charging/readings?", "csv")).content
    # Without `date_format`, pandas takes a column of times for text if only some of them have fractions of seconds.
    frame = pd.read_csv(io.BytesIO(content), parse_dates=["time"], date_format="ISO8601")
    assert str(frame["time"].dtype) == "datetime64[us, UTC]"
    assert frame["power"].dtype == float
    assert frame["status"].dropna().iloc[0] == "available"
    assert frame["session_energy"].isna().all()
    frame = pd.read_csv(io.BytesIO((await ask(client, "/v1/datasets/air_quality/readings?", "csv")).content))
    assert "pm10:out_of_range;late" in set(frame["flags"])
    parking = (await ask(client, "/v1/datasets/parking/readings?", "csv")).content
    frame = pd.read_csv(io.BytesIO(parking), parse_dates=["time"])
    assert frame["occupied"].dtype == bool
    assert str(frame["time"].dtype) == "datetime64[us, UTC]"
    table = pl.read_csv(content, try_parse_dates=True)
    assert table["time"].dtype == pl.Datetime("us", "UTC")
    assert table["power"].dtype == pl.Float64


async def test_parquet_in_pandas_and_polars(client: httpx.AsyncClient) -> None:
    """Types are those of the database, times know their zone."""
    content = (await ask(client, "/v1/datasets/charging/readings?", "parquet")).content
    frame = pd.read_parquet(io.BytesIO(content))
    assert str(frame["time"].dtype) == "datetime64[us, UTC]"
    assert (frame["power"].dtype, frame["energy"].dtype) == (np.float32, np.float64)
    table = pl.read_parquet(io.BytesIO(content))
    assert table["time"].dtype == pl.Datetime("us", "UTC")
    assert table["power"].dtype == pl.Float32
    assert table["status"].dtype == pl.String
    assert table["flags"].dtype == pl.List(pl.String)
    assert table["time"].to_list() == [time.to_pydatetime() for time in frame["time"]]
    table = pl.read_parquet(io.BytesIO((await ask(client, "/v1/datasets/parking/readings?", "parquet")).content))
    assert table["occupied"].dtype == pl.Boolean
    schema = parquet((await ask(client, "/v1/sites?", "parquet")).content).schema
    assert schema.field("devices").type == pa.int64()


async def test_parquet_tells_units_and_licence(client: httpx.AsyncClient) -> None:
    """Of each column its title and unit, of the file its licence; an answer without rows tells as much."""
    for dataset in ("noise", "indoor_climate"):
        path = f"/v1/datasets/{dataset}/readings?"
        schema = parquet((await ask(client, path, "parquet")).content).schema
        declared = DATASETS[dataset]
        assert schema.metadata[b"licence"].decode() == declared.licence
        assert schema.metadata[b"attribution"].decode() == declared.attribution
        assert schema.metadata[b"title"].decode() == declared.title
        for prop in declared.visible(Visibility.OPEN):
            told = schema.field(prop.name).metadata
            assert (told[b"title"].decode(), told[b"unit"].decode()) == (prop.title, prop.unit)


async def test_geojson_is_valid(client: httpx.AsyncClient) -> None:
    """A FeatureCollection by RFC 7946, with units and licence as foreign members."""
    body = (await ask(client, "/v1/datasets/parking/readings?limit=3", "geojson")).json()
    assert body["type"] == "FeatureCollection"
    assert body["licence"] == "CC-BY-4.0"
    assert body["attribution"]
    places = []
    for feature in body["features"]:
        assert feature.keys() == {"type", "geometry", "properties"}
        assert feature["type"] == "Feature"
        assert not {"lon", "lat"} & feature["properties"].keys()
        places.append(feature["geometry"])
    # One bay stands nowhere.
    assert None in places
    assert {"type": "Point", "coordinates": [9.2121, 45.4466]} in places
    noise = (await ask(client, "/v1/datasets/noise/readings?limit=1", "geojson")).json()
    assert noise["units"]["laeq"] == "dB(A)"


@pytest.mark.parametrize("path", ["/v1/datasets/parking/readings?limit=2", "/v1/devices?limit=5"])
async def test_geojson_comes_in_pages(client: httpx.AsyncClient, path: str) -> None:
    """`next` leads on until everything was told once."""
    everything = (await ask(client, path.partition("limit")[0], "geojson")).json()
    assert everything["next"] is None
    features, address = [], f"{path}&format=geojson"
    while address:
        body = (await client.get(address)).json()
        features += body["features"]
        address = body["next"]
    assert features == everything["features"]


@pytest.mark.parametrize(
    ("accept", "name"),
    [
        ("application/geo+json", "geojson"),
        ("application/geo+json, application/json;q=0.9", "geojson"),
        ("application/vnd.apache.parquet", "parquet"),
        ("application/x-ndjson", "ndjson"),
        ("application/*", "json"),
        ("application/json;q=0, application/*", "geojson"),
        ("text/csv, */*;q=0.1", "csv"),
    ],
)
async def test_accept_chooses(client: httpx.AsyncClient, accept: str, name: str) -> None:
    """Each format has a media type of its own."""
    response = await client.get("/v1/sites", headers={"Accept": accept})
    assert response.headers["content-type"] == choose(name, None).content_type
    assert "Accept" in response.headers["vary"]


@pytest.mark.parametrize("format_", FORMATS, ids=lambda f: f.name)
async def test_head_in_every_format(client: httpx.AsyncClient, format_: Any) -> None:
    """The same headers as GET, and no body."""
    response = await client.head(f"/v1/datasets/noise/readings?format={format_.name}")
    assert response.status_code == 200
    assert response.headers["content-type"] == format_.content_type
    assert response.content == b""


@pytest.mark.parametrize("format_", FORMATS, ids=lambda f: f.name)
async def test_what_fails_before_its_first_byte_is_an_error(
    client: httpx.AsyncClient, world: "World", format_: Any
) -> None:
    """The database gives up: a problem document with its status, whatever the format."""
    async with world.db.transaction():
        await world.db.execute("LOCK TABLE usp.traffic IN ACCESS EXCLUSIVE MODE")
        asking = client.get(f"/v1/datasets/traffic/readings?format={format_.name}")
        cancel = (
            "SELECT pg_cancel_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND wait_event_type = 'Lock'"
        )
        answer = asyncio.ensure_future(asking)
        while not answer.done():
            await world.db.fetch(cancel)
            await asyncio.sleep(0.02)
        response = await answer
    assert response.status_code == 503
    assert response.headers["content-type"] == "application/problem+json"
