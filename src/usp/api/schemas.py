"""JSON Schemas of what the API answers, derived from the declarations."""

from typing import Any

from usp.api.params import OPEN_DATASETS
from usp.api.selection import Column, ColumnType, property_column
from usp.models.dataset import Dataset, Property, Visibility
from usp.models.reasons import Reason

Spec = dict[str, Any]

_TYPES: dict[ColumnType, Spec] = {
    ColumnType.TIME: {"type": "string", "format": "date-time"},
    ColumnType.NUMBER: {"type": "number"},
    ColumnType.BOOLEAN: {"type": "boolean"},
    ColumnType.TEXT: {"type": "string"},
    ColumnType.LIST: {"type": "array", "items": {"type": "string"}},
}

PROBLEM: Spec = {
    "type": "object",
    "title": "Problem (RFC 9457)",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "What is wrong, and what would be right."},
        "parameter": {"type": "string", "description": "The parameter that is to blame."},
        "suggestion": {"type": "string", "description": "The nearest known name."},
    },
}


TEXT = _TYPES[ColumnType.TEXT]
TIME = _TYPES[ColumnType.TIME]
NUMBER = _TYPES[ColumnType.NUMBER]
BOOLEAN = _TYPES[ColumnType.BOOLEAN]
NAMES = _TYPES[ColumnType.LIST]
COUNT: Spec = {"type": "integer", "minimum": 0}
COUNTS: Spec = {"type": "object", "additionalProperties": COUNT}


def or_null(spec: Spec) -> Spec:
    """The same, or null."""
    return {**spec, "type": [spec["type"], "null"]}


def all_of(title: str, /, **properties: Spec) -> Spec:
    """A document that always has all of these."""
    return {"type": "object", "title": title, "required": list(properties), "properties": properties}


def some_of(title: str, required: tuple[str, ...], /, **properties: Spec) -> Spec:
    """A document that always has those required; what is not known is left out."""
    return {"type": "object", "title": title, "required": list(required), "properties": properties}


REJECTION: Spec = {
    "type": "object",
    "title": "What was refused",
    "required": ["id", "received_at", "door", "reason", "whole_item", "payload_length"],
    "properties": {
        "id": {"type": "integer"},
        "received_at": TIME | {"description": "When it came first."},
        "door": {"type": "string", "description": "Where it came in; `replay` where a replay met it."},
        "topic": {"type": "string"},
        "address": {"type": "string", "description": "Who spoke, as the message tells."},
        "device": {"type": "string", "description": "Whose address that was, if anybody's."},
        "dataset": {"type": "string"},
        "field": {"type": "string", "description": "What of the item was refused; without it, all."},
        "reason": {"type": "string", "enum": list(Reason)},
        "detail": {"type": "string", "description": "What was found."},
        "explanation": {"type": "string", "description": "What the reason means, and what would be right."},
        "whole_item": {"type": "boolean", "description": "False where the rest of the item was stored."},
        "payload": {"type": "string"},
        "payload_encoding": {"type": "string", "enum": ["utf-8", "base64"]},
        "payload_length": COUNT,
        "payload_sha256": {"type": "string", "description": "Where the item was too long to be kept."},
        "replayed_at": TIME | {"description": "When it was last taken up again."},
        "resolved_at": TIME | {"description": "Since when nothing of it is refused any more."},
    },
}
REJECTION_STATS: Spec = {
    "type": "object",
    "title": "Figures of what was refused",
    "required": ["open", "resolved"],
    "properties": {
        **{by: {"type": "string"} for by in ("reason", "address", "day")},
        **dict.fromkeys(("open", "resolved", "kept", "total"), COUNT),
        "last": TIME,
    },
}
REPLAY: Spec = {
    "type": "object",
    "title": "Which rejections to take up",
    "additionalProperties": False,
    "properties": {
        "ids": {"type": "array", "items": {"type": "integer"}, "minItems": 1, "maxItems": 10_000},
        "reason": {"type": "string", "enum": list(Reason)},
        **dict.fromkeys(("address", "device", "door", "field"), TEXT),
        **dict.fromkeys(("from", "to"), TIME),
        "dry_run": {"type": "boolean", "default": False},
    },
}
PROGRESS: Spec = {
    "type": "object",
    "title": "How far a replay has come",
    "required": ["chosen", "taken", "resolved", "refused", "without_bytes", "done"],
    "properties": {
        **dict.fromkeys(("chosen", "taken", "resolved", "without_bytes"), COUNT),
        "refused": {"type": "object", "additionalProperties": COUNT, "description": "By today's reason."},
        "done": {"type": "boolean"},
        "interrupted": {"type": "string", "description": "Why no further line comes."},
    },
}


