"""JSON Schemas of what the API answers, derived from the declarations."""

from typing import Any

from usp.api.params import OPEN_DATASETS
from usp.api.selection import Column, ColumnType, property_column
from usp.models.dataset import Dataset, Property, Visibility

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


def schemas() -> dict[str, Spec]:
    """All schemas by name."""
    found: dict[str, Spec] = {"problem": PROBLEM}
    for dataset in OPEN_DATASETS.values():
        found[f"{dataset.name}_reading"] = _reading(dataset, latest=False)
        found[f"{dataset.name}_latest"] = _reading(dataset, latest=True)
    return found


def page(items: Spec) -> Spec:
    """A page of rows."""
    return {
        "type": "object",
        "required": ["data", "next"],
        "properties": {
            "data": {"type": "array", "items": items},
            "next": {
                "type": ["string", "null"],
                "format": "uri",
                "description": "The next page, if there is one.",
            },
        },
    }


def any_dataset(suffix: str) -> Spec:
    """A row of whichever dataset was asked for."""
    return {"anyOf": [{"$ref": f"#/components/schemas/{name}_{suffix}"} for name in OPEN_DATASETS]}


def columns(listed: tuple[Column, ...]) -> Spec:
    """A row of these columns; what is not known is left out."""
    return {"type": "object", "properties": {c.name: _TYPES[c.type] for c in listed}}


def _reading(dataset: Dataset, *, latest: bool) -> Spec:
    time = _TYPES[ColumnType.TIME]
    properties: Spec = {
        "time": time,
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
            properties[f"{prop.name}_time"] = time
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
