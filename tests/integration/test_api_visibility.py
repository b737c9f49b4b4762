"""To one who may not see it, it does not exist."""

import io
import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import asyncpg
import httpx
import pyarrow.parquet  # type: ignore[import-untyped]
import pytest

from usp.api.representations import FORMATS
from usp.keys import create
from usp.models.datasets import DATASETS
from usp.models.device import KINDS

from tests.integration.conftest import DEVICES, HIDDEN, SITES  # isort: skip

if TYPE_CHECKING:
    from tests.integration.conftest import World

_FULL_HOUR = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
OPEN = [name for name in DATASETS if name != "device_health"]
LISTS = [
    "/v1/datasets",
    *(f"/v1/datasets/{name}" for name in OPEN),
    *(f"/v1/datasets/{name}/{what}" for name in OPEN for what in ("readings", "latest", "quality")),
    "/v1/devices",
    "/v1/sites",
    "/health/ingest",
    "/health/ready",
    "/openapi.json",
    *(
        f"/v1/devices/{name}{what}"
        for name in ("station-lodi", "bay-child-1", "meter-main", "lamp-corso-lodi-1")
        for what in ("", "/quality")
    ),
    "/v1/sites/corso-lodi",
]
#: Datasets in which everything is asked, and what is asked in all.
DEEP = ("air_quality", "charging", "device_health")
SHALLOW = {"properties", "where", "from", "bucket"}
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


# Below: every address there is, in every format, as everybody and with tokens.

#: Values that nothing open has: of a restricted device, of an ops device, and of hidden properties of open devices.
RESTRICTED_PM, OPS_PM, SOC, BATTERY = 313.37, 424.24, 97.31, 73.19
PLACE = (9.123457, 45.412347)
HIDDEN_TIME = "T01:17:43Z"

#: What only `read:restricted` and `ops` may find, and what only `ops`.
RESTRICTED_TRACES = (
    "lamp-hidden-1", "cp-hidden-3", "meter-hidden-flat", "room-hidden-1", "secret-garden", "Secret-Garden",
    "Zibaldone", str(RESTRICTED_PM), str(SOC), "soc", "soc_time", str(PLACE[0]), str(PLACE[1]), HIDDEN_TIME,
)  # fmt: skip
OPS_TRACES = ("lamp-ops-1", "Quokka", str(OPS_PM), str(BATTERY), "device_health", "battery", "silent_devices")

#: The views' own numbers of devices are nobody's business.
NEVER = ("device_id", "site_id", "parent_id")


@pytest.fixture(scope="module")
async def seeded(world: "World") -> "World":
    """The city with unmistakable values in what is hidden, all of them within the last day."""
    await world.db.execute("UPDATE usp.device SET title = 'Zibaldone' WHERE name = 'lamp-hidden-1'")
    await world.db.execute("UPDATE usp.device SET title = 'Quokka' WHERE name = 'lamp-ops-1'")
    await world.db.execute(
        "UPDATE usp.placement SET lon = $2, lat = $3 WHERE device = $1", world.ids["room-hidden-1"], *PLACE
    )
    await world.put("air_quality", "lamp-hidden-1", 59, pm2_5=10.1, pm10=RESTRICTED_PM)
    await world.put("air_quality", "lamp-hidden-1", 58.5, pm10=RESTRICTED_PM)
    await world.put("air_quality", "lamp-ops-1", 58.5, pm10=OPS_PM)
    await world.put("charging", "cp-lodi-1", 6, soc=SOC)
    await world.put("device_health", "lamp-corso-lodi-1", 7, battery=BATTERY)
    # Older than any window asked for, newest of its dataset: only an extent or a `last_event` could tell.
    await world.db.execute(
        "UPDATE usp.indoor_climate_latest SET temperature_time = date_trunc('day', temperature_time) "
        "+ interval '1 hour 17 minutes 43 seconds'"
    )
    return world


async def everything(client: httpx.AsyncClient, headers: dict[str, str]) -> dict[str, str]:
    """Every GET route of the documentation with every name, format and way to ask -> status, headers and body."""
    document = (await client.get("/openapi.json")).json()
    names = {"dataset": list(DATASETS), "device": list(DEVICES), "site": list(SITES), "rejection": ["1"]}
    addresses = ["/", "/docs", "/openapi.json", "/metrics", "/v1/devices/lamp-hidden-2", "/v1/datasets/device_healt"]
    for path, operations in document["paths"].items():
        if path == "/v1/stream":
            continue  # never ends: test_stream
        if list(operations) == ["post"]:
            answer = await client.post(path, headers=headers, json={})
            assert answer.status_code in {401, 403, 501}, "without operations nothing is done"
            continue
        assert list(operations) == ["get"], "another method: walk it too"
        found = re.search(r"{(\w+)}", path)
        filled = [path.replace(found[0], name) for name in names[found[1]]] if found else [path]
        known = {parameter["name"] for parameter in operations["get"]["parameters"]}
        for address in filled:
            # Names and places are understood in one way for all datasets.
            deep = "/datasets/" not in address or any(f"/{name}" in address for name in DEEP)
            addresses += [f"{address}{query}" for query in _queries(known if deep else known & SHALLOW)]
    answers = {}
    for address in addresses:
        response = await client.get(address, headers=headers)
        told = "\n".join(f"{name}: {value}" for name, value in response.headers.items())
        answers[address] = f"{response.status_code}\n{told}\n{_unpacked(response)}"
    return answers


