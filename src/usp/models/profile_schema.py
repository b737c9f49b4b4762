"""The JSON Schema of profiles: what an editor needs to complete keys and properties, and to underline mistakes."""

import json
from typing import Any

from usp.models.dataset import Aggregation
from usp.models.device import KINDS, native_fields
from usp.models.profile import DeviceProfile

SCHEMA_ID = "https://json-schema.org/draft/2020-12/schema"


def schema() -> dict[str, Any]:
    """The schema as a document. Which properties there are depends on the kind."""
    made = _simple(DeviceProfile.model_json_schema(mode="validation"))
    made["properties"]["kind"]["enum"] = list(KINDS)
    # Pydantic's titles repeat the keys, and its descriptions of models are for programmers.
    return {
        "$schema": SCHEMA_ID,
        "title": "Device profile of the urban sharing platform",
        "description": "What is common to all devices of one model; explained in docs/profiles.md.",
        "type": "object",
        "additionalProperties": False,
        "required": made["required"],
        "properties": made["properties"],
        "allOf": [_of_kind(kind) for kind in KINDS],
        "$defs": {name: {k: v for k, v in d.items() if k != "description"} for name, d in made["$defs"].items()},
    }


def _simple(node: Any) -> Any:
    """The same schema in fewer words: no titles, no null where a key can be left out, simple types as a list."""
    if isinstance(node, list):
        return [_simple(inner) for inner in node]
    if not isinstance(node, dict):
        return node
    made = {
        # Under `properties`, `title` is a key of ours.
        key: {name: _simple(inner) for name, inner in value.items()}
        if key in {"properties", "$defs"}
        else _simple(value)
        for key, value in node.items()
        if not (key == "title" and isinstance(value, str)) and not (key == "default" and value is None)
    }
    choices = [choice for choice in made.pop("anyOf", ()) if choice != {"type": "null"}]
    names = [choice["type"] for choice in choices if set(choice) == {"type"}]
    if "number" in names:
        names = [name for name in names if name != "integer"]
    choices = [choice for choice in choices if set(choice) != {"type"}]
    if names:
        choices.insert(0, {"type": names[0] if len(names) == 1 else names})
    return made | (choices[0] if len(choices) == 1 else {"anyOf": choices} if choices else {})


def schema_text() -> str:
    """The schema as a file has it."""
    return json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"


def _of_kind(kind: str) -> dict[str, Any]:
    native = native_fields(kind)
    names = list(native)
    field = {"anyOf": [{"enum": names}, {"type": "object", "properties": {"property": {"enum": names}}}]}
    counters = [name for name, (_, prop) in native.items() if prop.aggregation is Aggregation.COUNTER]
    return {
        "if": {"properties": {"kind": {"const": kind}}, "required": ["kind"]},
        "then": {
            "properties": {
                "fields": {"additionalProperties": field},
                "registers": {"propertyNames": {"enum": counters}},
            }
        },
    }
