"""GeoJSON: pages of features, for maps."""

from collections.abc import AsyncIterator, Callable
from typing import Any, cast

from usp.api.database import Database
from usp.api.representations.json import asked
from usp.api.representations.objects import body, concatenated, members, page
from usp.api.selection import Column, Selection

_PLACE = ("lon", "lat")
#: In degrees of WGS 84, longitude first (RFC 7946, 3.1.1 and 4); without a place the geometry is null (3.2).
_GEOMETRY = """coalesce('{"type":"Point","coordinates":[' || lon || ',' || lat || ']}', 'null')"""
_NOWHERE = "'null'"


class GeoJSON:
    """A FeatureCollection (RFC 7946), each row a point; `next`, licence and units are foreign members (6.1)."""

    name = "geojson"
    media_type = "application/geo+json"
    content_type = "application/geo+json"
    paged = True
    spatial = True

    async def chunks(
        self, selection: Selection, database: Database, link: Callable[[str], str]
    ) -> AsyncIterator[bytes]:
        """Fetch the page; it is passed on as PostgreSQL wrote it."""
        found = await page(selection, database, _feature(selection.columns))
        onward = None
        if found.more:
            onward = link(selection.cursor(cast("dict[str, Any]", found.last())["properties"]))
        about = selection.about
        after: dict[str, object] = {"next": onward} | asked(about)
        after |= {name: about[name] for name in ("title", "licence", "attribution") if name in about}
        if units := {column.name: column.unit for column in selection.columns if column.unit}:
            after["units"] = units
        yield body({"type": "FeatureCollection"}, "features", found.lines, after)


def _feature(columns: tuple[Column, ...]) -> str:
    placed = {column.name for column in columns} >= set(_PLACE)
    others = [column for column in columns if column.name not in _PLACE]
    return concatenated(
        [
            """'{"type":"Feature","geometry":'""",
            _GEOMETRY if placed else _NOWHERE,
            """',"properties":{'""",
            *members(others),
            "'}}'",
        ]
    )
