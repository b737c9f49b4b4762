"""The mergeable parts of a property over a slot of time, and the SQL that makes them from raw rows.

A slot is an hour of one device, or less of it. Parts of slots make the parts of their union: counts, sums and seconds
add, extremes compare, firsts and lasts go by their time. Means are only formed at the end, so a coarser bucket or a
group of devices is exact. Flagged values are left out first: 10^(500/10) would be an overflow.
"""

from collections.abc import Iterable

from usp.models.dataset import Aggregation, Dataset, Property, ValueType

#: Raised where the same rows would make other parts; what stands is then made anew.
VERSION = 1

#: What happens between two readings counts too: their parts are first and last, and joined by whoever asks.
STITCHED = (Aggregation.COUNTER, Aggregation.STATE)

_NUMBER = ValueType.DOUBLE

#: A fall is a roll-over if the step is under this share of the register's modulus.
_ROLL_OVER = 0.1


def states_of(prop: Property) -> tuple[str, ...]:
    """The states of a state property, as text."""
    return prop.states or ("true", "false")


def partials(prop: Property) -> list[tuple[str, ValueType]]:
    """The parts of one property beside its counts: column names and types."""
    own = prop.type
    extremes = [("min", own), ("max", own)]
    parts: dict[Aggregation, list[tuple[str, ValueType]]] = {
        Aggregation.MEAN: [("sum", _NUMBER), *extremes],
        # Σ period and Σ period · 10^(L/10)
        Aggregation.ENERGETIC_MEAN: [("period", _NUMBER), ("energy", _NUMBER), *extremes],
        Aggregation.VECTOR_MEAN: [("sin", _NUMBER), ("cos", _NUMBER)],
        # Σ w and Σ x · w, over the readings that have both
        Aggregation.WEIGHTED_MEAN: [("weight", _NUMBER), ("weighted", _NUMBER), *extremes],
        Aggregation.SUM: [("sum", _NUMBER), *extremes],
        Aggregation.COUNTER: [("first", own), ("last", own), ("increase", _NUMBER)],
        Aggregation.STATE: [
            ("first", own),
            ("last", own),
            *((f"{state}_seconds", _NUMBER) for state in states_of(prop)),
        ],
        Aggregation.MAX: [("max", own)],
        Aggregation.MIN: [("min", own)],
        Aggregation.LAST: [("last", own)],
    }
    return [(f"{prop.name}_{part}", type_) for part, type_ in parts[prop.aggregation]]


def valid(dataset: Dataset, prop: Property) -> str:
    """The condition under which row `r` has a value of the property that counts."""
    return f'r."{prop.name}" IS NOT NULL AND r.flagged & {dataset.bit[prop.name]} = 0'


def present(dataset: Dataset, properties: Iterable[Property]) -> str:
    """The bits of those properties that count in row `r`."""
    return " + ".join(f"CASE WHEN {valid(dataset, p)} THEN {dataset.bit[p.name]} ELSE 0 END" for p in properties)


def step(before: str, now: str, modulus: str) -> str:
    """What a register has counted between two readings: a fall is a roll-over of the modulus, if any, or a reset."""
    return (
        f"CASE WHEN {now} >= {before} THEN {now} - {before} "
        f"WHEN {now} + {modulus} - {before} >= 0 AND {now} + {modulus} - {before} < {_ROLL_OVER} * {modulus} "
        f"THEN {now} + {modulus} - {before} ELSE {now} END"
    )


def modulus(table: str, prop: Property) -> str:
    """Where a register of a device rolls over; `table` has the column `registers` of its profile."""
    return f"({table}.registers #>> '{{{prop.name},modulus}}')::float8"


def slots(dataset: Dataset, properties: Iterable[Property], rows: str, *others: str) -> str:
    """A query for the parts of each slot, by device_id and slot, with `others`: further aggregates of its rows `r`.

    `rows` is a query for device_id, slot, time, the properties, flagged, period where the dataset has one, and, where
    one of the properties is stitched, max_hold (s) and registers of the device's profile.
    """
    listed = list(properties)
    between = [p for p in listed if p.aggregation in STITCHED]
    # Rows with a value that counts are a partition of their own: each then finds the one before among them.
    windows = ", ".join(
        f'"w_{p.name}" AS (PARTITION BY r.device_id, r.slot, ({valid(dataset, p)}) ORDER BY r.time)' for p in between
    )
    neighbours = "".join(
        f', lag(r."{p.name}") OVER "w_{p.name}" AS "{p.name}_before"'
        f', lag(r.time) OVER "w_{p.name}" AS "{p.name}_since"'
        f', lead(r.time) OVER "w_{p.name}" IS NULL AS "{p.name}_ends"'
        for p in between
    )
    if between:
        rows = f"SELECT r.*{neighbours} FROM ({rows}) r WINDOW {windows}"
    parts = [f'{sql} AS "{name}"' for p in listed for name, sql in _aggregates(dataset, p).items()]
    return f"SELECT r.device_id, r.slot, {', '.join([*parts, *others])} FROM ({rows}) r GROUP BY r.device_id, r.slot"


