"""How late a batch came."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest

from usp.ingest.batch import Batch, CountKey
from usp.ingest.settled import Settled


@pytest.mark.parametrize(
    ("dataset", "row", "bound"),
    [("air_quality", (310.0, 1), "3600"), ("noise", (310.0, 1, 300.0), "30"), ("traffic", (300.2, 1, 300.0), "0.5")],
)
def test_a_measuring_interval_is_late_from_its_end_on(dataset: str, row: Sequence[Any], bound: str) -> None:
    """Five minutes of noise, told ten seconds after they were over, came ten seconds late."""
    ago, *rest = row
    settled = Settled(cast("Batch", None))
    settled.written(dataset, [[datetime.now(UTC) - timedelta(seconds=ago), *rest]], 1)
    assert settled.counts[CountKey("", "", dataset, "delay", bound)] == 1
