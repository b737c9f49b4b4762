"""Device, Site and Placement: what stands in the street, where, since when, and who may know."""

import re
from dataclasses import dataclass
from datetime import datetime
from functools import cache

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


def check_identifier(text: str, what: str) -> str:
    """Return `text` if it can name a device or site, else say what would."""
    if IDENTIFIER.fullmatch(text) is None:
        raise RegistryError(
            f"{what} {text!r} is no identifier: 2 to 63 of a-z, 0-9 and '-', beginning with a letter or digit."
        )
    return text


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
        check_identifier(self.name, "site")
        check_position(self.lon, self.lat, self.name)


@dataclass(frozen=True, kw_only=True)
class Device:
    """One device and where it stands now.

    Without a profile it sends the vocabulary's own names and units, and reports on change.
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
    since: datetime | None = None

    def __post_init__(self) -> None:
        check_identifier(self.name, "device")
        kind = KINDS.get(self.kind)
        if kind is None:
            raise RegistryError(f"{self.name}: kind {self.kind!r} is none of {', '.join(KINDS)}.")
        if self.category is not None and self.category not in kind.categories:
            known = ", ".join(kind.categories) or "none at all"
            raise RegistryError(f"{self.name}: category {self.category!r} of a {self.kind}; it takes {known}.")
        if not self.profile:
            object.__setattr__(self, "profile", native_profile(self.kind))
        if self.visibility is None:
            default = Visibility.RESTRICTED if self.category == NEVER_OPEN else kind.default_visibility
            object.__setattr__(self, "visibility", default)
        if self.category == NEVER_OPEN and self.visibility is Visibility.OPEN:
            raise RegistryError(f"{self.name}: a {NEVER_OPEN}'s device may be restricted or ops, never open.")
        if (self.lon is None) != (self.lat is None):
            raise RegistryError(f"{self.name}: lon and lat go together.")
        if self.lon is not None and self.lat is not None:
            check_position(self.lon, self.lat, self.name)


def check_position(lon: float, lat: float, who: str) -> None:
    """Refuse what is no WGS 84 position; a swapped pair is the usual mistake."""
    if not (-180 <= lon <= 180 and -90 <= lat <= 90):
        raise RegistryError(f"{who}: lon {lon}, lat {lat} is no position; are they swapped?")
