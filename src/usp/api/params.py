"""The door: URL text becomes frozen queries here, and nothing further in checks again."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta, tzinfo

from usp.api import values
from usp.api.live_question import Question
from usp.api.paging import DEFAULT_LIMIT, MAX_LIMIT, parse_name_cursor, parse_reading_cursor, unbound
from usp.api.problems import NothingThere, UnknownName, nearest, shown
from usp.errors import QueryError
from usp.models.dataset import Dataset, Property, Visibility
from usp.models.datasets import DATASETS
from usp.models.device import KINDS
from usp.models.query import BBox, Condition, LatestQuery, Near, Page, Places, ReadingQuery, TimeWindow

PLACE = ("device", "site", "kind", "category", "bbox", "near")
PAGE = ("limit", "cursor", "format")

#: What each address understands.
READINGS = ("from", "to", *PLACE, "where", "properties", "bucket", "by", "tz", "order", *PAGE)
LATEST = (*PLACE, "where", "properties", *PAGE)
STREAM = ("dataset", *PLACE, "properties")
DEVICES = (*PLACE, *PAGE)
SITES = ("site", "bbox", "near", *PAGE)
DOCUMENT = ("format",)
DEVICE_QUALITY = ("from", "to", "format")
DATASET_QUALITY = (*PLACE, "from", "to", "format")
#: What chooses rejections, also in the body that asks for a replay.
CHOICE = ("reason", "address", "device", "door", "field", "from", "to")
REJECTIONS = (*CHOICE, "state", *PAGE)
REJECTION_STATS = ("by", "limit", "format")
#: What operators look at beside.
MINUTES = ("minutes", "format")
SILENT = ("kind", *PAGE)
CANDIDATES = ("limit", "format")

#: Lists by comma.
_LISTS = ("dataset", "device", "site", "kind", "category", "where", "properties")

DEFAULT_SPAN = timedelta(hours=24)
#: Before that, time zones have offsets to the second, and the first moment of all is PostgreSQL's -infinity.
_EARLIEST = datetime(1900, 1, 1, tzinfo=UTC)
CATEGORIES = tuple(dict.fromkeys(category for kind in KINDS.values() for category in kind.categories))

#: Formats that come whole take any number of rows.
_NO_LIMIT = 999_999_999

Texts = dict[str, str]


def visible_datasets(seen: Visibility) -> dict[str, Dataset]:
    """The datasets of which something is seen, by name."""
    return {d.name: d for d in DATASETS.values() if d.visible(seen)}


OPEN_DATASETS = visible_datasets(Visibility.OPEN)


def read(
    items: Iterable[tuple[str, str]], known: tuple[str, ...], path: str = "", *, lists: tuple[str, ...] = _LISTS
) -> Texts:
    """The parameters as given, once each, all of them known; a cursor must be one of the same query at this path."""
    texts: Texts = {}
    for name, text in items:
        if name not in known:
            raise UnknownName(
                f"{shown(name)} is no parameter here; {_listed(known)}.",
                parameter=name[:80],
                suggestion=nearest(name.lower(), known, cutoff=0.4),
            )
        if name in texts:
            advice = f"a list is written {name}=a,b" if name in lists else "once is enough"
            raise QueryError(f"`{name}` is given twice; {advice}.", parameter=name)
        if not text:
            raise QueryError(f"`{name}` is empty; leave it out or give it a value.", parameter=name)
        texts[name] = text
    if "cursor" in texts:
        texts["cursor"] = unbound(texts["cursor"], path, texts.items())
    return texts


def _listed(known: tuple[str, ...]) -> str:
    if len(known) > 1:
        return f"there are {', '.join(known)}"
    return f"there is only {known[0]}" if known else "there is none"


def dataset_named(name: str, seen: Visibility) -> Dataset:
    """The visible dataset of this name."""
    known = visible_datasets(seen)
    if name not in known:
        raise NothingThere(f"There is no dataset {shown(name)}.", nearest(name, known))
    return known[name]


def reading_query(
    texts: Texts, dataset: Dataset, *, paged: bool, now: datetime, seen: Visibility = Visibility.OPEN
) -> ReadingQuery:
    """Readings of one dataset; without `from` and `to` those of the last 24 hours."""
    window, page = window_and_page(texts, paged=paged, now=now)
    return ReadingQuery(
        dataset=dataset,
        properties=_properties(texts, dataset, seen),
        window=window,
        places=places(texts),
        where=_where(texts, dataset, seen),
        page=page,
    )


def window_and_page(texts: Texts, *, paged: bool, now: datetime, zone: tzinfo = UTC) -> tuple[TimeWindow, Page]:
    """The window of time, and the page of what is ordered by time. A date alone is its midnight in `zone`."""
    after = None
    window = _window(texts, now, zone)
    if "cursor" in texts:
        time, name, kept = parse_reading_cursor(texts["cursor"])
        # "Now" was then. Where a window was asked for, the cursor belongs to the very same.
        window, after = kept, (time, name)
    order = values.known_word("order", texts.get("order", "asc"), ("asc", "desc"))
    return window, Page(_limit(texts, paged=paged), descending=order == "desc", after=after)


def latest_query(texts: Texts, dataset: Dataset, *, paged: bool, seen: Visibility = Visibility.OPEN) -> LatestQuery:
    """The newest values of one dataset."""
    return LatestQuery(
        dataset=dataset,
        properties=_properties(texts, dataset, seen),
        places=places(texts),
        where=_where(texts, dataset, seen),
        page=name_page(texts, paged=paged),
    )


def stream_question(texts: Texts, seen: Visibility = Visibility.OPEN) -> Question:
    """Newest values of datasets; properties are taken from each dataset that has them, and others left out."""
    known = visible_datasets(seen)
    names = values.known_words("dataset", texts["dataset"], known) if "dataset" in texts else tuple(known)
    shown_of: dict[str, frozenset[str] | None] = dict.fromkeys(names)
    if "properties" in texts:
        asked = values.known_words(
            "properties",
            texts["properties"],
            dict.fromkeys(p.name for name in names for p in known[name].visible(seen)),
        )
        of_each = {name: frozenset(asked) & {p.name for p in known[name].visible(seen)} for name in names}
        shown_of = {name: chosen for name, chosen in of_each.items() if chosen}
    return Question(tuple(shown_of.items()), places(texts), seen)


def name_page(texts: Texts, *, paged: bool) -> Page:
    """A page of a list that is ordered by names."""
    after = (None, parse_name_cursor(texts["cursor"])) if "cursor" in texts else None
    return Page(_limit(texts, paged=paged), after=after)


def places(texts: Texts) -> Places:
    """Which devices are asked for; whether they exist only the database knows."""
    bbox = near = None
    if "bbox" in texts:
        west, south, east, north = values.numbers("bbox", texts["bbox"], 4, "minLon,minLat,maxLon,maxLat")
        bbox = BBox(west, south, east, north)
    if "near" in texts:
        near = Near(*values.numbers("near", texts["near"], 3, "lon,lat,metres"))
    return Places(
        devices=values.words("device", texts["device"]) if "device" in texts else (),
        sites=values.words("site", texts["site"]) if "site" in texts else (),
        kinds=values.known_words("kind", texts["kind"], KINDS) if "kind" in texts else (),
        categories=values.known_words("category", texts["category"], CATEGORIES) if "category" in texts else (),
        bbox=bbox,
        near=near,
    )


def _window(texts: Texts, now: datetime, zone: tzinfo) -> TimeWindow:
    start = values.moment("from", texts["from"], zone) if "from" in texts else None
    end = values.moment("to", texts["to"], zone) if "to" in texts else now
    if start is not None and "to" not in texts and start >= now:
        raise QueryError("`from` lies in the future, and without `to` the window ends now.", parameter="from")
    try:
        window = TimeWindow(end - DEFAULT_SPAN if start is None else start, end)
    except OverflowError:
        raise QueryError("`to` leaves no 24 hours before it.", parameter="to") from None
    if window.start < _EARLIEST:
        raise QueryError(
            f"`from` lies before {_EARLIEST:%Y}; nothing older than 2000-01-01 is ever taken in.", parameter="from"
        )
    return window


def _limit(texts: Texts, *, paged: bool) -> int | None:
    if "limit" not in texts:
        return DEFAULT_LIMIT if paged else None
    if not paged:
        return values.whole("limit", texts["limit"], _NO_LIMIT, "a whole number from 1 on, or leave it out for all")
    why = f"from 1 to {MAX_LIMIT} rows make a page, `next` leads on, and format=csv, ndjson or parquet gives everything"
    return values.whole("limit", texts["limit"], MAX_LIMIT, why)


def _properties(texts: Texts, dataset: Dataset, seen: Visibility) -> tuple[Property, ...]:
    if "properties" not in texts:
        return dataset.visible(seen)
    words = values.words("properties", texts["properties"])
    return tuple(property_named("properties", word, dataset, seen) for word in words)


def property_named(parameter: str, name: str, dataset: Dataset, seen: Visibility) -> Property:
    """The visible property of this name."""
    visible = {p.name: p for p in dataset.visible(seen)}
    if name not in visible:
        raise UnknownName(
            f"Unknown property {shown(name)} in `{parameter}`; {dataset.name} has {', '.join(visible)}.",
            parameter=parameter,
            suggestion=nearest(name, visible),
        )
    return visible[name]


def _where(texts: Texts, dataset: Dataset, seen: Visibility) -> tuple[Condition, ...]:
    if "where" not in texts:
        return ()
    conditions: list[Condition] = []
    for word in values.words("where", texts["where"]):
        name, colon, text = word.partition(":")
        if not colon:
            raise QueryError(f"`where` is {shown(word)}; write property:value.", parameter="where")
        prop = property_named("where", name, dataset, seen)
        if any(c.property is prop for c in conditions):
            raise QueryError(f"`where` asks {name} twice; all conditions must hold at once.", parameter="where")
        conditions.append(Condition(prop, values.stored_value(prop, text)))
    return tuple(conditions)
