"""What /docs says: every parameter with a description and an example that works on the demonstration as shown."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from starlette.responses import Response

from usp.api import examples, params, schemas
from usp.api.paging import DEFAULT_LIMIT, MAX_LIMIT, bound, name_cursor, reading_cursor, rejection_cursor
from usp.api.registry import DEVICE_COLUMNS, SITE_COLUMNS
from usp.api.rejections import BY, DEFAULT_ROWS, MAX_ROWS
from usp.api.representations import FORMATS
from usp.models.device import KINDS
from usp.models.query import TimeWindow
from usp.models.reasons import Reason
from usp.models.rejection import State

Spec = dict[str, Any]

#: Where an operation keeps the names of its parameters, and the scope it needs, until the document is made.
_MARK, _NEEDS = "x-parameters", "x-needs"

_ROWS = {
    "readings": schemas.any_dataset("reading"),
    "latest": schemas.any_dataset("latest"),
    "devices": schemas.columns(DEVICE_COLUMNS),
    "sites": schemas.columns(SITE_COLUMNS),
    "rejections": schemas.REJECTION,
    "rejection_stats": schemas.REJECTION_STATS,
}
_ONE = {"rejection": schemas.REJECTION}
#: What is told line by line, and the body that asks for it.
_DONE = {"replay": (schemas.PROGRESS, schemas.REPLAY, examples.REPLAY)}
_TEXT: Spec = {"type": "string"}
_SCHEMES = {
    "token": {
        "type": "http",
        "scheme": "bearer",
        "description": "Not needed for open data. `usp keys create` makes one; scopes: read:restricted, ops.",
    }
}
#: The same for everybody: no token is looked at.
_NO_TOKEN = ("/health/live", "/health/ready")


def _one_of(names: Iterable[str]) -> Spec:
    return {"type": "string", "enum": list(names)}


@dataclass(frozen=True)
class Parameter:
    """A parameter as the documentation tells it. "Try it out" fills in the example, or leaves the field empty."""

    description: str
    example: Any
    schema: Spec
    filled_in: bool = True


_TIMES = "RFC 3339 with offset (write %2B for +, or use Z); a date alone is its midnight in UTC."

_PARAMETERS = {
    "from": Parameter(f"First moment. {_TIMES} Without it, 24 hours before `to`.", None, _TEXT),
    "to": Parameter(f"First moment no longer wanted. {_TIMES} Without it, now.", None, _TEXT),
    "device": Parameter("Devices, by comma. A parent stands for its children too.", examples.DEVICE, _TEXT),
    "site": Parameter("Sites, by comma. A reading belongs to where its device stood then.", examples.SITE, _TEXT),
    "kind": Parameter(f"Kinds of device, by comma: {', '.join(KINDS)}.", "lamppost", _TEXT),
    "category": Parameter(
        f"Categories of device, by comma: {', '.join(params.CATEGORIES)}.",
        "logistics",
        _TEXT,
        filled_in=False,
    ),
    "bbox": Parameter("minLon,minLat,maxLon,maxLat in degrees, WGS 84.", "9.15,45.42,9.25,45.48", _TEXT),
    "near": Parameter("lon,lat,metres: everything within this distance.", "9.2121,45.4466,500", _TEXT),
    "where": Parameter(
        "property:value, several by comma, all must hold; compared as stored. Also occupied:true, status:available.",
        "pm2_5:12.1",
        _TEXT,
        filled_in=False,
    ),
    "properties": Parameter("Properties of the dataset, by comma. Without it, all.", "pm2_5,no2", _TEXT),
    "order": Parameter("Ascending by time and device, or descending.", "asc", _one_of(["asc", "desc"])),
    "limit": Parameter(
        f"Number of rows. JSON: {DEFAULT_LIMIT} unless given, {MAX_LIMIT} at most, then `next`. "
        "CSV: everything unless given.",
        10,
        {"type": "integer", "minimum": 1},
    ),
    "cursor": Parameter("Where the page before ended; part of `next`.", None, _TEXT, filled_in=False),
    "format": Parameter("Goes before the header `Accept`.", "json", _one_of([f.name for f in FORMATS])),
}


#: The same names, where they are about rejections.
_OF_REJECTIONS = {
    "reason": Parameter("Why it is refused today.", "unknown_device", _one_of(Reason)),
    "address": Parameter("Who spoke, as the message tells.", "lamp-corso-lodi-9", _TEXT, filled_in=False),
    "device": Parameter("A registered device.", examples.DEVICE, _TEXT, filled_in=False),
    "door": Parameter("Where it came in: mqtt, chirpstack, things_stack, replay.", "mqtt", _TEXT, filled_in=False),
    "field": Parameter("The refused field, or part of a device.", "pm2_5", _TEXT, filled_in=False),
    "from": Parameter(f"When it came first, not before. {_TIMES}", None, _TEXT, filled_in=False),
    "to": Parameter(f"When it came first, before. {_TIMES}", None, _TEXT, filled_in=False),
    "state": Parameter("What waits, what is resolved, or all.", State.OPEN.value, _one_of(State)),
    "by": Parameter("What the figures are told apart by.", "reason", _one_of(BY)),
    "limit": Parameter(
        f"Number of rows: {DEFAULT_ROWS} rejections unless given, {MAX_ROWS} at most.",
        10,
        {"type": "integer", "minimum": 1},
    ),
}


def described(what: str, names: tuple[str, ...], path: str = "", *, needs: str = "") -> Spec:
    """What the documentation of a route is made of: the parameter in its path, and the scope that it needs."""
    left_out = {"404": not path, "403": not needs, "406": what in _DONE, "409": what not in _DONE}
    left_out["501"] = left_out["409"]
    problems = {status: problem for status, problem in examples.PROBLEMS.items() if not left_out.get(status)}
    extra: Spec = {
        _MARK: [*([path] if path else []), *names],
        _NEEDS: needs,
        "responses": {"200": {"description": "As asked.", "content": _content(what)}, **problems},
    }
    if what in _DONE:
        _, body, example = _DONE[what]
        extra["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": body, "example": example}},
        }
    return {"operation_id": what, "response_class": Response, "openapi_extra": extra}


def _content(what: str) -> Spec:
    """What an address answers, in each format."""
    if what in _DONE:
        return {"application/x-ndjson": {"schema": _DONE[what][0], "example": examples.NDJSON[what]}}
    schema = schemas.page(_ROWS[what]) if what in _ROWS else _ONE.get(what, {"type": "object"})
    content: Spec = {"application/json": {"schema": schema, "example": examples.JSON[what]}}
    if what in examples.CSV:
        content["text/csv"] = {"schema": _TEXT, "example": examples.CSV[what]}
    return content


def openapi(app: FastAPI) -> Spec:
    """The document, made when it is asked for: the examples' times lie in the last hour."""
    document = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
    document["components"] = {"schemas": schemas.schemas(), "securitySchemes": _SCHEMES}
    now = datetime.now(UTC).replace(second=0, microsecond=0)
    for path, methods in document["paths"].items():
        for operation in methods.values():
            names = operation.pop(_MARK)
            operation["parameters"] = [
                _in_path(name) if f"{{{name}}}" in path else _in_query(name, names, now, path) for name in names
            ]
            operation["responses"].pop("422", None)
            if path in _NO_TOKEN:
                operation["responses"].pop("401")
            else:
                # With nothing, or with a token; or not without.
                operation["security"] = [{"token": []}] if operation[_NEEDS] else [{}, {"token": []}]
            if needs := operation.pop(_NEEDS):
                operation["description"] += f"\n\nNeeds a token with the scope `{needs}`."
    return document


