"""Readings and newest values as a stranger gets them."""

import csv
import io
from typing import TYPE_CHECKING, Any

import httpx
import pytest

if TYPE_CHECKING:
    from tests.integration.conftest import World

AIR = "/v1/datasets/air_quality/readings"


async def get(client: httpx.AsyncClient, path: str, **params: Any) -> Any:
    """The JSON of an answer that is well."""
    names = {name.rstrip("_"): value for name, value in params.items()}
    response = await client.get(path, params=names)
    assert response.status_code == 200, response.text
    return response.json()


async def test_without_a_window_the_last_24_hours_are_shown(client: httpx.AsyncClient, world: "World") -> None:
    """Without `from` and `to`: the last 24 hours, ordered by time and device."""
    body = await get(client, AIR)
    assert len(body["data"]) == 121
    assert body["next"] is None
    first = body["data"][0]
    assert first == {
        "time": world.text(0),
        "device": "lamp-corso-lodi-1",
        "site": "viale-bligny",
        "lon": 9.1917,
        "lat": 45.451,
        "pm2_5": 10.1,
        "no2": 0.0,
        "flags": [],
    }


async def names(client: httpx.AsyncClient, path: str, **params: Any) -> set[str]:
    """The devices that an answer shows."""
    return {row["device"] for row in (await get(client, path, **params))["data"]}


async def test_a_window_is_half_open(client: httpx.AsyncClient, world: "World") -> None:
    """`from` is in, `to` is out."""
    body = await get(client, AIR, from_=world.text(2), to=world.text(4))
    assert [row["time"] for row in body["data"]] == [world.text(2)] * 2 + [world.text(3)] * 2


async def test_one_bound_is_enough(client: httpx.AsyncClient, world: "World") -> None:
    """`from` alone goes on until now; `to` alone has the 24 hours before it."""
    assert len((await get(client, AIR, from_=world.text(59)))["data"]) == 3
    assert len((await get(client, AIR, to=world.text(1)))["data"]) == 2


async def test_times_are_understood_with_any_offset(client: httpx.AsyncClient, world: "World") -> None:
    """An offset counts, also when its plus sign has become a space."""
    zulu = await get(client, AIR, from_=world.text(2), to=world.text(4))
    for shown in ("+", " "):
        start, end = (world.at(i).isoformat().replace("+", shown) for i in (2, 4))
        assert await get(client, AIR, from_=start, to=end) == zulu


async def test_each_row_has_the_place_of_its_own_time(client: httpx.AsyncClient, world: "World") -> None:
    """A lamppost that was moved leaves its old readings where they were."""
    rows = (await get(client, AIR, device="lamp-corso-lodi-1"))["data"]
    assert [row["site"] for row in rows[:7]] == ["viale-bligny"] * 6 + ["corso-lodi"]
    assert rows[6]["lon"] == 9.2121
    there = (await get(client, AIR, device="lamp-corso-lodi-1", site="viale-bligny"))["data"]
    assert [row["time"] for row in there] == [world.text(i) for i in range(6)]


@pytest.mark.parametrize(
    "place",
    [
        {"site": "corso-lodi"},
        {"bbox": "9.2120,45.4465,9.2122,45.4467"},
        {"near": "9.2121,45.4466,20"},
    ],
)
async def test_places_go_by_the_time_of_the_reading(
    client: httpx.AsyncClient, world: "World", place: dict[str, str]
) -> None:
    """Site, box and circle all mean where the device stood then."""
    rows = (await get(client, AIR, **place))["data"]
    assert {row["device"] for row in rows} == {"lamp-corso-lodi-1"}
    assert rows[0]["time"] == world.text(6)
    assert len(rows) == 55


async def test_a_box_may_cross_the_antimeridian(client: httpx.AsyncClient) -> None:
    """West of its east, a box goes the other way round."""
    assert await names(client, AIR, bbox="170,-80,10,80") == {"lamp-corso-lodi-1", "lamp-viale-bligny-1"}
    assert await names(client, AIR, bbox="10,-80,170,80") == set()


async def test_near_is_a_distance_on_the_ground(client: httpx.AsyncClient) -> None:
    """From Corso Lodi to Viale Bligny it is 1,665 metres."""
    assert await names(client, AIR, near="9.2121,45.4466,1600") == {"lamp-corso-lodi-1"}
    assert len(await names(client, AIR, near="9.2121,45.4466,1700")) == 2


