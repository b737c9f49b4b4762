"""Buckets of time and the statistics formed over them."""

from dataclasses import dataclass
from enum import StrEnum

from usp.models.dataset import Aggregation, Property


class Width(StrEnum):
    """How wide a bucket is; `whole` is the whole window."""

    QUARTER_HOUR = "15m"
    HALF_HOUR = "30m"
    HOUR = "1h"
    THREE_HOURS = "3h"
    SIX_HOURS = "6h"
    TWELVE_HOURS = "12h"
    DAY = "1d"
    WEEK = "1w"
    MONTH = "1mo"
    YEAR = "1y"
    WHOLE = "whole"


class By(StrEnum):
    """Over which devices a bucket's value is formed."""

    DEVICE = "device"
    SITE = "site"
    ALL = "all"


class Statistic(StrEnum):
    """What a bucket tells of a property; the name of its column is `<property>_<statistic>`."""

    MEAN = "mean"
    MIN = "min"
    MAX = "max"
    SUM = "sum"
    INCREASE = "increase"
    SECONDS = "seconds"
    CHANGES = "changes"
    LAST = "last"
    COUNT = "count"


_MEAN = (Statistic.MEAN, Statistic.MIN, Statistic.MAX, Statistic.COUNT)

#: What can be asked of a property, by its rule.
STATISTICS: dict[Aggregation, tuple[Statistic, ...]] = {
    Aggregation.MEAN: _MEAN,
    Aggregation.ENERGETIC_MEAN: _MEAN,
    Aggregation.VECTOR_MEAN: (Statistic.MEAN, Statistic.COUNT),
    Aggregation.WEIGHTED_MEAN: _MEAN,
    Aggregation.SUM: (Statistic.SUM, Statistic.MIN, Statistic.MAX, Statistic.COUNT),
    Aggregation.COUNTER: (Statistic.INCREASE, Statistic.LAST, Statistic.COUNT),
    Aggregation.STATE: (Statistic.SECONDS, Statistic.CHANGES, Statistic.LAST, Statistic.COUNT),
    Aggregation.MAX: (Statistic.MAX, Statistic.COUNT),
    Aggregation.MIN: (Statistic.MIN, Statistic.COUNT),
    Aggregation.LAST: (Statistic.LAST, Statistic.COUNT),
}


def own_statistics(prop: Property) -> tuple[Statistic, ...]:
    """What a bucket tells of a property where nothing else is asked: seconds and changes of a state, else one."""
    listed = STATISTICS[prop.aggregation]
    return listed[:2] if prop.aggregation is Aggregation.STATE else listed[:1]


@dataclass(frozen=True)
class Asked:
    """A statistic of a property."""

    property: Property
    statistic: Statistic