def _aggregates(dataset: Dataset, prop: Property) -> dict[str, str]:
    """Every column of a property in the hourly table, as an aggregate over the rows `r` of a slot."""
    name, ok = f'r."{prop.name}"', valid(dataset, prop)

    def over(aggregate: str, condition: str = ok) -> str:
        return f"{aggregate} FILTER (WHERE {condition})"

    found = {
        "count": over("count(*)"),
        "flagged": over("count(*)", f"{name} IS NOT NULL AND r.flagged & {dataset.bit[prop.name]} <> 0"),
        "sum": over(f"sum({name}::float8)"),
        "min": over(f"min({name})"),
        "max": over(f"max({name})"),
        "period": over("sum(r.period::float8)"),
        "energy": over(f"sum(r.period::float8 * power(10, {name}::float8 / 10))"),
        "sin": over(f"sum(sind({name}))"),
        "cos": over(f"sum(cosd({name}))"),
        "last": f"({over(f'array_agg({name} ORDER BY r.time DESC)')})[1]",
        "last_time": over("max(r.time)"),
        "first_time": over("min(r.time)"),
    }
    if prop.weight is not None:
        weight = dataset.by_name[prop.weight]
        both = f"{ok} AND {valid(dataset, weight)}"
        found["weight"] = over(f'sum(r."{weight.name}"::float8)', both)
        found["weighted"] = over(f'sum({name}::float8 * r."{weight.name}")', both)
    if prop.aggregation in STITCHED:
        found |= _ends(prop, ok)
    return {column: found[column.removeprefix(f"{prop.name}_")] for column, _ in columns_of(prop)}


def _ends(prop: Property, ok: str) -> dict[str, str]:
    """First and last value of a slot, and what lies between."""
    name, before, since = f'r."{prop.name}"', f'r."{prop.name}_before"', f'r."{prop.name}_since"'
    # There is one such row, so any aggregate of it is its value.
    only = "bool_or" if prop.type is ValueType.BOOLEAN else "min"
    found = {
        "first": f"{only}({name}) FILTER (WHERE {ok} AND {since} IS NULL)",
        "last": f'{only}({name}) FILTER (WHERE {ok} AND r."{prop.name}_ends")',
    }
    between = f"{ok} AND {since} IS NOT NULL"
    if prop.aggregation is Aggregation.COUNTER:
        increase = step(before, name, modulus("r", prop))
        return found | {"increase": f"sum({increase}) FILTER (WHERE {between})"}
    held = f"least(date_part('epoch', r.time - {since}), r.max_hold)"
    for state in states_of(prop):
        seconds = f"coalesce(sum({held}) FILTER (WHERE {between} AND {before}::text = '{state}'), 0)"
        found[f"{state}_seconds"] = f"CASE WHEN bool_or({ok}) THEN {seconds} END"
    changes = f"count(*) FILTER (WHERE {between} AND {before} <> {name})"
    return found | {"changes": f"CASE WHEN bool_or({ok}) THEN {changes} END"}


def columns_of(prop: Property) -> list[tuple[str, ValueType | str]]:
    """Every column of a property in the hourly table; of those that are no value, the type's name in SQL."""
    found: list[tuple[str, ValueType | str]] = [(f"{prop.name}_count", "integer"), (f"{prop.name}_flagged", "integer")]
    found += partials(prop)
    times = {Aggregation.COUNTER: ("first", "last"), Aggregation.STATE: ("first", "last"), Aggregation.LAST: ("last",)}
    found += [(f"{prop.name}_{end}_time", "timestamptz") for end in times.get(prop.aggregation, ())]
    if prop.aggregation is Aggregation.STATE:
        found.append((f"{prop.name}_changes", "integer"))
    return found
