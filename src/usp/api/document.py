"""What /docs says: every parameter with a description and an example that works on the demonstration as shown."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from starlette.responses import Response

from usp.api import answers, examples, ops_document, params, schemas
from usp.api.ops_candidates import DEFAULT_CANDIDATES, MAX_CANDIDATES
from usp.api.ops_minutes import DEFAULT_MINUTES, MOST_MINUTES
from usp.api.paging import DEFAULT_LIMIT, MAX_LIMIT, bound, name_cursor, reading_cursor, rejection_cursor
from usp.api.rejections import BY, DEFAULT_ROWS, MAX_ROWS
from usp.api.representations import FORMATS
from usp.models.bucket import By, Width
from usp.models.device import KINDS
from usp.models.query import TimeWindow
from usp.models.reasons import Reason
from usp.models.rejection import State

Spec = dict[str, Any]

#: Where an operation keeps the names of its parameters, and the scope it needs, until the document is made.
_MARK, _NEEDS = "x-parameters", "x-needs"

_TEXT: Spec = {"type": "string"}
_SCHEMES = {
    "token": {
        "type": "http",
        "scheme": "bearer",
        "description": "Not needed for open data. `usp keys create` makes one; scopes: read:restricted, ops.",
    }
}
#: An identifier of a device or site, and a number; a '+' that was not percent-encoded arrives as a space.
_NAME = "[a-z0-9][a-z0-9-]{1,62}"
_NUMBER = r"[-+ ]?(\d+(\.\d*)?|\.\d+)([eE][-+]?\d+)?"
_WHEN: Spec = {"type": "string", "anyOf": [{"format": "date-time"}, {"format": "date"}]}


def _one_of(names: Iterable[str]) -> Spec:
    return {"type": "string", "enum": list(names)}


def _listed(item: str, *, times: str = "*") -> Spec:
    """A list by comma of what the pattern says; `times` is how often more may follow the first."""
    return {"type": "string", "pattern": f"^({item})(,({item})){times}$"}


@dataclass(frozen=True)
class Parameter:
    """A parameter as the documentation tells it. "Try it out" fills in the example, or leaves the field empty."""

    description: str
    example: Any
    schema: Spec
    filled_in: bool = True


_PAGED = ", ".join(f.name for f in FORMATS if f.paged)
_WHOLE = ", ".join(f.name for f in FORMATS if not f.paged)
_TIMES = "RFC 3339 with offset (write %2B for +, or use Z); a date alone is its midnight in UTC."

_PARAMETERS = {
    "from": Parameter(
        f"First moment. {_TIMES[:-1]}, or in `tz` with buckets of a day or more. Without it, 24 hours before `to`.",
        None,
        _WHEN,
    ),
    "to": Parameter(f"First moment no longer wanted. {_TIMES[:-1]}, as in `from`. Without it, now.", None, _WHEN),
    "device": Parameter("Devices, by comma. A parent stands for its children too.", examples.DEVICE, _listed(_NAME)),
    "site": Parameter(
        "Sites, by comma. A reading belongs to where its device stood then.", examples.SITE, _listed(_NAME)
    ),
    "kind": Parameter(f"Kinds of device, by comma: {', '.join(KINDS)}.", "lamppost", _listed("|".join(KINDS))),
    "category": Parameter(
        f"Categories of device, by comma: {', '.join(params.CATEGORIES)}.",
        "logistics",
        _listed("|".join(params.CATEGORIES)),
        filled_in=False,
    ),
    "bbox": Parameter(
        "minLon,minLat,maxLon,maxLat in degrees, WGS 84.", "9.15,45.42,9.25,45.48", _listed(_NUMBER, times="{3}")
    ),
    "near": Parameter(
        "lon,lat,metres: everything within this distance.", "9.2121,45.4466,500", _listed(_NUMBER, times="{2}")
    ),
    "where": Parameter(
        "property:value, several by comma, all must hold; compared as stored. Also occupied:true, status:available.",
        "pm2_5:12.1",
        _listed("[a-z0-9_]+:[^,]+"),
        filled_in=False,
    ),
    "properties": Parameter(
        "Properties of the dataset, by comma. Without it, all.", "pm2_5,no2", _listed("[a-z0-9_]+(:[a-z]+)?")
    ),
    "bucket": Parameter(
        "Aggregates over buckets of this width; below a day aligned to UTC, from a day to days of `tz`. `whole` is one "
        "bucket over all of the window.",
        "1h",
        _one_of(Width),
        filled_in=False,
    ),
    "by": Parameter(
        "Whether buckets are of each device, of each site, or of all together. Where a part is asked for beside its "
        "whole, as common meters beside a building's main one, it counts twice: `category` chooses.",
        "device",
        _one_of(By),
        filled_in=False,
    ),
    "tz": Parameter("The time zone whose days, weeks, months and years count.", "Europe/Rome", _TEXT, filled_in=False),
    "order": Parameter("Ascending by time and device, or descending.", "asc", _one_of(["asc", "desc"])),
    "limit": Parameter(
        f"Number of rows. {_PAGED}: {DEFAULT_LIMIT} unless given, {MAX_LIMIT} at most, then `next`. "
        f"{_WHOLE}: everything unless given.",
        10,
        {"type": "integer", "minimum": 1, "maximum": 999_999_999},
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


#: The same names, where operators look at how things are.
_OF_OPERATIONS = {
    "minutes": Parameter(
        f"Over how many minutes, {DEFAULT_MINUTES} unless given.",
        10,
        {"type": "integer", "minimum": 1, "maximum": MOST_MINUTES},
    ),
}
_OF_CANDIDATES = {
    "limit": Parameter(
        f"How many senders, the newest first: {DEFAULT_CANDIDATES} unless given.",
        10,
        {"type": "integer", "minimum": 1, "maximum": MAX_CANDIDATES},
    ),
}

_LAST_EVENT_ID: Spec = {
    "name": "Last-Event-ID",
    "in": "header",
    "required": False,
    "description": "The `id` heard last. It belongs to the same question; to another, everything is told anew.",
    "schema": _TEXT | {"examples": [examples.EVENT_ID]},
}
#: The same names, where they are about the stream.
_OF_STREAM = {
    "dataset": Parameter(
        "Datasets, by comma. Without it, all.",
        f"{examples.DATASET},parking",
        _listed("|".join(params.OPEN_DATASETS)),
    ),
    "site": Parameter("Sites, by comma, where devices stand now.", examples.SITE, _listed(_NAME)),
    "properties": Parameter(
        "Properties, by comma. A dataset that has none of them is left out. Without it, all.",
        "pm2_5,occupied",
        _listed("[a-z0-9_]+"),
    ),
}


#: What is to be done -> the body that asks for it, and an example.
_BODIES = {
    **{what: (body, example) for what, (_, body, example) in answers.DONE.items()},
    "approve": (ops_document.APPROVAL, ops_document.SENSOR),
}


#: Part of a path -> the parameters that are meant there.
_OF_PATH = {
    "/rejections": _OF_REJECTIONS,
    "/candidates": _OF_CANDIDATES,
    "/v1/ops/": _OF_OPERATIONS,
    "/v1/stream": _OF_STREAM,
}


def described(what: str, names: tuple[str, ...], path: str = "", *, needs: str = "") -> Spec:
    """What the documentation of a route is made of: the parameter in its path, and the scope that it needs."""
    extra: Spec = {
        _MARK: [*([path] if path else []), *names],
        _NEEDS: needs,
        "responses": answers.responses(what, path=path, needs=needs),
    }
    if what in _BODIES:
        body, example = _BODIES[what]
        extra["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": body, "example": example}},
        }
    return {"operation_id": what, "response_class": Response, "openapi_extra": extra}


def openapi(app: FastAPI) -> Spec:
    """The document, made anew in each minute in which it is asked for: the examples' times lie in the last hour."""
    now = datetime.now(UTC).replace(second=0, microsecond=0)
    if app.openapi_schema is None or app.state.documented_at != now:
        app.openapi_schema, app.state.documented_at = _made(app, now), now
    return app.openapi_schema


