"""What can be asked of the data: validated, frozen, without a word of HTTP."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from usp.errors import QueryError
from usp.models.bucket import Asked, By, Width
from usp.models.dataset import Dataset, Property

EARTH_RADIUS_M = 6_371_008.8  # mean radius, IUGG


@dataclass(frozen=True)
class TimeWindow:
    """Half open: start ≤ t < end, both in UTC."""

    start: datetime
    end: datetime

    def __post_init__(self) -> None:
        if self.start >= self.end:
            raise QueryError("`from` must lie before `to`.", parameter="from")


@dataclass(frozen=True)
class BBox:
    """Degrees, WGS 84: west, south, east, north. West > east crosses the antimeridian (RFC 7946, 5.2)."""

    west: float
    south: float
    east: float
    north: float

    def __post_init__(self) -> None:
        if not (abs(self.west) <= 180 and abs(self.east) <= 180 and -90 <= self.south <= self.north <= 90):
            raise QueryError(
                "bbox is minLon,minLat,maxLon,maxLat in degrees, as in bbox=9.15,45.43,9.24,45.48.",
                parameter="bbox",
            )


@dataclass(frozen=True)
class Near:
    """Everything within `metres` of a point, by great circle."""

    lon: float
    lat: float
    metres: float

    def __post_init__(self) -> None:
        if not (abs(self.lon) <= 180 and abs(self.lat) <= 90 and 0 < self.metres <= math.pi * EARTH_RADIUS_M):
            raise QueryError("near is lon,lat,metres, as in near=9.2121,45.4466,300.", parameter="near")


@dataclass(frozen=True)
class Condition:
    """A property must have this value, compared as stored."""

    property: Property
    value: float | bool | str


@dataclass(frozen=True, kw_only=True)
class Places:
    """Which devices: all that meet every condition given; an empty tuple asks nothing."""

    devices: tuple[str, ...] = ()
    sites: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    bbox: BBox | None = None
    near: Near | None = None

    @property
    def placed(self) -> bool:
        """Whether it matters where a device stands."""
        return bool(self.sites or self.bbox or self.near)


@dataclass(frozen=True)
class Page:
    """How many rows, in which direction, and after which one; `limit` None is all of them."""

    limit: int | None
    descending: bool = False
    after: tuple[datetime | None, str] | None = None


@dataclass(frozen=True, kw_only=True)
class ReadingQuery:
    """Raw readings of one dataset."""

    dataset: Dataset
    properties: tuple[Property, ...]
    window: TimeWindow
    places: Places = field(default_factory=Places)
    where: tuple[Condition, ...] = ()
    page: Page


@dataclass(frozen=True, kw_only=True)
class LatestQuery:
    """The newest value of each property of each device."""

    dataset: Dataset
    properties: tuple[Property, ...]
    places: Places = field(default_factory=Places)
    where: tuple[Condition, ...] = ()
    page: Page


@dataclass(frozen=True, kw_only=True)
class BucketQuery:
    """Aggregates over buckets of time: `edges` are theirs, the window's own ends among them."""

    dataset: Dataset
    asked: tuple[Asked, ...]
    width: Width
    edges: Sequence[datetime]
    by: By
    places: Places = field(default_factory=Places)
    page: Page

    @property
    def window(self) -> TimeWindow:
        """From the first edge to the last."""
        return TimeWindow(self.edges[0], self.edges[-1])

    @property
    def properties(self) -> tuple[Property, ...]:
        """The properties of which anything is asked."""
        return tuple(dict.fromkeys(asked.property for asked in self.asked))