def _unpacked(response: httpx.Response) -> str:
    """What an answer tells, as text."""
    if response.headers.get("content-type") != "application/vnd.apache.parquet":
        return response.text
    table = pyarrow.parquet.read_table(io.BytesIO(response.content))
    return f"{table.schema}\n{table.to_pylist()}"


def _queries(known: set[str]) -> list[str]:
    """Each way to ask, as far as the address takes it."""
    asked = {
        "device": [*HIDDEN, "lamp-hidden-x", "bay-child-1", "station-lodi"],
        "site": ["secret-garden", "secret-gardem", "corso-lodi"],
        "kind": ["indoor_sensor"],
        "category": ["dwelling"],
        "near": ["9.2,45.4,100", f"{PLACE[0]},{PLACE[1]},10"],
        "where": ["soc:97.31", "pm10:313.37", "pm10:424.24", "battery:73.19"],
        "properties": ["soc", "battery", "socc", "batery"],
    }
    ways = ["", *(f"{name}={value}" for name, values in asked.items() if name in known for value in values)]
    # Of a past that is the same each time it is asked for.
    day = f"from={_FULL_HOUR - timedelta(days=1):%Y-%m-%dT%H:00:00Z}&to={_FULL_HOUR:%Y-%m-%dT%H:00:00Z}"
    if "from" in known:
        ways.append(day)
    if "bucket" in known:
        ways += [f"{way}&{day}" for way in ("bucket=whole", "bucket=1h&by=site", "bucket=1h&by=all")]
    # The rows are the same in every format: that much is looked at once.
    return [f"?format=json&{way}" for way in ways] + [f"?format={f.name}" for f in FORMATS]


def _traces(answers: dict[str, str], wanted: tuple[str, ...]) -> dict[str, list[str]]:
    """Trace -> the addresses at which it was found, what was asked itself left out."""
    found: dict[str, list[str]] = {}
    for address, text in answers.items():
        asked = re.findall(r"[\w.-]+", address)
        # Among the process's own durations any digits may turn up.
        told = re.sub(r"^(process_|usp_http_request_seconds_sum).*$", "", text, flags=re.MULTILINE)
        for trace in wanted:
            # Whoever names a hidden thing reads that name in "there is no device …": it told itself.
            if trace not in asked and re.search(_whole(trace), told):
                found.setdefault(trace, []).append(address)
    return found


def _whole(trace: str) -> str:
    # A time follows its date; a word may begin a longer one (device_health_latest), but for the short `soc`.
    before = "" if trace == HIDDEN_TIME else r"(?<![\w.])"
    after = r"(?!\w)" if trace == "soc" or trace[0].isdigit() else ""
    return before + re.escape(trace) + after


@pytest.mark.timeout(240)
async def test_every_address_in_every_format_keeps_every_secret(client: httpx.AsyncClient, seeded: "World") -> None:
    """Strangers find nothing; each scope finds its own, and all of it, so that the traces are the right ones."""
    restricted = {"Authorization": f"Bearer {await create(seeded.db, 'walk-restricted', ['read:restricted'])}"}
    ops = {"Authorization": f"Bearer {await create(seeded.db, 'walk-ops', ['ops'])}"}
    as_everybody = await everything(client, {})
    as_restricted = await everything(client, restricted)
    as_ops = await everything(client, ops)
    assert len(as_everybody) > 500
    assert _traces(as_everybody, (*RESTRICTED_TRACES, *OPS_TRACES, *NEVER)) == {}
    assert _traces(as_restricted, (*OPS_TRACES, *NEVER)) == {}
    assert _traces(as_restricted, RESTRICTED_TRACES).keys() == set(RESTRICTED_TRACES)
    assert _traces(as_ops, (*RESTRICTED_TRACES, *OPS_TRACES)).keys() == {*RESTRICTED_TRACES, *OPS_TRACES}
    assert _traces(as_ops, NEVER) == {}