def _made(app: FastAPI, now: datetime) -> Spec:
    document = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
    document["components"] = {
        "schemas": schemas.schemas(),
        "headers": answers.HEADERS,
        "securitySchemes": _SCHEMES,
    }
    for path, methods in document["paths"].items():
        for operation in methods.values():
            names = operation.pop(_MARK)
            operation["parameters"] = [
                _in_path(name) if f"{{{name}}}" in path else _in_query(name, names, now, path) for name in names
            ]
            if path == "/v1/stream":
                operation["parameters"].append(_LAST_EVENT_ID)
            operation["responses"].pop("422", None)
            if "401" in operation["responses"]:
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
    return spec | {"schema": {"type": "string", "pattern": f"^{_NAME}$"}, "example": _PARAMETERS[name].example}


def _in_query(name: str, together: list[str], now: datetime, path: str) -> Spec:
    own = next((own for part, own in _OF_PATH.items() if part in path), {})
    parameter = (_PARAMETERS | own)[name]
    spec = {"name": name, "in": "query", "required": False, "description": parameter.description}
    window = TimeWindow(now - timedelta(hours=1), now)
    example, schema = parameter.example, parameter.schema
    if name in {"from", "to"}:
        example = _written(window.start if name == "from" else window.end)
    if name == "cursor" and "where" in together and "from" in together:
        example = reading_cursor(window, {"time": _written(window.start), "device": examples.DEVICE})
    elif name == "cursor" and path.startswith("/v1/ops/"):
        example = rejection_cursor(window.start, 1)
    elif name == "cursor":
        example = name_cursor("name", {"name": "a-first-name"})
    if name == "cursor":
        example = bound(example, path.format(dataset=examples.DATASET), ())
    if name == "format" and ("limit" not in together or path.startswith("/v1/ops/")):
        schema = _one_of(["json"])
    if parameter.filled_in:
        return spec | {"schema": schema, "example": example}
    return spec | {"schema": schema | {"examples": [example]}}


def _written(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"
