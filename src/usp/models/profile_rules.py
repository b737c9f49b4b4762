"""What has to hold in a profile beyond its form: names that exist, units that convert, paths that do not collide."""

import difflib
import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from usp.models.dataset import Aggregation, Property, ValueType
from usp.models.device import IDENTIFIER, KINDS, native_fields
from usp.models.paths import Step, broken_path, is_path, steps
from usp.models.units import unit_conversion

if TYPE_CHECKING:
    from usp.models.profile import DeviceProfile, FieldMap, PartRule

#: Ends a place where the key is wrong, and not what stands behind it; pydantic says so too.
KEY = "[key]"
#: Where in the profile, and what is wrong there.
Mistake = tuple[tuple[Step, ...], str]

_CODEC = re.compile(r"cayenne_lpp|[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}\.js")
_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
_PART_NAME = re.compile(r"[a-z0-9-]+")
_EVERY = re.compile(r"\[\*\]$|\.\*$")


def mistakes(profile: "DeviceProfile") -> Iterator[Mistake]:
    """Everything that is wrong in a profile whose form is right."""
    if IDENTIFIER.fullmatch(profile.name) is None:
        yield ("name",), f"{profile.name!r} is no identifier; 2 to 63 of a-z, 0-9 and '-' would be"
    if profile.zone is not None and not _is_zone(profile.zone):
        yield ("zone",), f"{profile.zone!r} is no time zone; Europe/Rome is one"
    if profile.codec is not None and _CODEC.fullmatch(profile.codec) is None:
        yield ("codec",), f"{profile.codec!r} is no codec; cayenne_lpp is one, or a file's name: {_script(profile)}"
    if profile.kind not in KINDS:
        yield ("kind",), f"there is no kind {profile.kind!r}; {nearest(profile.kind, KINDS)}"
        return
    known = native_fields(profile.kind)
    for name, mapping in profile.fields.items():
        place = ("fields", name)
        yield from (((*place, KEY), told) for told in _in_path(name, profile))
        found = known.get(mapping.property)
        if found is None:
            yield (*place, "property"), _no_property(mapping.property, profile.kind)
        else:
            yield from _in_field(place, mapping, found[1])
    for name in profile.registers:
        if name not in known:
            yield ("registers", name, KEY), _no_property(name, profile.kind)
        elif known[name][1].aggregation is not Aggregation.COUNTER:
            counters = [key for key, (_, prop) in known.items() if prop.aggregation is Aggregation.COUNTER]
            yield ("registers", name, KEY), f"{name} does not count up; these do: {', '.join(counters) or 'none'}"
    if profile.time is not None:
        several = f"{profile.time!r} means several fields; name one" if _EVERY.search(profile.time) else None
        wrong = several or broken_path(profile.time)
        yield from [(("time",), wrong)] if wrong else []
    for number, part in enumerate(profile.children):
        yield from _in_part(("children", number), part, profile)


def nearest(wrong: str, names: Iterable[str]) -> str:
    """What somebody may have meant who wrote something else."""
    names = list(names)
    near = difflib.get_close_matches(wrong[:80].lower(), names, n=1, cutoff=0.5)
    return f"did you mean {near[0]}?" if near else f"there are {', '.join(names)}"


def _script(profile: "DeviceProfile") -> str:
    stem = re.sub(r"[^A-Za-z0-9_.-]", "", profile.codec or "").strip(".")
    return f"{stem or profile.name}.js"


def _is_zone(name: str) -> bool:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return False
    return True


def _no_property(name: str, kind: str) -> str:
    what = f"a {KINDS[kind].title.lower()} has no property {name!r}"
    known = native_fields(kind)
    elsewhere = [other.name for other in KINDS.values() if name in native_fields(other.name)]
    if elsewhere:
        return f"{what}; a device of kind {' or '.join(elsewhere)} has"
    near = near_property(name, kind)
    plain = [key for key in known if "." not in key]
    return f"{what}; " + (f"did you mean {near}?" if near else f"there are {', '.join(plain)}")