async def test_kind_and_category_choose_devices(client: httpx.AsyncClient) -> None:
    """Lists by comma; a kind that does not report the dataset has no rows."""
    assert await names(client, "/v1/datasets/charging/readings", category="fast") == {"cp-lodi-1"}
    assert len(await names(client, "/v1/datasets/charging/readings", category="fast,normal")) == 2
    assert await names(client, AIR, kind="parking_sensor") == set()
    assert len(await names(client, AIR, kind="parking_sensor,lamppost")) == 2


async def test_a_parent_stands_for_its_children(client: httpx.AsyncClient) -> None:
    """A station selects its points, without those that are hidden."""
    path = "/v1/datasets/charging/readings"
    assert await names(client, path, device="station-lodi") == {"cp-lodi-1", "cp-lodi-2"}
    assert await names(client, path, device="cp-lodi-2,cp-lodi-1") == {"cp-lodi-1", "cp-lodi-2"}
    assert await names(client, path, device="cp-lodi-2") == {"cp-lodi-2"}


@pytest.mark.parametrize(
    ("dataset", "where", "count"),
    [
        ("air_quality", "pm2_5:10.1", 60),
        ("air_quality", "pm2_5:1.01e1,no2:5", 1),
        ("air_quality", "pm2_5:99", 0),
        ("parking", "occupied:true", 6),
        ("charging", "status:charging", 2),
        ("charging", "energy:1000.125", 8),
        ("energy", "active_power:-4200.5", 1),
    ],
)
async def test_where_compares_as_stored(client: httpx.AsyncClient, dataset: str, where: str, count: int) -> None:
    """12.1 finds the single-precision number that was stored for it."""
    body = await get(client, f"/v1/datasets/{dataset}/readings", where=where)
    assert len(body["data"]) == count


async def test_properties_choose_columns_and_rows(client: httpx.AsyncClient) -> None:
    """A reading without any of the asked values is left out, and so are flags of others."""
    (row,) = (await get(client, AIR, properties="pm10"))["data"]
    assert row["pm10"] == 1840.0
    assert row["flags"] == ["pm10:out_of_range", "late"]
    assert "no2" not in row
    rows = (await get(client, AIR, properties="no2", device="lamp-corso-lodi-1"))["data"]
    assert rows[-1]["flags"] == ["late"]
    assert len(rows) == 61


async def test_interval_datasets_carry_their_period(client: httpx.AsyncClient) -> None:
    """Noise is measured over ten minutes here."""
    body = await get(client, "/v1/datasets/noise/readings", limit=1)
    assert body["data"][0]["period"] == 600.0


async def test_bottom_coded_counts_say_so(client: httpx.AsyncClient) -> None:
    """A count too small to be told is 0 and flagged; the time was the arrival's."""
    (row,) = (await get(client, "/v1/datasets/wifi/readings"))["data"]
    assert row["flags"] == ["clients:bottom_coded", "time:arrival"]
    assert row["rx_bytes"] == 123456789012.0


@pytest.mark.parametrize("order", ["asc", "desc"])
async def test_pages_show_every_row_once(client: httpx.AsyncClient, world: "World", order: str) -> None:
    """Following `next` gives what one large page gives, while new readings come in."""
    whole = (await get(client, AIR, order=order))["data"]
    assert whole == sorted(whole, key=lambda r: (r["time"], r["device"]), reverse=order == "desc")
    body = await get(client, AIR, order=order, limit=7)
    rows, pages = body["data"], 1
    while body["next"]:
        await world.put("air_quality", "lamp-viale-bligny-1", 60 + pages * 0.1 + (order == "desc"), no2=1.0)
        response = await client.get(body["next"])
        body = response.json()
        rows, pages = rows + body["data"], pages + 1
    assert pages >= 18
    shown = [(row["time"], row["device"]) for row in rows]
    assert len(set(shown)) == len(shown)
    assert [row for row in rows if row in whole] == whole
    await world.db.execute("DELETE FROM usp.air_quality WHERE time > $1", world.end)