def _in_path(name: str) -> Spec:
    if name == "rejection":
        number = {"type": "integer", "minimum": 1}
        told = {"description": "The rejection's number.", "schema": number, "example": 1}
        return {"name": name, "in": "path", "required": True} | told
    spec = {"name": name, "in": "path", "required": True, "description": f"The {name}'s name."}
    if name == "dataset":
        return spec | {"schema": _one_of(params.OPEN_DATASETS), "example": examples.DATASET}
    return spec | {"schema": _TEXT, "example": _PARAMETERS[name].example}


def _in_query(name: str, together: list[str], now: datetime, path: str) -> Spec:
    parameter = (_PARAMETERS | _OF_REJECTIONS if "/rejections" in path else _PARAMETERS)[name]
    spec = {"name": name, "in": "query", "required": False, "description": parameter.description}
    window = TimeWindow(now - timedelta(hours=1), now)
    example, schema = parameter.example, parameter.schema
    if name in {"from", "to"}:
        example = _written(window.start if name == "from" else window.end)
    if name == "cursor" and "where" in together and "from" in together:
        example = reading_cursor(window, {"time": _written(window.start), "device": examples.DEVICE})
    elif name == "cursor" and "state" in together:
        example = rejection_cursor(window.start, 1)
    elif name == "cursor":
        example = name_cursor("name", {"name": "a-first-name"})
    if name == "cursor":
        example = bound(example, path.format(dataset=examples.DATASET), ())
    if name == "format" and "limit" not in together:
        schema = _one_of(["json"])
    if parameter.filled_in:
        return spec | {"schema": schema, "example": example}
    return spec | {"schema": schema | {"examples": [example]}}


def _written(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"
