"""What a query hands to a representation: SQL, its arguments, and what its columns are."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any

from usp.models.dataset import Dataset, Property, ValueType


class ColumnType(Enum):
    """What a column holds, as far as formats must tell it apart."""

    TIME = auto()
    NUMBER = auto()
    BOOLEAN = auto()
    TEXT = auto()
    #: Words joined by ';' in the SQL; NULL where there is none.
    LIST = auto()


_OF_VALUE = {
    ValueType.REAL: ColumnType.NUMBER,
    ValueType.DOUBLE: ColumnType.NUMBER,
    ValueType.BOOLEAN: ColumnType.BOOLEAN,
    ValueType.TEXT: ColumnType.TEXT,
}

#: A session in UTC with ISO dates writes 2026-11-20 09:00:00+00, with a fraction only where there is one.
TIME_AS_TEXT = "replace(left({0}::text, -3), ' ', 'T') || 'Z'"


@dataclass(frozen=True)
class Column:
    """A column of the answer: a JSON key, a CSV header."""

    name: str
    type: ColumnType
    unit: str | None = None
    title: str | None = None


def property_column(prop: Property) -> Column:
    """The column that shows a property."""
    return Column(prop.name, _OF_VALUE[prop.type], prop.unit, prop.title)


def about(dataset: Dataset) -> dict[str, str]:
    """What goes with every answer about a dataset, where the format has a place for it."""
    return {
        "dataset": dataset.name,
        "title": dataset.title,
        "description": dataset.description,
        "licence": dataset.licence,
        "attribution": dataset.attribution,
    }


def identifier(name: str) -> str:
    """A declared name as an SQL identifier; names never come from outside."""
    return f'"{name}"'


class Arguments:
    """Values on their way into a statement; each is named by the place where it stands."""

    def __init__(self) -> None:
        self.values: list[Any] = []

    def add(self, value: object, type_: str) -> str:
        """Keep a value and return its placeholder, with the type it is compared as."""
        self.values.append(value)
        return f"${len(self.values)}::{type_}"


@dataclass(frozen=True, kw_only=True)
class Selection:
    """Rows to be shown. The last placeholder of `sql` is the number of rows, NULL for all of them.

    `cursor` makes, of a row as JSON shows it, the mark after which the next page begins. `about` tells of the whole
    answer: dataset, title, licence, attribution; of buckets also `from`, `to` and `bucket`.
    """

    name: str
    sql: str
    values: tuple[Any, ...]
    columns: tuple[Column, ...]
    limit: int | None
    cursor: Callable[[Any], str]
    about: Mapping[str, str] = field(default_factory=dict)

    def rendered(self, as_text: Mapping[ColumnType, str]) -> str:
        """The statement, with columns of some types turned to text by the templates given."""
        columns = ", ".join(
            f"{as_text.get(c.type, '{0}').format(identifier(c.name))} AS {identifier(c.name)}" for c in self.columns
        )
        return f"SELECT {columns} FROM ({self.sql}) AS selected"
