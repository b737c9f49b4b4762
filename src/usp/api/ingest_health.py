"""What came in, what became of it, who is silent and how late the data is: the figures as a document."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from usp.api.figures import SPANS, Figures, Row
from usp.models.dataset import Visibility
from usp.models.datasets import DATASETS
from usp.models.device import KINDS

Document = dict[str, Any]

#: What is counted of items -> the name under which it is shown.
_ITEM_COUNTS = {
    "received": "received",
    "stored": "stored",
    "duplicate": "duplicate",
    "rejected": "rejected",
    "event": "events",
    "value_refused": "values_refused",
}
_BY_REASON = {
    "rejected": "rejected_by_reason",
    "value_refused": "values_refused_by_reason",
    "event": "events_by_kind",
}

#: Where the buckets begin in which ingest counts delays, in seconds.
DELAY_EDGES = (0.0, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0, 3600.0)
_BEYOND = f"over_{DELAY_EDGES[-1]:.0f}_s"

#: The datasets that no other kind of device reports: their delays are the kind's delays.
OWN_DATASETS = {
    kind.name: [name for name in kind.datasets if sum(name in other.datasets for other in KINDS.values()) == 1]
    for kind in KINDS.values()
}


def document(figures: Figures, seen: Visibility) -> Document:
    """All figures. Devices, and when they were last heard of, are counted as far as they are seen; names are for ops.

    Counts of items and rows, and delays, are of the whole platform, so that they add up. Kinds and datasets of
    which nothing is seen are left out.
    """
    kinds = visible_kinds(figures, seen)
    shown = visible_datasets(kinds, seen)
    found = {
        "totals": _items(figures.totals) | {"in_flight": figures.in_flight},
        **{name: _by_reason(figures.totals, what) for what, name in _BY_REASON.items()},
        "rates": _rates(row for row in figures.rates if row["what"] == "received"),
        "kinds": {kind: _kind(kind, figures, seen) for kind in kinds},
        "datasets": {name: _dataset(name, figures, seen) for name in shown},
        "workers": [dict(worker) for worker in figures.workers],
    }
    if seen is Visibility.OPS:
        found["silent_devices"] = [dict(row) for row in figures.silent]
    return found


def visible_kinds(figures: Figures, seen: Visibility) -> list[str]:
    """The kinds of which any device is seen."""
    return [kind for kind in KINDS if _expected(kind, figures, seen) or _last_event("kind", kind, figures, seen)]


def visible_datasets(kinds: Iterable[str], seen: Visibility) -> list[str]:
    """The datasets that may be seen, and that any of the kinds reports."""
    reported = {name for kind in kinds for name in KINDS[kind].datasets}
    return [d.name for d in DATASETS.values() if d.visible(seen) and d.name in reported]


def _items(counts: Iterable[Row]) -> dict[str, int]:
    found = dict.fromkeys(_ITEM_COUNTS.values(), 0)
    for row in counts:
        if row["what"] in _ITEM_COUNTS:
            found[_ITEM_COUNTS[row["what"]]] += row["count"]
    return found


def _by_reason(counts: Iterable[Row], what: str) -> dict[str, int]:
    found: dict[str, int] = {}
    for row in counts:
        if row["what"] == what:
            found[row["reason"]] = found.get(row["reason"], 0) + row["count"]
    return dict(sorted(found.items()))


def _rates(rows: Iterable[Row]) -> dict[str, float]:
    found = dict.fromkeys(SPANS.values(), 0.0)
    for row in rows:
        found[row["n"]] += row["rate"]
    return {name: round(found[minutes], 3) for name, minutes in SPANS.items()}


def _kind(kind: str, figures: Figures, seen: Visibility) -> Document:
    expected = _expected(kind, figures, seen)
    reporting = sum(row[f"reporting_{seen}"] for row in figures.devices if row["kind"] == kind)
    counts = [row for row in figures.totals if row["kind"] == kind]
    return {
        "expected": expected,
        "reporting": reporting,
        "silent": expected - reporting,
        "last_event": _last_event("kind", kind, figures, seen),
        **_items(counts),
        "rejected_by_reason": _by_reason(counts, "rejected"),
        "rates": _rates(row for row in figures.rates if row["kind"] == kind and row["what"] == "received"),
        **_delays(figures, OWN_DATASETS[kind]),
    }


def _dataset(name: str, figures: Figures, seen: Visibility) -> Document:
    mine = [row for row in figures.totals if row["dataset"] == name and row["what"] == "rows"]
    return {
        "rows": sum(row["count"] for row in mine),
        "row_rates": _rates(row for row in figures.rates if row["dataset"] == name and row["what"] == "rows"),
        "last_event": _last_event("dataset", name, figures, seen),
        **_delays(figures, [name]),
    }


def _expected(kind: str, figures: Figures, seen: Visibility) -> int:
    return sum(row[f"expected_{seen}"] for row in figures.devices if row["kind"] == kind)


def _last_event(column: str, name: str, figures: Figures, seen: Visibility) -> datetime | None:
    times = (row[seen] for row in figures.last_events if row[column] == name)
    return max((time for time in times if time is not None), default=None)


def _delays(figures: Figures, datasets: Iterable[str]) -> Document:
    histogram = delay_histogram(figures, datasets)
    return {
        "delay_p50_s": quantile(histogram, 0.5),
        "delay_p95_s": quantile(histogram, 0.95),
        f"delay_{_BEYOND}": sum(count for bound, count in histogram if bound == float("inf")),
    }


def delay_histogram(figures: Figures, datasets: Iterable[str]) -> list[tuple[float, int]]:
    """Rows of these datasets by how late they were stored: (upper bound, count) in rising order, over the last hour."""
    found: dict[float, int] = {}
    wanted = set(datasets)
    for row in figures.delays:
        if row["dataset"] in wanted:
            found[row["bound"]] = found.get(row["bound"], 0) + row["count"]
    return sorted(found.items())


def quantile(histogram: list[tuple[float, int]], share: float) -> float | None:
    """Estimate the value below which a share of what was counted lies, evenly spread within each bucket.

    Buckets are (upper bound, count) in rising order. Beyond the last finite bound only that bound is known.
    """
    wanted = share * sum(count for _, count in histogram)
    for bound, count in histogram:
        if count >= wanted > 0:
            low = max(edge for edge in DELAY_EDGES if edge < bound)
            return low if bound == float("inf") else round(low + (bound - low) * wanted / count, 3)
        wanted -= count
    return None
