"""Device, Site and Placement: what stands in the street, where, since when, and who may know."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any, NamedTuple

from usp.errors import RegistryError
from usp.models.dataset import Property, Visibility
from usp.models.datasets import DATASETS

#: Device and site identifiers: short, lower case, safe in a topic, a URL and a file name.
IDENTIFIER = re.compile(r"[a-z0-9][a-z0-9-]{1,62}")


@dataclass(frozen=True)
class Kind:
    """A kind of device: the datasets it reports, and the categories it may be of."""

    name: str
    title: str
    datasets: tuple[str, ...]
    categories: tuple[str, ...] = ()
    default_visibility: Visibility = Visibility.OPEN


def _kind(
    name: str,
    title: str,
    datasets: tuple[str, ...],
    categories: tuple[str, ...] = (),
    default_visibility: Visibility = Visibility.OPEN,
) -> Kind:
    return Kind(name, title, (*datasets, "device_health"), categories, default_visibility)


KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        _kind(
            "lamppost",
            "Smart lamppost",
            ("air_quality", "weather", "noise", "traffic", "lighting", "wifi"),
        ),
        _kind(
            "parking_sensor",
            "Parking sensor",
            ("parking",),
            ("logistics", "disabled", "no_parking", "mobility_area"),
        ),
        _kind("charging_point", "Charging point", ("charging",), ("fast", "normal")),
        _kind(
            "energy_meter",
            "Energy meter",
            ("energy",),
            ("main", "common", "photovoltaic", "dwelling"),
        ),
        # A climate sensor tells who is at home.
        _kind(
            "indoor_sensor",
            "Indoor sensor",
            ("indoor_climate",),
            default_visibility=Visibility.RESTRICTED,
        ),
    )
}

#: A category whose devices may never be open, whatever the registry says.
NEVER_OPEN = "dwelling"


@cache
def native_fields(kind: str) -> dict[str, tuple[str, Property]]:
    """Payload field -> (dataset, property): `<property>` if it is unambiguous, `<dataset>.<property>` always."""
    fields: dict[str, tuple[str, Property]] = {}
    names: dict[str, list[tuple[str, Property]]] = {}
    for dataset in KINDS[kind].datasets:
        for prop in DATASETS[dataset].properties:
            fields[f"{dataset}.{prop.name}"] = (dataset, prop)
            names.setdefault(prop.name, []).append((dataset, prop))
    return fields | {name: found[0] for name, found in names.items() if len(found) == 1}


def native_profile(kind: str) -> str:
    """The name of the profile of a device that sends the vocabulary's own names and units."""
    return f"native-{kind.replace('_', '-')}"


class Mistake(NamedTuple):
    """A column of a device or site, and what is wrong in it and would be right."""

    column: str
    text: str


@dataclass(frozen=True, kw_only=True)
class Site:
    """A named place: a street corner, a mobility area, a building. Degrees are WGS 84."""

    name: str
    title: str
    lon: float
    lat: float
    address: str = ""
    approximate: bool = False

    def __post_init__(self) -> None:
        _refuse(self.name, site_mistakes(vars(self)))


@dataclass(frozen=True, kw_only=True)
class Device:
    """One device and where it stands now.

    Without a profile it sends the vocabulary's own names and units, and reports on change. `address` is what it is
    called in the network it speaks through, as people write it; `since` is when it came to its place and address.
    """

    name: str
    kind: str
    profile: str = ""
    title: str = ""
    category: str | None = None
    parent: str | None = None
    visibility: Visibility | None = None
    site: str | None = None
    lon: float | None = None
    lat: float | None = None
    approximate: bool = False
    address: str | None = None
    since: datetime | None = None
    retired_at: datetime | None = None

    def __post_init__(self) -> None:
        _refuse(self.name, device_mistakes(vars(self)))
        if not self.profile:
            object.__setattr__(self, "profile", native_profile(self.kind))
        if self.visibility is None:
            object.__setattr__(self, "visibility", default_visibility(self.kind, self.category))


def default_visibility(kind: str, category: str | None) -> Visibility:
    """Who may see a device of which nobody has said it."""
    return Visibility.RESTRICTED if category == NEVER_OPEN else KINDS[kind].default_visibility


def a_kind(name: str) -> str:
    """A kind of device in a sentence."""
    return f"{'an' if name[:1] in 'aeiou' else 'a'} {name}"


def site_mistakes(values: Mapping[str, Any]) -> Iterator[Mistake]:
    """What is wrong about a site; of a part of its columns, what can be told from those."""
    yield from _name_mistakes(values, "site")
    yield from _position_mistakes(values)


def device_mistakes(values: Mapping[str, Any]) -> Iterator[Mistake]:
    """What is wrong about a device; of a part of its columns, what can be told from those."""
    yield from _name_mistakes(values, "device")
    kind, category = values.get("kind"), values.get("category")
    if kind is not None and kind not in KINDS:
        yield Mistake("kind", f"kind {kind!r} is none of {', '.join(KINDS)}.")
    elif kind is not None and category is not None and category not in KINDS[kind].categories:
        known = ", ".join(KINDS[kind].categories) or "none at all"
        yield Mistake("category", f"category {category!r} of {a_kind(kind)}; it takes {known}.")
    if category == NEVER_OPEN and values.get("visibility") is Visibility.OPEN:
        yield Mistake("visibility", f"a {NEVER_OPEN}'s device may be restricted or ops, never open.")
    if values.get("parent") is not None and values["parent"] == values.get("name"):
        yield Mistake("parent", "a device cannot be a part of itself.")
    if (values.get("lon") is None) != (values.get("lat") is None):
        yield Mistake("lat" if values.get("lat") is None else "lon", "lon and lat go together.")
    yield from _position_mistakes(values)


def _name_mistakes(values: Mapping[str, Any], what: str) -> Iterator[Mistake]:
    name = values.get("name")
    if name is not None and IDENTIFIER.fullmatch(name) is None:
        yield Mistake(
            "name", f"{what} {name!r} is no identifier: 2 to 63 of a-z, 0-9 and '-', beginning with a letter or digit."
        )


def _position_mistakes(values: Mapping[str, Any]) -> Iterator[Mistake]:
    """WGS 84. A swapped pair is the usual mistake, or a decimal point that a spreadsheet took out."""
    lon, lat = values.get("lon"), values.get("lat")
    if lon is not None and not -180 <= lon <= 180:
        yield Mistake("lon", f"lon {lon:g} is no position: it lies between -180 and 180, and has a decimal point.")
    if lat is not None and not -90 <= lat <= 90:
        if lon is not None and -90 <= lon <= 90 and -180 <= lat <= 180:
            text = f"lon {lon:g}, lat {lat:g} is no position; are they swapped?"
        else:
            text = f"lat {lat:g} is no position: it lies between -90 and 90, and has a decimal point."
        yield Mistake("lat", text)


def _refuse(name: str, mistakes: Iterator[Mistake]) -> None:
    found = [*mistakes]
    if found:
        # The identifier's own mistake names it already.
        raise RegistryError(" ".join(m.text if m.column == "name" else f"{name}: {m.text}" for m in found))
