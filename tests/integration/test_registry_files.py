"""Lists of devices and sites come from spreadsheets and maps, are tried first, and go out as they came in."""

import time
from pathlib import Path
from typing import Any

import orjson
import pytest

from usp.errors import ListError
from usp.registry.columns import DEVICES, SITES
from usp.registry.files import read_records

SITES_CSV = "name,title,address,lon,lat,approximate\nsquare,Square,,9.2,45.4,true\npark,Park,Via Verde 1,9.21,45.41,\n"


@pytest.fixture
async def empty(db: Any) -> Any:
    """A registry with nothing in it."""
    await db.execute("TRUNCATE usp.device, usp.site, usp.placement, usp.device_address, usp.rejection CASCADE")
    return db


def written(folder: Path, name: str, content: str | bytes) -> Path:
    """A file with that content."""
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


# Reading


@pytest.mark.parametrize(
    "content",
    [
        "\ufeffName;Title;Lon;Lat;Approximate\r\nsquare;Piazza; 9,2 ;45,4;VERO\r\n;;;;\r\n\r\n",
        "sep=;\r\nname;title;lon;lat;approximate\r\nsquare;Piazza;9,2;45,4;TRUE\r\n",
        'name,title,lon,lat,approximate,\n"square","Piazza","9,2","45.4",true,\n,,,,,\n',
        "name\ttitle\tlon\tlat\tapproximate\nsquare\tPiazza\t9.2\t45.4\t1\n".encode("utf-16"),
        orjson.dumps({
            "type": "FeatureCollection",
            "crs": {"type": "name", "properties": {"name": "urn:ogc:def:crs:OGC:1.3:CRS84"}},
            "features": [{
                "type": "Feature", "geometry": {"type": "Point", "coordinates": [9.2, 45.4, 120]},
                "properties": {"name": "square", "title": "Piazza", "approximate": True, "address": None},
            }],
        }),
    ],
    ids=["semicolons", "sep", "quoted", "utf-16", "geojson"],
)  # fmt: skip
def test_a_spreadsheet_may_write_as_it_likes(here: Path, content: str | bytes) -> None:
    """Byte order mark, semicolons, decimal comma, quotation marks, empty lines and columns do no harm."""
    path = written(
        here, "sites.geojson" if isinstance(content, bytes) and content[:1] == b"{" else "sites.csv", content
    )
    (record,) = read_records(path, SITES)
    assert record.mistakes == ()
    assert record.values == {"name": "square", "title": "Piazza", "lon": 9.2, "lat": 45.4, "approximate": True}


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("d.csv", "name,devEUI,lattitude\n", "'deveui' is not known, did you mean 'address'.*'lattitude'.*mean 'lat'"),
        ("d.csv", "longitude,name\n", "'longitude' is not known, did you mean 'lon'\\?$"),
        ("d.csv", "name,kind,kind\n", "column 'kind' is there twice\\.$"),
        ("d.csv", "kind,profile\n", "there is no column 'name'"),
        ("d.csv", "", "is empty; its first line names the columns"),
        (
            "d.csv",
            "name,title\nx1,Citt\xe0\n".encode("latin-1"),
            "line 2: this is not UTF-8; save the file as 'CSV UTF-8'",
        ),
        ("d.csv", 'name,title\nx1,"open\nx2,b\n', "line 2: .* is a quotation mark not closed"),
        ("d.xlsx", b"PK", "save the sheet as 'CSV UTF-8'"),
        ("d.dat", "", "its name tells no format"),
        ("d.geojson", "{", "line 1, column"),
        ("d.geojson", "[]", "no FeatureCollection"),
        (
            "d.geojson",
            '{"type":"FeatureCollection","crs":{"properties":{"name":"urn:ogc:def:crs:EPSG::32632"}},"features":[]}',
            "EPSG::32632'; export them as WGS 84",
        ),
        (
            "d.json",
            '{"type":"FeatureCollection","features":[{"type":"Feature","properties":{"name":"x1","fid":7}}]}',
            "column 'fid' is not known",
        ),
    ],
)
def test_a_file_that_cannot_be_read_is_told_why(here: Path, name: str, content: str | bytes, message: str) -> None:
    """What is wrong with all of it, and what would be right."""
    with pytest.raises(ListError, match=message) as refused:
        read_records(written(here, name, content), DEVICES)
    assert str(refused.value).startswith(f"The file is no list of devices or sites. {here / name}")


# Importing