async def test_a_page_keeps_its_window(client: httpx.AsyncClient, world: "World") -> None:
    """The window of the first page is the window of all, also where it was "the last 24 hours"."""
    body = await get(client, AIR, limit=100, from_=world.text(0))
    response = await client.get(body["next"])
    assert len(response.json()["data"]) == 21
    assert response.json()["next"] is None
    moved = await client.get(body["next"].replace("from=", "to="))
    assert moved.status_code == 400


async def test_a_cursor_belongs_to_its_query(client: httpx.AsyncClient) -> None:
    """Another dataset, order or filter is another query; another page size or format is not."""
    following = (await client.get(f"{AIR}?order=asc&kind=lamppost&from=2020-01-01&limit=5")).json()["next"]
    for part, other in (
        ("air_quality", "noise"),
        ("/readings", "/latest"),
        ("order=asc", "order=desc"),
        ("kind=lamppost", "where=no2:1"),
        ("from=2020-01-01", "from=2020-01-02"),
        ("order=asc&", ""),
        ("?", "?properties=no2&"),
    ):
        assert part in following
        refused = await client.get(following.replace(part, other))
        assert refused.status_code == 400
        if part != "/readings":  # where `from` is unknown
            assert refused.json()["parameter"] == "cursor"
            assert "another query" in refused.json()["detail"]
    rows = (await client.get(following)).json()["data"]
    assert (await client.get(following.replace("limit=5", "limit=3"))).json()["data"] == rows[:3]
    assert (await client.get(following + "&format=csv")).text.count("\n") == 6
    devices = (await client.get("/v1/devices?limit=1")).json()["next"]
    assert (await client.get(devices)).status_code == 200
    assert (await client.get(devices.replace("/devices", "/sites"))).json()["parameter"] == "cursor"


async def test_a_full_last_page_has_no_next(client: httpx.AsyncClient) -> None:
    """`next` is given only where there is more."""
    assert (await get(client, AIR, limit=121))["next"] is None
    assert (await get(client, AIR, limit=120))["next"] is not None


async def in_csv(client: httpx.AsyncClient, path: str, **params: Any) -> list[dict[str, str]]:
    """The rows of the same answer as CSV."""
    params = {name.rstrip("_"): value for name, value in params.items()}
    response = await client.get(path, params=params | {"format": "csv"})
    assert response.status_code == 200, response.text
    assert response.headers["content-type"].startswith("text/csv")
    return list(csv.DictReader(io.StringIO(response.text)))


def as_csv(row: dict[str, Any]) -> dict[str, str]:
    """A JSON row as CSV should show it."""

    def text(value: Any) -> str:
        if isinstance(value, list):
            return ";".join(value)
        if isinstance(value, bool):
            return str(value).lower()
        return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)

    return {name: text(value) for name, value in row.items()}


@pytest.mark.parametrize(
    ("dataset", "path"),
    [
        (dataset, path)
        for dataset in ("air_quality", "noise", "wifi", "parking", "charging", "energy")
        for path in ("readings", "latest")
    ],
)
async def test_csv_and_json_agree(client: httpx.AsyncClient, dataset: str, path: str) -> None:
    """Both formats show the same values under the same names."""
    address = f"/v1/datasets/{dataset}/{path}"
    rows = (await get(client, address))["data"]
    assert rows
    table = await in_csv(client, address)
    assert [{k: v for k, v in row.items() if v} for row in table] == [
        {k: v for k, v in as_csv(row).items() if v} for row in rows
    ]


async def test_csv_has_every_column(client: httpx.AsyncClient) -> None:
    """Also of properties that nobody reported."""
    table = await in_csv(client, "/v1/datasets/noise/readings", limit=2)
    assert list(table[0]) == [
        *("time", "device", "site", "lon", "lat", "period"),
        *("laeq", "lafmax", "lafmin", "la10", "la50", "la90", "flags"),
    ]
    assert len(table) == 2
    empty = await client.get("/v1/datasets/indoor_climate/readings?format=csv")
    assert empty.text.strip() == "time,device,site,lon,lat,temperature,humidity,co2,flags"