#: A row of aggregates; each `<property>_<statistic>` is a column of its own, null or left out where there is none.
BUCKET: Spec = {
    "type": "object",
    "title": "Aggregates of a bucket of time",
    "required": ["start"],
    "properties": {
        "start": TIME,
        "device": TEXT,
        "site": TEXT,
        "count": COUNT | {"description": "Rows with at least one unflagged value that was asked for."},
        "expected": {"type": ["number", "null"], "minimum": 0},
        "coverage": {"type": ["number", "null"], "minimum": 0},
        "flagged": COUNT,
    },
}


def schemas() -> dict[str, Spec]:
    """All schemas by name."""
    found: dict[str, Spec] = {"problem": PROBLEM}
    for dataset in OPEN_DATASETS.values():
        found[f"{dataset.name}_reading"] = _reading(dataset, latest=False)
        found[f"{dataset.name}_latest"] = _reading(dataset, latest=True)
    return found


_NEXT: Spec = {"type": ["string", "null"], "format": "uri", "description": "The next page, if there is one."}


def page(items: Spec) -> Spec:
    """A page of rows."""
    return {
        "type": "object",
        "required": ["data", "next"],
        "properties": {"data": {"type": "array", "items": items}, "next": _NEXT},
    }


def listing(items: Spec) -> Spec:
    """All of a few, in the form of a page."""
    whole = page(items)
    return whole | {"properties": whole["properties"] | {"next": {"type": "null"}}}


def features(items: Spec) -> Spec:
    """A page of rows as GeoJSON (RFC 7946): each a point, or without a geometry where its place is not known."""
    point: Spec = {
        "type": ["object", "null"],
        "required": ["type", "coordinates"],
        "properties": {
            "type": {"const": "Point"},
            "coordinates": {"type": "array", "items": {"type": "number"}, "minItems": 2, "maxItems": 2},
        },
    }
    feature: Spec = {
        "type": "object",
        "required": ["type", "geometry", "properties"],
        "properties": {"type": {"const": "Feature"}, "geometry": point, "properties": items},
    }
    return {
        "type": "object",
        "required": ["type", "features"],
        "properties": {
            "type": {"const": "FeatureCollection"},
            "features": {"type": "array", "items": feature},
            "next": _NEXT,
        },
    }


def any_dataset(suffix: str) -> Spec:
    """A row of whichever dataset was asked for."""
    return {"anyOf": [{"$ref": f"#/components/schemas/{name}_{suffix}"} for name in OPEN_DATASETS]}


def columns(listed: tuple[Column, ...]) -> Spec:
    """A row of these columns; what is not known is left out."""
    return {"type": "object", "properties": {c.name: _TYPES[c.type] for c in listed}}


def _reading(dataset: Dataset, *, latest: bool) -> Spec:
    properties: Spec = {
        "time": TIME,
        "device": {"type": "string"},
        "site": {"type": "string"},
        "lon": {"type": "number", "description": "Degrees, WGS 84."},
        "lat": {"type": "number", "description": "Degrees, WGS 84."},
    }
    if dataset.interval:
        properties["period"] = {"type": "number", "description": "Length of the measuring interval, s."}
    for prop in dataset.visible(Visibility.OPEN):
        properties[prop.name] = _value(prop)
        if latest:
            properties[f"{prop.name}_time"] = TIME
    properties["flags"] = _TYPES[ColumnType.LIST]
    return {
        "type": "object",
        "title": f"{dataset.title}: {'newest values' if latest else 'reading'}",
        "required": ["time", "device", "flags"],
        "properties": properties,
    }


def _value(prop: Property) -> Spec:
    unit = f", {prop.unit}" if prop.unit else ""
    spec = _TYPES[property_column(prop).type] | {"description": f"{prop.title}{unit}"}
    return spec | {"enum": list(prop.states)} if prop.states else spec
