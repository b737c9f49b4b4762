"""What the sparklines of operators draw: counts and delays of the last minutes, step by step."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from usp.api import values
from usp.api.ingest_health import OWN_DATASETS, quantile
from usp.api.params import Texts
from usp.db import Connection
from usp.models.datasets import DATASETS
from usp.models.device import KINDS

Document = dict[str, Any]
#: Upper bound in seconds -> rows.
Histogram = dict[float, int]

DEFAULT_MINUTES = 60
#: Ingest keeps them for seven days.
MOST_MINUTES = 7 * 24 * 60
#: More than a screen has room for.
MOST_STEPS = 360

COUNTS = ("received", "stored", "duplicate", "rejected")
#: Senders that nobody has registered are of no kind.
NO_KIND = "unknown"

_STEPS = """
    SELECT (extract(epoch FROM minute - $1::timestamptz)::int / 60) / $3::int AS step, what,
        CASE WHEN what = 'delay' THEN dataset ELSE kind END AS whose,
        CASE WHEN what = 'delay' THEN reason::float8 END AS bound, sum(count)::bigint AS count
    FROM usp.ingest_minute WHERE minute >= $1 AND minute < $2 AND (what = 'delay' OR what = ANY($4::text[]))
    GROUP BY 1, 2, 3, 4
"""


def minutes_of(texts: Texts) -> int:
    """Over how many minutes figures are wanted."""
    why = f"from 1 to {MOST_MINUTES}, which are seven days; older ones are not kept"
    return values.whole("minutes", texts.get("minutes", str(DEFAULT_MINUTES)), MOST_MINUTES, why)


async def document(connection: Connection, minutes: int) -> Document:
    """The last full minutes of the database's clock, in at most `MOST_STEPS` steps of the same length, oldest first."""
    step = -(-minutes // MOST_STEPS)
    steps = minutes // step
    end: datetime = await connection.fetchval("SELECT date_trunc('minute', now())")
    start = end - timedelta(minutes=step * steps)
    counts: dict[tuple[str, str], list[int]] = {}
    delays: dict[str, list[Histogram]] = {name: [{} for _ in range(steps)] for name in DATASETS}
    for row in await connection.fetch(_STEPS, start, end, step, COUNTS):
        whose = row["whose"]
        if row["what"] != "delay":
            key = (whose if whose in KINDS else NO_KIND, row["what"])
            counts.setdefault(key, [0] * steps)[row["step"]] += row["count"]
        elif whose in delays:
            delays[whose][row["step"]][row["bound"]] = row["count"]

    def series(kinds: Iterable[str], datasets: Iterable[str]) -> Document:
        each = [[counts[kind, what] for kind in kinds if (kind, what) in counts] for what in COUNTS]
        sums = {
            what: [sum(column) for column in zip([0] * steps, *found, strict=True)]
            for what, found in zip(COUNTS, each, strict=True)
        }
        late = [_merged(column) for column in zip([{}] * steps, *(delays[name] for name in datasets), strict=True)]
        return sums | {f"delay_p{share}_s": [quantile(h, share / 100) for h in late] for share in (50, 95)}

    kinds = {kind: series([kind], OWN_DATASETS[kind]) for kind in KINDS}
    return {
        "start": start,
        "step_s": step * 60,
        "steps": steps,
        "kinds": kinds | {NO_KIND: series([NO_KIND], ())},
        "total": series([*KINDS, NO_KIND], DATASETS),
    }


def _merged(histograms: Iterable[Histogram]) -> list[tuple[float, int]]:
    found: Histogram = {}
    for histogram in histograms:
        for bound, count in histogram.items():
            found[bound] = found.get(bound, 0) + count
    return sorted(found.items())