def near_property(name: str, kind: str) -> str | None:
    """The property that a field of such a name may be; None where none is near."""
    known = {_bare(key): key for key in reversed(native_fields(kind))}
    last = name.removesuffix(".value").rpartition(".")[2]
    tried = [wanted for wanted in map(_bare, (name, last, *last.split("_"))) if len(wanted) > 1]
    for wanted in tried:
        if wanted in known:
            return known[wanted]
    # "temp" begins temperature, and "air_temperature" holds it; by their letters they are far from it.
    for wanted in tried:
        for bare, key in reversed(known.items()):
            if min(len(wanted), len(bare)) > 2 and "." not in bare and (bare.startswith(wanted) or bare in wanted):
                return key
    near = difflib.get_close_matches(_bare(last), known, n=1, cutoff=0.7)
    return known[near[0]] if near else None


def _bare(name: str) -> str:
    return re.sub(r"[^a-z0-9.]", "", name[:80].lower())


def _in_path(name: str, profile: "DeviceProfile") -> Iterator[str]:
    if wrong := broken_path(name):
        yield wrong
    if _EVERY.search(name):
        yield f"{name!r} means several values; each is one of a part, under `children`, or write {name[:-3]}[0]"
    if not is_path(name):
        return
    inside = steps(name)
    for other in profile.fields:
        if other != name and inside[: len(steps(other))] == steps(other):
            yield f"{name} lies inside {other}, which is a field itself; keep one of them"
    for part in profile.children:
        if part.path is not None:
            whole = steps(_EVERY.sub("", part.path))
            if inside[: len(whole)] == whole:
                yield f"{name} belongs to the parts at {part.path}; map it in the profile of those"


def _in_field(place: tuple[Step, ...], mapping: "FieldMap", prop: Property) -> Iterator[Mistake]:
    """What makes a mapping one by which no value could ever be stored."""
    if prop.type in {ValueType.REAL, ValueType.DOUBLE}:
        if mapping.values:
            yield (*place, "values"), f"{prop.name} is a number; values are for states and booleans"
        if mapping.unit is not None:
            try:
                unit_conversion(mapping.unit, prop)
            except ValueError as error:
                yield (*place, "unit"), str(error)
        return
    for key in ("unit", "scale", "offset", "parse"):
        if key in mapping.model_fields_set:
            yield (*place, key), f"{prop.name} is no number, so {key} does not apply; values does"
    for sent, meant in mapping.values.items():
        where = (*place, "values", sent)
        if prop.type is ValueType.BOOLEAN and not isinstance(meant, bool):
            yield where, f"{prop.name} is true or false, got {meant!r}"
        elif prop.states and meant not in prop.states:
            yield where, f"{prop.name} has no state {meant!r}; {nearest(str(meant), prop.states)}"


def _in_part(place: tuple[Step, ...], part: "PartRule", profile: "DeviceProfile") -> Iterator[Mistake]:
    if (part.path is None) == (part.prefix is None):
        yield place, "expected either path or prefix, and not both"
        return
    allowed = {"index"} if part.prefix is not None and "{index}" in part.prefix else set()
    several = bool(allowed)
    if part.prefix is not None and not part.prefix.replace("{index}", ""):
        yield (*place, "prefix"), "expected how the names of the part's fields begin, such as ch1_"
    if part.path is not None:
        several = _EVERY.search(part.path) is not None
        if wrong := broken_path(_EVERY.sub("", part.path), "[*]"):
            yield (*place, "path"), wrong
            return
        if "*" in _EVERY.sub("", part.path):
            yield (*place, "path"), f"{part.path!r}: a * stands at the end, as in lanes[*]"
            return
        if part.path in profile.fields:
            yield (*place, "path"), f"{part.path} is a field of the device itself; keep one of them"
    names = _PLACEHOLDER.findall(part.name)
    if _PART_NAME.fullmatch(_PLACEHOLDER.sub("1", part.name)) is None:
        yield (*place, "name"), f"{part.name!r} cannot end a device's name; a-z, 0-9, '-' and {{index}} can"
    elif several and not names:
        yield (*place, "name"), f"there may be several, and all would be called {part.name}; put {{index}} into it"
    elif part.prefix is not None and set(names) - allowed:
        yield (*place, "name"), "with prefix, the name may hold {index}, where the prefix holds it too; nothing else"