async def test_accept_chooses_too(client: httpx.AsyncClient) -> None:
    """`format=` goes before `Accept`, and what nobody can write is refused."""
    response = await client.get(AIR, headers={"Accept": "text/csv;q=0.9, application/json;q=0.1"})
    assert response.headers["content-type"].startswith("text/csv")
    response = await client.get(AIR, headers={"Accept": "text/csv"}, params={"format": "json"})
    assert response.headers["content-type"] == "application/json"
    response = await client.get(AIR, headers={"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"})
    assert response.headers["content-type"] == "application/json"
    response = await client.get(AIR, headers={"Accept": "image/png"})
    assert response.status_code == 406
    assert response.headers["content-type"] == "application/problem+json"


async def test_fractions_are_kept_where_there_are_any(client: httpx.AsyncClient, world: "World") -> None:
    """A time with milliseconds is shown with them, in both formats, and pages go on after it."""
    for number in (1, 2, 3):
        await world.put("lighting", "lamp-corso-lodi-1", number * 0.0002, power=1e-7, lit=False)
    path = "/v1/datasets/lighting/readings"
    body = await get(client, path, limit=1)
    assert body["data"][0]["time"].endswith(":00.12Z")
    second = (await client.get(body["next"])).json()
    assert second["data"][0]["time"].endswith(":00.24Z")
    table = await in_csv(client, path)
    assert [row["time"][-7:] for row in table] == [":00.12Z", ":00.24Z", ":00.36Z"]
    assert table[0]["lit"] == "false"
    assert table[0]["power"] == "1e-07"


class TestLatest:
    """The newest value of each property."""

    async def test_each_value_has_its_own_time(self, client: httpx.AsyncClient, world: "World") -> None:
        """The newest pm2_5 is older than the newest no2; `time` is the newest of those asked for."""
        path = "/v1/datasets/air_quality/latest"
        row, other = (await get(client, path))["data"]
        assert row == {
            "device": "lamp-corso-lodi-1",
            "time": world.text(59.5),
            "site": "corso-lodi",
            "lon": 9.2121,
            "lat": 45.4466,
            "pm2_5": 10.1,
            "pm2_5_time": world.text(59),
            "pm10": 1840.0,
            "pm10_time": world.text(59.5),
            "no2": 77.7,
            "no2_time": world.text(59.5),
            "flags": ["pm10:out_of_range", "late"],
        }
        assert other["device"] == "lamp-viale-bligny-1"
        (asked,) = (await get(client, path, device="lamp-corso-lodi-1", properties="pm2_5"))["data"]
        assert asked["time"] == world.text(59)
        assert asked["flags"] == []

    async def test_intervals_and_small_counts(self, client: httpx.AsyncClient) -> None:
        """The newest value's period and flags are shown."""
        (row,) = (await get(client, "/v1/datasets/noise/latest"))["data"]
        assert row["period"] == 600.0
        (row,) = (await get(client, "/v1/datasets/wifi/latest"))["data"]
        assert row["flags"] == ["clients:bottom_coded", "time:arrival"]

    async def test_the_place_is_the_present_one(self, client: httpx.AsyncClient) -> None:
        """A moved lamppost is found where it stands, not where it stood."""
        path = "/v1/datasets/air_quality/latest"
        assert await names(client, path, site="viale-bligny") == {"lamp-viale-bligny-1"}
        assert await names(client, path, near="9.2121,45.4466,20") == {"lamp-corso-lodi-1"}

    async def test_retired_devices_are_left_out(self, client: httpx.AsyncClient) -> None:
        """What is no longer there has no newest value; its readings stay."""
        assert await names(client, "/v1/datasets/parking/latest") == {"bay-child-1", "bay-corso-lodi-1"}
        assert "bay-retired-1" in await names(client, "/v1/datasets/parking/readings")

    async def test_values_choose_devices(self, client: httpx.AsyncClient) -> None:
        """Only those whose newest value is the one asked for."""
        path = "/v1/datasets/charging/latest"
        assert len(await names(client, path, where="status:finishing")) == 2
        assert await names(client, path, where="status:charging") == set()

    async def test_pages(self, client: httpx.AsyncClient) -> None:
        """By device, one at a time."""
        body = await get(client, "/v1/datasets/air_quality/latest", limit=1)
        assert [row["device"] for row in body["data"]] == ["lamp-corso-lodi-1"]
        body = (await client.get(body["next"])).json()
        assert [row["device"] for row in body["data"]] == ["lamp-viale-bligny-1"]
        assert body["next"] is None