WRONG = """\
name,kind,profile,category,site,lon,lat,visibility,address,since,parent
bay-1,parking_sensor,,disabled,square,,,,,,
Bay 2,parking,,,,9.2,95,public,A84041,,
bay-3,,bosch-tps11,,sqare,9.2,,,,2025-03-01,bay-33

bay-1,parking_sensor,,,,,,,,,
bay-4,lamppost,native-parking-sensor,,,,,,,,bay-4
bay-5,,,,,,,,,,,extra
bay-6,energy_meter,,dwelling,,,,open,,,
bay-7,parking_sensor,,,,,,,a84041ffff000001,,
bay-8,parking_sensor,,,,,,,A8-40-41-FF-FF-00-00-01,,
"""
MISTAKES = {
    "line 3": ["name: device 'Bay 2' is no identifier", "kind: kind 'parking' is none of",
               "visibility: 'public' is none", "lat: lon 9.2, lat 95 is no position; are they swapped?"],
    "line 4": ["profile: there is no profile 'bosch-tps11', did you mean 'bosch-tps110'",
               "lat: lon and lat go together", "site: there is no site 'sqare', did you mean 'square'?",
               "since: '2025-03-01' has no offset",
               "parent: there is no device 'bay-33' to be its parent, did you mean 'bay-3'"],
    "line 6": ["name: line 2 is about bay-1 as well"],
    "line 7": ["profile: native-parking-sensor is for a parking_sensor, and this is a lamppost",
               "parent: a device cannot be a part of itself"],
    "line 8": ["row: more fields than the header names: 'extra'", "kind: kind is missing"],
    "line 9": ["visibility: a dwelling's device may be restricted or ops, never open"],
    "line 11": ["address: a84041ffff000001 is the address of bay-7"],
}  # fmt: skip


async def test_every_mistake_of_every_row_is_told(empty: Any, usp: Any, here: Path) -> None:
    """Not the first one only; nothing of the list is written, and the dry run says the same."""
    await usp("sites", "import", written(here, "sites.csv", SITES_CSV))
    path = written(here, "devices.csv", WRONG)
    status, output = await usp("devices", "import", path, "--dry-run")
    rows = dict(line.split("\t", 1) for line in output.splitlines() if line.startswith("line "))
    assert status == 1
    assert {where for where, row in rows.items() if "\trefused\t" in row} == set(MISTAKES)
    for where, texts in MISTAKES.items():
        for text in texts:
            assert text in rows[where]
    assert "devices: would be 2 added, 7 refused; 0 unchanged." in output
    status, output = await usp("devices", "import", path)
    assert status == 1
    assert sum(map(len, MISTAKES.values())) == sum("devices.csv, line " in line for line in output.splitlines())
    assert "devices: would be 2 added, 7 refused; 0 unchanged.\n7 rows are refused; nothing was written." in output
    assert await empty.fetchval("SELECT count(*) FROM usp.device") == 0


async def test_a_dry_run_says_row_by_row_what_would_happen(empty: Any, usp: Any, here: Path) -> None:
    """It is the import itself, taken back: afterwards the import does exactly that."""
    sites = written(here, "sites.csv", SITES_CSV)
    assert (await usp("sites", "import", sites))[1] == "sites: 2 added; 0 unchanged.\n"
    first = "name,kind,site,lon,lat,title,address\n" + "".join(
        f"bay-{n},parking_sensor,square,9.2,45.4,Bay {n},a84041ffff00000{n}\n" for n in range(1, 6)
    )
    assert (await usp("devices", "import", written(here, "d.csv", first)))[0] == 0
    second = written(here, "d.csv", (
        "name,title,site,lon,lat,address,profile\n"
        "bay-1,Bay one,square,9.2,45.4,,\n"
        "bay-2,,park,,,,\n"
        "bay-3,,,,,a8-40-41-ff-ff-00-00-33,\n"
        "bay-4,,,,,,\n"
        "bay-6,Six,,9.3,45.3,,native-parking-sensor\n"
    ))  # fmt: skip
    expected = (
        "where\tname\twhat\tdetail\n"
        "line 2\tbay-1\tchanged\ttitle: 'Bay 1' -> 'Bay one'\n"
        "line 3\tbay-2\tmoved\tsite: square -> park; lon: 9.2 -> nothing; lat: 45.4 -> nothing\n"
        "line 4\tbay-3\tswapped\taddress: a84041ffff000003 -> a84041ffff000033\n"
        "line 5\tbay-4\tunchanged\t\n"
        "line 6\tbay-6\tadded\t\n"
        "devices: would be 1 added, 1 changed, 1 moved, 1 swapped; 1 unchanged.\n"
        "Nothing was written. Devices that are not in the file stay as they are.\n"
    )
    assert await usp("devices", "import", second, "--dry-run") == (0, expected)
    assert await usp("devices", "import", second, "--dry-run") == (0, expected)
    done = "devices: 1 added, 1 changed, 1 moved, 1 swapped; 1 unchanged.\n"
    assert await usp("devices", "import", second) == (0, done)
    assert await usp("devices", "import", second) == (0, "devices: nothing to do; 5 unchanged.\n")
    assert await empty.fetchval("SELECT count(*) FROM usp.device") == 6


