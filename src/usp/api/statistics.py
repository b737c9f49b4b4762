"""Statistics of a bucket, formed at the end from the parts `c` that were added up."""

from usp.api.selection import Column, ColumnType, property_column
from usp.models import partials
from usp.models.bucket import Asked, Statistic
from usp.models.dataset import Aggregation, Property

#: A direction whose unit vectors cancel out has none: this much of their number is the error of adding them.
_NO_DIRECTION = 1e-9

#: Statistics that are no quantity of the property's own unit.
_UNITS = {Statistic.SECONDS: "s", Statistic.CHANGES: None, Statistic.COUNT: None}
_OF_VALUE = (Statistic.MIN, Statistic.MAX, Statistic.LAST)


def columns(asked: Asked) -> tuple[Column, ...]:
    """The columns of a statistic. Seconds of an enumeration are told for each state; of yes and no, for yes."""
    prop, statistic = asked.property, asked.statistic
    names = [f"{prop.name}_{statistic}"]
    if statistic is Statistic.SECONDS and prop.states:
        names = [f"{prop.name}_{state}_seconds" for state in prop.states]
    shown = property_column(prop)
    type_ = shown.type if statistic in _OF_VALUE else ColumnType.NUMBER
    unit = _UNITS.get(statistic, shown.unit)
    return tuple(Column(name, type_, unit, f"{shown.title}: {statistic}") for name in names)


class Sums:
    """How the parts of a bucket become one: added up, or as they are where there is only one slot."""

    def __init__(self, *, grouped: bool) -> None:
        self.grouped = grouped

    def total(self, value: str) -> str:
        """The sum of a value."""
        return f"sum({value})" if self.grouped else f"({value})"

    def most(self, extreme: str, value: str) -> str:
        """The `min` or `max` of a value."""
        return f"{extreme}({value})" if self.grouped else value

    def last(self, value: str, time: str) -> str:
        """The value with the latest time."""
        if not self.grouped:
            return value
        return f"(array_agg({value} ORDER BY {time} DESC) FILTER (WHERE {time} IS NOT NULL))[1]"


def finished(asked: Asked, sums: Sums) -> list[str]:
    """The statistic from the parts of a bucket, one expression for each of its columns."""
    prop, statistic = asked.property, asked.statistic
    if statistic is Statistic.MEAN:
        return [f"({_mean(prop, sums)})::real"]
    if statistic is Statistic.SECONDS:
        states = prop.states or ("true",)
        return [rounded(sums.total(part(prop, f"{state}_seconds")), 3) for state in states]
    if statistic is Statistic.LAST:
        return [sums.last(part(prop, "last"), part(prop, "last_time"))]
    value = part(prop, statistic)
    if statistic in {Statistic.SUM, Statistic.INCREASE}:
        return [rounded(sums.total(value), 6)]
    if statistic in {Statistic.COUNT, Statistic.CHANGES}:
        total = f"{sums.total(value)}::bigint"
        return [f"coalesce({total}, 0)" if statistic is Statistic.COUNT else total]
    return [sums.most(statistic, value)]


def rounded(number: str, digits: int) -> str:
    """Added up in binary, tenths leave a tail of digits that nobody has measured; large numbers have none."""
    return f"CASE WHEN abs({number}) < 1e9 THEN round({number} * 1e{digits}) / 1e{digits} ELSE {number} END"


def known_seconds(prop: Property) -> str:
    """For how long the state was known."""
    return " + ".join(f"coalesce({part(prop, f'{state}_seconds')}, 0)" for state in partials.states_of(prop))


def part(prop: Property, name: str) -> str:
    """A part of a property among those that are added up."""
    return f'c."{prop.name}_{name}"'


def _mean(prop: Property, sums: Sums) -> str:
    def total(name: str) -> str:
        return sums.total(part(prop, name))

    if prop.aggregation is Aggregation.ENERGETIC_MEAN:
        return f"10 * log({total('energy')} / nullif({total('period')}, 0))"
    if prop.aggregation is Aggregation.WEIGHTED_MEAN:
        return f"{total('weighted')} / nullif({total('weight')}, 0)"
    if prop.aggregation is Aggregation.VECTOR_MEAN:
        sin, cos = total("sin"), total("cos")
        angle = f"atan2d({sin}, {cos})"
        # 0 ≤ direction < 360, also where rounding makes -0.000001 of nothing.
        return (
            f"CASE WHEN sqrt({sin} * {sin} + {cos} * {cos}) > {_NO_DIRECTION} * {total('count')} "
            f"THEN CASE WHEN {angle} < -1e-5 THEN {angle} + 360 ELSE greatest({angle}, 0) END END"
        )
    return f"{total('sum')} / nullif({total('count')}, 0)"
