"""The figures for Prometheus. Labels are declared names, reasons, doors and slots: their number is bounded."""

from collections.abc import Iterable, Iterator
from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector
from starlette.responses import Response

from usp.api.figures import Figures, Row
from usp.api.ingest_health import DELAY_EDGES, delay_histogram, visible_datasets, visible_kinds
from usp.models.dataset import Visibility

#: Items of senders that are not in the registry have no kind.
_NO_KIND = "unknown"

#: What is counted -> the metric, what it says, and its labels with the columns they come from.
_COUNTERS = {
    "received": ("usp_items_received", "Items received.", {"door": "door", "kind": "kind"}),
    "stored": ("usp_items_stored", "Items of which a row is new or completed.", {"door": "door", "kind": "kind"}),
    "duplicate": ("usp_items_duplicate", "Items that were there already.", {"door": "door", "kind": "kind"}),
    "rejected": (
        "usp_items_rejected",
        "Items of which nothing could be stored.",
        {"door": "door", "kind": "kind", "reason": "reason"},
    ),
    "value_refused": ("usp_values_refused", "Values left out of items that were stored.", {"reason": "reason"}),
    "event": ("usp_network_events", "Network events without a reading.", {"door": "door", "event": "reason"}),
    "rows": ("usp_rows", "Rows stored.", {"dataset": "dataset"}),
}


class _Families(Collector):
    """Metrics that were read from somewhere else."""

    def __init__(self, families: list[Metric]) -> None:
        self._families = families

    def collect(self) -> list[Metric]:
        return self._families


def exposition(figures: Figures | None, seen: Visibility, own: Collector, accept: str) -> Response:
    """What Prometheus scrapes; without the database's figures only those of this process."""
    registry = CollectorRegistry()
    registry.register(own)
    reachable = GaugeMetricFamily("usp_database_up", "Whether the database answered.", value=figures is not None)
    registry.register(_Families([reachable, *([] if figures is None else _families(figures, seen))]))
    encode, content_type = choose_encoder(accept)
    return Response(encode(registry), media_type=None, headers={"Content-Type": content_type, "Vary": "Accept"})


def _families(figures: Figures, seen: Visibility) -> Iterator[Metric]:
    kinds = visible_kinds(figures, seen)
    shown = visible_datasets(kinds, seen)
    totals = [row for row in figures.totals if row["dataset"] in {"", *shown}]
    for what, (name, text, labels) in _COUNTERS.items():
        yield _counter(name, text, labels, kinds, (row for row in totals if row["what"] == what))
    yield GaugeMetricFamily("usp_in_flight", "Messages taken from the broker, uncommitted.", value=figures.in_flight)
    yield _workers(figures, "usp_worker_up", "Whether the worker of a slot lives.", "alive")
    yield _workers(figures, "usp_worker_connected", "Whether it is connected to the broker.", "connected")
    yield _devices(figures, seen)
    yield _last_events(figures, sorted(shown), seen)
    yield _delays(figures, sorted(shown))
    yield from _rollup(figures, shown, seen)


def _rollup(figures: Figures, shown: list[str], seen: Visibility) -> Iterator[Metric]:
    until = GaugeMetricFamily(
        "usp_rolled_up_timestamp_seconds",
        "Until when hours are rolled up; what is later is read raw.",
        labels=["dataset"],
    )
    marks = GaugeMetricFamily(
        "usp_rollup_marks", "Marks of hours that wait to be rolled up again, 100,000 at most.", labels=["dataset"]
    )
    for row in figures.rollup:
        if row["dataset"] in shown:
            until.add_metric([row["dataset"]], row["rolled"].timestamp())
            marks.add_metric([row["dataset"]], row["marks"])
    yield until
    # Hidden devices have a share in it.
    if seen is Visibility.OPS:
        yield marks


def _counter(name: str, text: str, labels: dict[str, str], kinds: list[str], rows: Iterable[Row]) -> Metric:
    """A counter; items of kinds that are not seen count as of no known kind, so that sums hold."""
    family = CounterMetricFamily(name, f"{text} Since the database was made, over all workers.", labels=list(labels))
    sums: dict[tuple[str, ...], int] = {}
    for row in rows:
        known = dict(row) | {"kind": row["kind"] if row["kind"] in kinds else _NO_KIND}
        key = tuple(known[column] for column in labels.values())
        sums[key] = sums.get(key, 0) + row["count"]
    for key, count in sorted(sums.items()):
        family.add_metric(key, count)
    return family


def _workers(figures: Figures, name: str, text: str, column: str) -> Metric:
    family = GaugeMetricFamily(name, text, labels=["slot"])
    for worker in figures.workers:
        family.add_metric([str(worker["slot"])], float(worker["alive"] and worker[column]))
    return family


def _devices(figures: Figures, seen: Visibility) -> Metric:
    family = GaugeMetricFamily("usp_devices", "Visible devices that are not retired.", labels=["kind", "state"])
    for row in figures.devices:
        states = {state: row[f"{state}_{seen}"] for state in ("expected", "reporting")}
        if not states["expected"]:
            continue
        states["silent"] = states["expected"] - states["reporting"]
        for state, count in states.items():
            family.add_metric([row["kind"], state], count)
    return family


def _last_events(figures: Figures, shown: list[str], seen: Visibility) -> Metric:
    family = GaugeMetricFamily(
        "usp_last_event_timestamp_seconds", "Measuring time of the newest visible value.", labels=["dataset"]
    )
    for name in shown:
        times = [row[seen] for row in figures.last_events if row["dataset"] == name and row[seen] is not None]
        if times:
            family.add_metric([name], max(times).timestamp())
    return family


def _delays(figures: Figures, shown: list[str]) -> Metric:
    """Cumulative buckets, as Prometheus wants them, of a moving hour: they can fall, so no `rate` over them."""
    family = Metric("usp_delay_seconds", "From measuring to being stored, rows of the last hour.", typ="gaugehistogram")
    for name in shown:
        counts: dict[float, Any] = dict(delay_histogram(figures, [name]))
        total = 0
        for bound in (*DELAY_EDGES[1:], float("inf")):
            total += counts.get(bound, 0)
            edge = "+Inf" if bound == float("inf") else f"{bound:.1f}"
            family.add_sample("usp_delay_seconds_bucket", {"dataset": name, "le": edge}, total)
        family.add_sample("usp_delay_seconds_gcount", {"dataset": name}, total)
    return family
