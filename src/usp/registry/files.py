"""Lists of devices and sites as files: CSV as spreadsheets write it, and GeoJSON (RFC 7946)."""

import csv
import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import orjson

from usp.errors import ListError
from usp.models.device import Mistake
from usp.registry.columns import Columns
from usp.registry.outcome import Record

_DELIMITERS = ",;\t"
#: Coordinate reference systems that are WGS 84 with the longitude first, as GeoJSON means it.
_WGS_84 = ("CRS84", "EPSG::4326", "EPSG:4326")


CSV, GEOJSON = "csv", "geojson"
_ENDINGS = {".csv": CSV, ".tsv": CSV, ".txt": CSV, ".geojson": GEOJSON, ".json": GEOJSON}


def format_of(path: Path, given: str | None = None) -> str:
    """The format that is asked for, or that the name of the file tells. Raises ListError."""
    found = given or _ENDINGS.get(path.suffix.lower())
    if found is not None:
        return found
    if path.suffix.lower() in {".xlsx", ".xls", ".ods"}:
        raise ListError(f"{path}: save the sheet as 'CSV UTF-8' and give that file.")
    raise ListError(f"{path}: its name tells no format; end it in .csv or .geojson, or give --format.")


def read_records(path: Path, columns: Columns, format_: str | None = None) -> list[Record]:
    """The rows of a file, each with its mistakes. Raises ListError for a file that has no such rows."""
    reader = {CSV: _read_csv, GEOJSON: _read_geojson}[format_of(path, format_)]
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ListError(f"{path} cannot be read: {error.strerror}.") from None
    return [*reader(path, _text(path, content), columns)]


def _text(path: Path, content: bytes) -> str:
    # "Unicode text" of spreadsheets is UTF-16 with a byte order mark.
    encoding = "utf-16" if content[:2] in {b"\xff\xfe", b"\xfe\xff"} else "utf-8-sig"
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise ListError(f"{path}, line {line}: this is not UTF-8; save the file as 'CSV UTF-8'.") from None


# CSV


def _read_csv(path: Path, text: str, columns: Columns) -> Iterator[Record]:
    first, _, rest = text.partition("\n")
    skipped, delimiter = 0, ""
    if first.lower().startswith("sep=") and len(first.strip()) == 5:
        # Excel's own way to tell the delimiter.
        text, skipped, delimiter = rest, 1, first.strip()[-1]
    reader = csv.reader(io.StringIO(text), delimiter=delimiter or _delimiter(text, columns), strict=True)
    header: list[str] | None = None
    before = 0
    try:
        for cells in reader:
            line, before = before + 1 + skipped, reader.line_num
            if not any(cell.strip() for cell in cells):
                continue
            if header is None:
                header = columns.header(cells, path)
            else:
                yield _csv_record(f"line {line}", header, cells, columns)
    except csv.Error as error:
        raise ListError(f"{path}, line {before + 1 + skipped}: {error}; is a quotation mark not closed?") from None
    if header is None:
        raise ListError(f"{path} is empty; its first line names the columns: {', '.join(columns.names)}.")


def _delimiter(text: str, columns: Columns) -> str:
    """The one that makes the most known columns of the header."""
    header = next((line for line in text.splitlines() if line.strip()), "")

    def known(delimiter: str) -> tuple[int, int]:
        names = [name.strip().strip('"').lower().replace(" ", "_") for name in header.split(delimiter)]
        return sum(name in columns.names for name in names), len(names)

    return max(_DELIMITERS, key=known)


def _csv_record(where: str, header: list[str], cells: list[str], columns: Columns) -> Record:
    mistakes = []
    pairs = [*zip(header, cells, strict=False)]
    extra = [cell for cell in cells[len(header) :] if cell.strip()]
    extra += [cell for name, cell in pairs if not name and cell.strip()]
    if extra:
        mistakes.append(Mistake("row", f"more fields than the header names: {extra[0]!r}; is a delimiter not quoted?"))
    return columns.record(where, ((name, cell) for name, cell in pairs if name), mistakes)