async def test_an_empty_cell_leaves_what_is_there_and_a_dash_takes_it_out(empty: Any, usp: Any, here: Path) -> None:
    """A spreadsheet with a few columns cannot open what was restricted."""
    await usp("devices", "import", written(here, "d.csv", (
        "name,kind,category,title,visibility,parent\nbay-1,parking_sensor,disabled,One,restricted,\n"
        "bay-2,parking_sensor,,Two,,bay-1\n"
    )))  # fmt: skip
    query = "SELECT d.category, d.title, d.visibility, p.name AS parent FROM usp.device d LEFT JOIN usp.device p "
    query += "ON p.id = d.parent ORDER BY d.name"
    await usp("devices", "import", written(here, "d.csv", "name,address,visibility\nbay-1,a84041ffff000001,\n"))
    assert [tuple(r) for r in await empty.fetch(query)] == [
        ("disabled", "One", "restricted", None), (None, "Two", "open", "bay-1")
    ]  # fmt: skip
    await usp("devices", "import", written(here, "d.csv", "name,category,title,parent\nbay-1,-,-,\nbay-2,,,-\n"))
    assert [tuple(r) for r in await empty.fetch(query)] == [(None, "", "restricted", None), (None, "Two", "open", None)]


# Exporting


@pytest.mark.parametrize("ending", ["csv", "geojson"])
async def test_what_is_exported_can_be_imported_again(empty: Any, usp: Any, here: Path, ending: str) -> None:
    """Into the same registry it changes nothing; into an empty one it makes the same."""
    await usp("devices", "import", "--demo")
    await usp("devices", "import", written(here, "d.csv", (
        "name,kind,title,site,lon,lat,approximate,address,retired_at,parent,visibility\n"
        'eui-1,parking_sensor,"Bay ""1"", north; south\u00e9",corso-lodi,9.21234567,45.4,,7076960000001234,,,\n'
        "eui-2,lamppost,-,corso-lodi,,,,A8-40-41-FF-FF-00-00-02,2025-03-01T10:00:00.5+01:00,eui-1,ops\n"
        "eui-3,lamppost,,,9.1,45.4,true,native:A84041FFFF000003,,,\n"
        "eui-4,lamppost,,,,,,things_stack:a-b/c,,,\n"
    )))  # fmt: skip
    devices, sites = here / f"devices.{ending}", here / f"sites.{ending}"
    assert await usp("devices", "export", devices) == (0, f"206 written to {devices}.\n")
    assert (await usp("sites", "export", sites))[0] == 0
    assert await usp("devices", "import", devices) == (0, "devices: nothing to do; 206 unchanged.\n")
    assert (await usp("sites", "import", sites))[1].startswith("sites: nothing to do")
    before = devices.read_bytes(), sites.read_bytes()
    await empty.execute("TRUNCATE usp.device, usp.site, usp.placement, usp.device_address CASCADE")
    assert (await usp("sites", "import", sites))[0] == 0
    assert await usp("devices", "import", devices) == (0, "devices: 206 added; 0 unchanged.\n")
    status, output = await usp("devices", "export", "--format", ending)
    assert (status, output.encode().replace(b"\r\n", b"\n")) == (0, before[0].replace(b"\r\n", b"\n"))
    await usp("sites", "export", sites)
    assert sites.read_bytes() == before[1]


async def test_a_city_adds_its_sensors_from_a_spreadsheet(empty: Any, usp: Any, here: Path) -> None:
    """1,273 rows are tried and brought in within a few seconds."""
    await usp("sites", "import", written(here, "sites.csv", SITES_CSV))
    rows = "".join(
        f"bay-bastioni-{n};Stallo {n};parking_sensor;logistics;bosch-tps110;square;9,{19000 + n};45,{44000 + n};"
        f"A8-40-41-FF-FF-00-{n >> 8:02X}-{n & 255:02X}\r\n"
        for n in range(1273)
    )
    path = written(here, "d.csv", f"name;title;kind;category;profile;site;lon;lat;address\r\n{rows}")
    times = []
    for words, told in (
        (("--dry-run",), "devices: would be 1273 added; 0 unchanged.\n"),
        ((), "devices: 1273 added; 0 unchanged.\n"),
        (("--dry-run",), "devices: nothing to do; 1273 unchanged.\n"),
    ):
        began = time.monotonic()
        status, output = await usp("devices", "import", path, *words)
        times.append(time.monotonic() - began)
        assert status == 0
        assert told in output
    assert max(times) < 5
    assert await empty.fetchval("SELECT count(*) FROM usp.device_address") == 1273