async def test_a_hidden_device_more_changes_no_answer(client: httpx.AsyncClient, seeded: "World") -> None:
    """Neither a row nor a count nor an extent: to the letter the same, but for how the platform itself is doing."""
    token = await create(seeded.db, "differs", ["ops"])
    before = await everything(client, {})
    seen_before = await everything(client, {"Authorization": f"Bearer {token}"})
    for visibility in ("restricted", "ops"):
        await _hidden_twin(seeded, visibility)
    after = await everything(client, {})
    seen_after = await everything(client, {"Authorization": f"Bearer {token}"})
    # The quality of the running day is another from second to second.
    lasting = [address for address in before if "/quality" not in address or "from=" in address]
    changed = {address for address in lasting if _steady(before[address]) != _steady(after[address])}
    # These tell the times at which they were asked, and how this process is doing.
    assert {address.split("?")[0] for address in changed} <= {"/metrics", "/openapi.json"}
    devices = [
        [line for line in told["/metrics"].splitlines() if line.startswith("usp_devices")]
        for told in (before, after, seen_before, seen_after)
    ]
    assert devices[0] == devices[1]
    assert devices[2] != devices[3]
    for address in ("/v1/devices?format=json&", "/v1/sites?format=json&", "/v1/datasets/noise/latest?format=csv"):
        assert seen_before[address] != seen_after[address]


def _steady(text: str) -> str:
    """An answer without what time alone changes: cursors name the window that was asked for."""
    return re.sub(r'cursor=[\w.-]+|"age_s":[\d.]+|(etag|content-length): \S+', "", text)


async def _hidden_twin(world: "World", visibility: str) -> None:
    """A device that is older, newer, and louder than all others, and stands where open ones do."""
    name = f"twin-{visibility}"
    world.ids[name] = await world.db.fetchval(
        "INSERT INTO usp.device (name, kind, profile, visibility, parent) "
        "SELECT $1, 'lamppost', 'test-lamppost', $2, id FROM usp.device WHERE name = 'station-lodi' RETURNING id",
        name, visibility,
    )  # fmt: skip
    await world.place(name, "corso-lodi", None, None)
    for step in (-3000, 30, 59.9):
        await world.put("air_quality", name, step, pm2_5=999.0)
        await world.put("noise", name, step, laeq=139.0, lafmax=140.0)
        await world.put("weather", name, step, temperature=59.0)


async def test_tokens_see_what_is_hidden(client: httpx.AsyncClient, seeded: "World") -> None:
    """The same addresses, with hidden datasets, properties, devices and relatives in their places."""
    restricted = {"Authorization": f"Bearer {await create(seeded.db, 'sees', ['read:restricted'])}"}
    ops = {"Authorization": f"Bearer {await create(seeded.db, 'sees-ops', ['ops'])}"}
    charging = (await client.get("/v1/datasets/charging", headers=restricted)).json()
    assert charging["properties"][-1]["name"] == "soc"
    body = (await client.get("/v1/datasets/charging/readings?where=soc:97.31", headers=restricted)).json()
    assert [row["device"] for row in body["data"]] == ["cp-lodi-1"]
    station = (await client.get("/v1/devices/station-lodi", headers=restricted)).json()
    assert "cp-hidden-3" in station["children"]
    child = (await client.get("/v1/devices/bay-child-1", headers=restricted)).json()
    assert child["parent"] == "lamp-hidden-1"
    near = (await client.get("/v1/devices/lamp-hidden-2", headers=restricted)).json()
    assert near["suggestion"] == "lamp-hidden-1"
    health = (await client.get("/v1/datasets/device_health/latest", headers=ops)).json()["data"]
    assert [(row["device"], row["battery"]) for row in health] == [("lamp-corso-lodi-1", BATTERY)]
    lamp = (await client.get("/v1/devices/lamp-corso-lodi-1", headers=ops)).json()
    assert lamp["datasets"][-1]["dataset"] == "device_health"


async def test_the_database_itself_keeps_the_readers_apart(seeded: "World") -> None:
    """Whatever the API asked, each role can read the views of its own schema and nothing else."""
    for role, own in (("usp_open", "open"), ("usp_restricted", "restricted"), ("usp_ops", "ops")):
        for schema in ("usp", "open", "restricted", "ops"):
            async with seeded.db.transaction():
                await seeded.db.execute(f"SET LOCAL ROLE {role}")
                if schema == own:
                    assert await seeded.db.fetchval(f"SELECT count(*) FROM {schema}.device")
                    continue
                with pytest.raises(asyncpg.InsufficientPrivilegeError):
                    async with seeded.db.transaction():
                        await seeded.db.fetch(f"SELECT FROM {schema}.device")