# GeoJSON


def _read_geojson(path: Path, text: str, columns: Columns) -> Iterator[Record]:
    try:
        document = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise ListError(f"{path}, line {error.lineno}, column {error.colno}: {error.msg}.") from None
    features = document.get("features") if type(document) is dict else None
    if type(features) is not list or document.get("type") != "FeatureCollection":
        raise ListError(f"{path}: this is no FeatureCollection with a list of features.")
    _check_system(path, document.get("crs"))
    properties = [f.get("properties") if type(f) is dict else None for f in features]
    given: dict[str, None] = {}
    for each in properties:
        given |= dict.fromkeys(each if type(each) is dict else ())
    if features:
        columns.header(given or ["name"], path)
    for number, (feature, each) in enumerate(zip(features, properties, strict=True), 1):
        where = f"feature {number}"
        if type(feature) is not dict or feature.get("type") != "Feature" or type(each) is not dict:
            yield Record(where, {}, (Mistake("feature", "this is no Feature with properties."),))
        else:
            yield _feature_record(where, each, feature.get("geometry"), columns)


def _check_system(path: Path, system: Any) -> None:
    """Older files name their coordinate reference system; cities like to measure in metres."""
    if system is None:
        return
    named = system.get("properties") if type(system) is dict else None
    name = str(named.get("name", "")) if type(named) is dict else ""
    if not name.endswith(_WGS_84):
        raise ListError(f"{path}: its coordinates are {name or 'of a system'!r}; export them as WGS 84, EPSG:4326.")


def _feature_record(where: str, properties: dict[str, Any], geometry: Any, columns: Columns) -> Record:
    mistakes = []
    cells: dict[str, str] = {}
    for name, value in properties.items():
        column = name.strip().lower().replace(" ", "_")
        if type(value) in {list, dict}:
            mistakes.append(Mistake(column, "expected a text, a number, true or false."))
        elif value is not None:
            cells[column] = orjson.dumps(value).decode() if type(value) in {bool, float} else str(value)
    if geometry is not None:
        coordinates: Any = geometry.get("coordinates") if type(geometry) is dict else None
        if not _is_point(geometry, coordinates):
            mistakes.append(Mistake("geometry", "expected a Point with two numbers: longitude, latitude."))
        else:
            for name, value in zip(("lon", "lat"), coordinates, strict=False):
                number = orjson.dumps(value).decode()
                if cells.setdefault(name, number) != number:
                    text = f"{cells[name]} here and {number} in the geometry; leave one of them out."
                    mistakes.append(Mistake(name, text))
    return columns.record(where, cells.items(), mistakes)


def _is_point(geometry: Any, coordinates: Any) -> bool:
    if type(geometry) is not dict or geometry.get("type") != "Point":
        return False
    return (
        type(coordinates) is list and len(coordinates) in {2, 3} and all(type(c) in {int, float} for c in coordinates)
    )


# Writing


def write_csv(rows: Sequence[dict[str, Any]], names: Sequence[str]) -> str:
    """The rows as CSV (RFC 4180) with a header."""
    target = io.StringIO()
    writer = csv.writer(target)
    writer.writerow(names)
    writer.writerows([_cell(row[name]) for name in names] for row in rows)
    return target.getvalue()


def write_geojson(rows: Sequence[dict[str, Any]], names: Sequence[str]) -> str:
    """The rows as a FeatureCollection of Points; what has no position of its own has no geometry."""
    features = []
    for row in rows:
        position = [row["lon"], row["lat"]]
        geometry = None if row["lon"] is None else {"type": "Point", "coordinates": position}
        properties = {name: row[name] for name in names if name not in {"lon", "lat"}}
        features.append({"type": "Feature", "geometry": geometry, "properties": properties})
    # One feature a line, so that two exports can be compared.
    lines = ",\n".join(orjson.dumps(feature).decode() for feature in features)
    return f'{{"type":"FeatureCollection","features":[\n{lines}\n]}}\n'


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return repr(value) if isinstance(value, float) else str(value)
