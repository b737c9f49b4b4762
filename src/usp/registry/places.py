"""Where devices stand: a new place begins where it differs from the last one, and old readings keep the old one."""

from typing import TYPE_CHECKING, NamedTuple

from usp.db import Connection
from usp.registry.outcome import Change, Label, Outcome, Record
from usp.registry.standing import Place, Standing

if TYPE_CHECKING:
    from datetime import datetime


class Wanted(NamedTuple):
    """A site, a position of one's own, or both; neither means nowhere."""

    site: str | None
    lon: float | None
    lat: float | None
    approximate: bool

    @property
    def spot(self) -> tuple[str | None, float | None, float | None]:
        """The same, however well it is known."""
        return self.site, self.lon, self.lat

    @property
    def is_nowhere(self) -> bool:
        """Whether it is no place at all."""
        return self.site is None and self.lon is None


_NOWHERE = Wanted(None, None, None, approximate=False)


def _wanted(place: Place | None) -> Wanted:
    return _NOWHERE if place is None else Wanted(place.site, place.lon, place.lat, place.approximate)


def place_wanted(record: Record, place: Place | None) -> Wanted | None:
    """The place that a row gives, its gaps filled from the present one; None if it says nothing about it."""
    values, wrong = record.values, {mistake.column for mistake in record.mistakes}
    if not {"site", "lon", "lat", "approximate"} & values.keys() or {"lon", "lat"} & wrong:
        return None
    old = _wanted(place)
    site = values.get("site", old.site)
    # A position of one's own at another site would be a wrong one.
    lon, lat = (old.lon, old.lat) if site == old.site else (None, None)
    if "lon" in values and "lat" in values:
        lon, lat = values["lon"], values["lat"]
    is_same = (site, lon, lat) == old.spot
    return Wanted(site, lon, lat, values.get("approximate", is_same and old.approximate))


class Moves:
    """The new places of a list of devices."""

    def __init__(self, standing: Standing, *, correct: bool) -> None:
        self._standing = standing
        self._correct = correct
        self._ended: list[tuple[int, datetime]] = []
        self._mended: list[tuple[int, Wanted]] = []
        self._begun: list[tuple[str, Wanted, datetime | None]] = []

    def add(self, record: Record, outcome: Outcome, wanted: Wanted) -> None:
        """Let a device stand there from now on, or since the row says."""
        place = self._standing.places.get(record.name)
        old, since = _wanted(place), record.values.get("since")
        if wanted == old or (place is None and wanted.is_nowhere):
            return
        if place is None:
            outcome.change(Label.CHANGED, _differences(old, wanted))
            self._begun.append((record.name, wanted, since))
            return
        if self._correct or wanted.spot == old.spot:
            outcome.change(Label.CHANGED, _differences(old, wanted))
            self._mended.append((place.key, wanted))
            return
        since = since or self._standing.now
        if place.since is not None and since <= place.since:
            outcome.refuse("since", f"it stands elsewhere since {place.since.isoformat()}; `since` must be later.")
            return
        outcome.change(Label.MOVED, _differences(old, wanted))
        self._ended.append((place.key, since))
        if not wanted.is_nowhere:
            self._begun.append((record.name, wanted, since))

    async def write(self, connection: Connection) -> None:
        """Write the places: first what has ended, since no two of a device may overlap."""
        await connection.executemany(
            "UPDATE usp.placement SET valid = tstzrange(lower(valid), $2) WHERE id = $1", self._ended
        )
        await connection.executemany(
            "UPDATE usp.placement SET site = (SELECT id FROM usp.site WHERE name = $2), lon = $3, lat = $4, "
            "approximate = $5 WHERE id = $1",
            [(key, *wanted) for key, wanted in self._mended],
        )
        await connection.executemany(
            "INSERT INTO usp.placement (device, site, lon, lat, approximate, valid) "
            "SELECT id, (SELECT id FROM usp.site WHERE name = $2), $3, $4, $5, tstzrange($6, NULL) "
            "FROM usp.device WHERE name = $1",
            [(name, *wanted, since) for name, wanted, since in self._begun],
        )


def _differences(old: Wanted, new: Wanted) -> list[Change]:
    return [Change(n, a, b) for n, a, b in zip(Wanted._fields, old, new, strict=True) if a != b]
