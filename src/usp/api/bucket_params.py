"""What is asked of buckets: width, over which devices, and statistics of properties."""

from datetime import UTC, datetime
from functools import cache
from zoneinfo import ZoneInfo, available_timezones

from usp.api import params, values
from usp.api.paging import not_ours
from usp.api.problems import UnknownName, nearest, shown
from usp.errors import QueryError
from usp.models.bucket import STATISTICS, Asked, By, Statistic, Width, own_statistics
from usp.models.dataset import Aggregation, Dataset, Visibility
from usp.models.edges import FIXED, edges
from usp.models.query import BucketQuery

DEFAULT_ZONE = "Europe/Rome"


def bucket_query(texts: params.Texts, dataset: Dataset, *, paged: bool, now: datetime, seen: Visibility) -> BucketQuery:
    """Aggregates of one dataset; the window is widened to whole buckets."""
    if "where" in texts:
        raise QueryError(
            "`where` chooses readings, and buckets are formed of all of them; leave one of the two out.",
            parameter="where",
        )
    width = Width(values.known_word("bucket", texts["bucket"], tuple(Width)))
    by = By(values.known_word("by", texts.get("by", By.DEVICE), tuple(By)))
    zone = _zone(texts.get("tz", DEFAULT_ZONE))
    # Whoever asks for days names days: those of the place, not of Greenwich.
    window, page = params.window_and_page(texts, paged=paged, now=now, zone=UTC if width in FIXED else zone)
    found = edges(width, window, zone)
    if page.after is not None and page.after[0] not in found[:-1]:
        raise not_ours()
    return BucketQuery(
        dataset=dataset,
        asked=_asked(texts, dataset, by, seen),
        width=width,
        edges=found,
        by=by,
        places=params.places(texts),
        page=page,
    )


def refuse_without_bucket(texts: params.Texts) -> None:
    """Refuse what only makes sense with `bucket`."""
    for name in ("by", "tz"):
        if name in texts:
            raise QueryError(f"`{name}` goes with `bucket`, as in bucket=1h.", parameter=name)
    if ":" in texts.get("properties", ""):
        raise QueryError(
            "A statistic of a property goes with `bucket`, as in bucket=1h; of readings give the name alone.",
            parameter="properties",
        )


@cache
def _zones() -> frozenset[str]:
    # Looking for them reads all their files. Two are none: they stand for what is not set.
    return frozenset(available_timezones() - {"Factory", "localtime"})


def _zone(name: str) -> ZoneInfo:
    known = _zones()
    if name not in known:
        raise UnknownName(
            f"`tz` {shown(name)} is no time zone; one is called as in the IANA database, {DEFAULT_ZONE} for example.",
            parameter="tz",
            suggestion=nearest(name, known),
        )
    return ZoneInfo(name)


def _asked(texts: params.Texts, dataset: Dataset, by: By, seen: Visibility) -> tuple[Asked, ...]:
    if "properties" in texts:
        words = values.words("properties", texts["properties"])
        found = [asked for word in words for asked in _word(word, dataset, by, seen)]
        return tuple(dict.fromkeys(found))
    listed = [p for p in dataset.visible(seen) if by is By.DEVICE or p.aggregation is not Aggregation.LAST]
    return tuple(Asked(p, statistic) for p in listed for statistic in own_statistics(p))


def _word(word: str, dataset: Dataset, by: By, seen: Visibility) -> list[Asked]:
    name, colon, text = word.partition(":")
    prop = params.property_named("properties", name, dataset, seen)
    offered = STATISTICS[prop.aggregation]
    if by is not By.DEVICE:
        offered = tuple(s for s in offered if s is not Statistic.LAST)
    if not colon:
        statistics = tuple(s for s in own_statistics(prop) if s in offered)
        if statistics:
            return [Asked(prop, s) for s in statistics]
        text = Statistic.LAST.value
    if text not in offered:
        why = ""
        if text == Statistic.LAST:
            why = f"; the last value of several devices together is none of theirs: ask by=device, not by={by}"
        raise UnknownName(
            f"`properties` asks {shown(text)} of {name}, a property of the sort {prop.aggregation}, which has "
            f"{', '.join(offered)}{why}.",
            parameter="properties",
            suggestion=None if why else nearest(text, offered),
        )
    return [Asked(prop, Statistic(text))]
