"""A profile's YAML, read so that each mistake is told with its line and column, and all of them at once."""

import copy
import difflib
from collections.abc import Collection, Iterable, Sequence
from typing import Any, NamedTuple

from pydantic import BaseModel, ValidationError

from usp.models.device import KINDS
from usp.models.profile import DeviceProfile, FieldMap, PartRule, Register, written
from usp.models.profile_rules import KEY
from usp.yaml_text import Document, Found, Spot, read_yaml

#: How often what is wrong is taken out to see what else is: forms first, then their meaning.
_ROUNDS = 4

_REQUIRED = {
    "name": "the file's name without .yaml",
    "title": "what people call the device model",
    "kind": f"one of {', '.join(KINDS)}",
    "property": "the property that the field becomes",
    "modulus": "the value at which the register rolls over to 0",
}

#: What may stand where something required is missing or wrong, while the rest is judged.
_STAND_INS: dict[str, object] = {"name": "some-name", "title": "", "kind": "", "modulus": 1.0}

#: What pydantic calls a mistake, what would be right, and what else helps.
_EXPECTED = {
    "string_type": ("text", ""),
    "float_type": ("a number", ""),
    "finite_number": ("a number", ""),
    "bool_type": ("true or false", ""),
    "dict_type": ("keys and values", "; they stand below, indented"),
    "model_type": ("keys and values", "; they stand below, indented"),
    "tuple_type": ("a list", "; its lines begin with '- '"),
    "literal_error": ("1", "; there is no other version yet"),
    "enum": ("end or start", ""),
    "greater_than": ("a number greater than {gt:g}", ""),
    "less_than_equal": ("a number up to {le:g}", ""),
}


class Mistake(NamedTuple):
    """Something wrong in a file."""

    source: str
    spot: Spot
    text: str

    def __str__(self) -> str:
        end = "" if self.text.endswith("?") else "."
        return f"{self.source}:{self.spot.line}:{self.spot.column}: {self.text}{end}"


def read_profile(
    text: str, source: str, *, name: str | None = None, scripts: Collection[str] | None = None
) -> tuple[DeviceProfile | None, list[Mistake]]:
    """The profile that a text describes, or everything that is wrong with it.

    `source` is the file as it is shown, `name` what the profile has to be called, `scripts` the codecs there are.
    """
    document = read_yaml(text, written)
    profile, found = _validated(document)
    data = document.data if isinstance(document.data, dict) else {}
    named, codec = data.get("name"), data.get("codec")
    if name is not None and isinstance(named, str) and named != name:
        told = f"the profile's name is {named}, so the file has to be {named}.yaml"
        found.append((document.spot(("name",)), told))
    if scripts is not None and isinstance(codec, str) and codec.endswith(".js") and codec not in scripts:
        near = _near(codec, scripts) or "; put it beside the profile"
        found.append((document.spot(("codec",)), f"there is no file {codec}{near}"))
    # What is no YAML is no text, number or list either; that need not be said.
    broken = {spot for spot, _ in document.found}
    found = [*document.found, *(told for told in found if told[0] not in broken)]
    mistakes = [Mistake(source, spot, text) for spot, text in sorted(set(found))]
    return (None if mistakes else profile), mistakes


def _validated(document: Document) -> tuple[DeviceProfile | None, list[Found]]:
    if not isinstance(document.data, dict):
        if document.found:
            return None, []
        what = "nothing" if document.data is None else "something else"
        return None, [(Spot(1, 1), f"expected a profile, such as 'name: acme-air', got {what}")]
    data: Any = copy.deepcopy(document.data)
    found: list[Found] = []
    for _ in range(_ROUNDS):
        try:
            return DeviceProfile.model_validate(data), found
        except ValidationError as error:
            details = error.errors()
        for detail in details:
            found.append(_told(detail, document))
            _without(data, detail)
        if any(detail["loc"] == ("kind",) for detail in details):
            break
    return None, found


def _told(detail: Any, document: Document) -> Found:
    """A mistake that pydantic found, in our own words, and where it is."""
    place = tuple(map(written, detail["loc"]))
    kind, value, limits = detail["type"], detail["input"], detail.get("ctx", {})
    if kind == "missing":
        about = "what it is called, such as lane-{index}" if place[0] == "children" else _REQUIRED[place[-1]]
        return document.spot(place[:-1], key=True), f"{place[-1]} is missing: {about}"
    if kind == "extra_forbidden":
        return document.spot(place, key=True), _unknown_key(place)
    of_key = place[-1] == KEY
    spot = document.spot(place[:-1] if of_key else place, key=of_key)
    if kind == "profile":
        return spot, detail["msg"]
    expected, hint = _EXPECTED.get(kind, (detail["msg"].lower(), ""))
    if kind == "enum" and isinstance(value, str):
        hint = _near(value, ("end", "start"))
    elif kind == "string_type" and isinstance(value, bool | int | float):
        hint = "; put it into quotes"
    return spot, f"expected {expected.format(**limits)}, got {_shown(value)}{hint}"


def _unknown_key(place: tuple[str, ...]) -> str:
    names = _keys_at(place[:-1])
    return f"there is no key {place[-1]!r} here{_near(place[-1], names) or '; there are ' + ', '.join(names)}"


def _keys_at(place: Sequence[str]) -> Iterable[str]:
    models: dict[str, type[BaseModel]] = {"fields": FieldMap, "registers": Register, "children": PartRule}
    return (models[place[0]] if place and place[0] in models else DeviceProfile).model_fields


def _near(wrong: str, names: Iterable[str]) -> str:
    near = difflib.get_close_matches(wrong.lower(), list(names), n=1)
    return f"; did you mean {near[0]}?" if near else ""


def _shown(value: object) -> str:
    if isinstance(value, list | dict):
        return "a list" if isinstance(value, list) else "keys and values"
    return "nothing" if value is None else repr(value)[:80]


def _without(data: Any, detail: Any) -> None:
    """Take what is wrong out of the data, so that the rest can be judged; what has to be there is replaced."""
    place = [step for step in detail["loc"] if step != KEY]
    whole = place[0] == "children" or (place[0] == "fields" and place[-1] in _REQUIRED)
    if whole and detail["type"] != "extra_forbidden":
        # A field without a property, or a part without a path or name, is nothing.
        place = place[:2]
    at, last = data, place[0]
    for step in place[1:]:
        inner = _inner(at, last)
        if not isinstance(inner, dict | list):
            break
        at, last = inner, step
    if isinstance(at, list):
        at[int(last)] = {"path": "x", "name": "x"} if at is data.get("children") else 0
    elif last in _STAND_INS and (at is data or place[0] == "registers"):
        at[last] = _STAND_INS[last]
    else:
        at.pop(last, None)


def _inner(at: Any, step: Any) -> Any:
    if isinstance(at, list):
        return at[int(step)] if int(step) < len(at) else None
    return at.get(step)
