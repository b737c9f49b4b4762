"""One object per output format, all in one table. Only here is it decided which bytes leave the house."""

from collections.abc import AsyncIterator, Callable, Sequence
from typing import Protocol

from usp.api.database import Database
from usp.api.problems import NotAcceptable, UnknownName, nearest, shown
from usp.api.representations.csv import CSV
from usp.api.representations.geojson import GeoJSON
from usp.api.representations.json import JSON
from usp.api.representations.ndjson import NDJSON
from usp.api.representations.parquet import Parquet
from usp.api.selection import Selection


class Format(Protocol):
    """A way to write rows. Formats that are `paged` have a default limit and lead on to the next page."""

    @property
    def name(self) -> str:
        """What `format=` calls it."""
        ...

    @property
    def media_type(self) -> str:
        """What `Accept` calls it."""
        ...

    @property
    def content_type(self) -> str:
        """What the answer says it is."""
        ...

    @property
    def paged(self) -> bool:
        """Whether it comes in pages."""
        ...

    @property
    def spatial(self) -> bool:
        """Whether it shows each row at a place on the map: such answers have the columns `lon` and `lat`."""
        ...

    def chunks(self, selection: Selection, database: Database, link: Callable[[str], str]) -> AsyncIterator[bytes]:
        """Write the rows; `link` turns a cursor into an address."""
        ...


#: The first is what one gets who does not care.
FORMATS: tuple[Format, ...] = (JSON(), CSV(), GeoJSON(), NDJSON(), Parquet())


def choose(name: str | None, accept: str | None, formats: Sequence[Format] = FORMATS) -> Format:
    """The format asked for: `format=` goes before `Accept`."""
    if name is not None:
        known = {f.name: f for f in formats}
        if name not in known:
            raise UnknownName(
                f"`format` {shown(name)} is none of {', '.join(known)}.",
                parameter="format",
                suggestion=nearest(name.lower(), known),
            )
        return known[name]
    if not accept or not accept.strip():
        return formats[0]
    best, quality = formats[0], 0.0
    for candidate in formats:
        wanted = _quality(accept, candidate.media_type)
        if wanted > quality:
            best, quality = candidate, wanted
    if quality == 0.0:
        offered = ", ".join(f.media_type for f in formats)
        raise NotAcceptable(f"`Accept` {shown(accept)} takes none of {offered}; `format=` chooses too.")
    return best


def _quality(accept: str, media_type: str) -> float:
    """How much a media type is wanted: by the most specific range that covers it (RFC 9110, 12.5.1)."""
    ranges = {"*/*": 0, media_type.split("/", maxsplit=1)[0] + "/*": 1, media_type: 2}
    found = (-1, 0.0)
    for part in accept.split(","):
        name, *parameters = (piece.strip().lower() for piece in part.split(";"))
        if name in ranges:
            found = max(found, (ranges[name], _weight(parameters)))
    return found[1]


def _weight(parameters: list[str]) -> float:
    for parameter in parameters:
        if parameter.startswith("q="):
            try:
                return min(max(float(parameter[2:]), 0.0), 1.0)
            except ValueError:
                return 0.0
    return 1.0
