"""Dataset and Property: the declaration that tables, bounds, schemas, headers and documents are derived from."""

from dataclasses import dataclass, field
from enum import IntFlag, StrEnum
from functools import cached_property


class Visibility(StrEnum):
    """Who may see a dataset, a property or a device; of several, the strictest wins."""

    OPEN = "open"
    RESTRICTED = "restricted"
    OPS = "ops"


#: From the most to the least public.
VISIBILITY_ORDER = (Visibility.OPEN, Visibility.RESTRICTED, Visibility.OPS)


class Aggregation(StrEnum):
    """How a property's values become one value of a bucket; a plain average is wrong for half of them."""

    MEAN = "mean"
    ENERGETIC_MEAN = "energetic_mean"
    VECTOR_MEAN = "vector_mean"
    WEIGHTED_MEAN = "weighted_mean"
    SUM = "sum"
    COUNTER = "counter"
    STATE = "state"
    MAX = "max"
    MIN = "min"
    LAST = "last"


class ValueType(StrEnum):
    """How a value is stored; the names are PostgreSQL's."""

    REAL = "real"
    DOUBLE = "double precision"
    BOOLEAN = "boolean"
    TEXT = "text"


class RowFlag(IntFlag):
    """What is odd about a whole reading: the low bits of the column `flags`."""

    TIME_ARRIVAL = 1 << 0
    TIME_NETWORK = 1 << 1
    TIME_GATEWAY = 1 << 2
    LATE = 1 << 3


#: The names under which row flags are shown, in the order of their bits.
ROW_FLAG_NAMES = {
    RowFlag.TIME_ARRIVAL: "time:arrival",
    RowFlag.TIME_NETWORK: "time:network",
    RowFlag.TIME_GATEWAY: "time:gateway",
    RowFlag.LATE: "late",
}

#: What a flag means; one of a property is `<property>:<word>`, and known here by its word.
FLAG_WORDS = {
    "out_of_range": "The value is implausible: it lies outside the property's range, and is left out of aggregates.",
    "bottom_coded": "The count was too small to be told, and is stored as 0.",
    "time:arrival": "The item had no `time`; the moment of its arrival was taken.",
    "time:network": "The time is the one a network server put on the message.",
    "time:gateway": "The time is the one a radio gateway put on the message.",
    "late": "The reading arrived more than an hour after it was measured.",
}

#: The first bit of the column `flags` that belongs to a bottom-coded property.
BOTTOM_CODED_SHIFT = 8

#: In a latest table each value carries flags of its own: the row's low bits, and these two.
VALUE_OUT_OF_RANGE = 1 << 8
VALUE_BOTTOM_CODED = 1 << 9


@dataclass(frozen=True, kw_only=True)
class Property:
    """One measured quantity of a dataset: a column, a JSON key, a CSV header.

    `low` and `high` bound what is plausible in `unit`; a value outside is stored, flagged and left out of
    aggregates. `unit` is a UCUM-like symbol as people write it; `None` where there is none.
    """

    name: str
    title: str
    unit: str | None = None
    type: ValueType = ValueType.REAL
    low: float | None = None
    high: float | None = None
    aggregation: Aggregation = Aggregation.MEAN
    weight: str | None = None
    states: tuple[str, ...] = ()
    visibility: Visibility = Visibility.OPEN
    bottom_code: int | None = None
    at_interval_start: bool = False

    def __post_init__(self) -> None:
        if (self.aggregation is Aggregation.WEIGHTED_MEAN) != (self.weight is not None):
            raise ValueError(f"{self.name}: a weight goes with weighted_mean, and only with it")
        if (self.type is ValueType.TEXT) != bool(self.states):
            raise ValueError(f"{self.name}: a text property is an enumeration and names its states")


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """A set of properties measured together: one hypertable, one path of the API."""

    name: str
    title: str
    description: str
    properties: tuple[Property, ...]
    interval: bool = False
    visibility: Visibility = Visibility.OPEN
    licence: str = "CC-BY-4.0"
    attribution: str = "Comune di Milano, Sharing Cities"
    by_name: dict[str, Property] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "by_name", {p.name: p for p in self.properties})
        if len(self.by_name) != len(self.properties):
            raise ValueError(f"{self.name}: two properties of one name")

    @cached_property
    def bit(self) -> dict[str, int]:
        """Each property's bit in the column `flagged`. Bits follow the order of declaration: append only."""
        return {p.name: 1 << i for i, p in enumerate(self.properties)}

    @cached_property
    def bottom_bit(self) -> dict[str, int]:
        """The bit in the column `flags` of each property whose small counts are bottom-coded."""
        coded = [p.name for p in self.properties if p.bottom_code is not None]
        return {name: 1 << (BOTTOM_CODED_SHIFT + i) for i, name in enumerate(coded)}

    def visible(self, at_most: Visibility) -> tuple[Property, ...]:
        """The properties shown to somebody who may see up to `at_most`; none where the dataset itself is hidden."""
        rank = VISIBILITY_ORDER.index(at_most)
        if VISIBILITY_ORDER.index(self.visibility) > rank:
            return ()
        return tuple(p for p in self.properties if VISIBILITY_ORDER.index(p.visibility) <= rank)

    def flag_names(self, flagged: int, flags: int) -> list[str]:
        """The words for the two flag columns of a row, property flags first."""
        names = [f"{p}:out_of_range" for p, bit in self.bit.items() if flagged & bit]
        names += [f"{p}:bottom_coded" for p, bit in self.bottom_bit.items() if flags & bit]
        names += [word for bit, word in ROW_FLAG_NAMES.items() if flags & bit]
        return names
