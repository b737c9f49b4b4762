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


#: Columns under these names hold identifiers, or words of a closed list.
_IDENTIFIERS = frozenset({"device", "site", "parent", "kind", "category"})
#: The name under which a row's time stands written, beside its columns.
TIME_TEXT = '"time as text"'


@dataclass(frozen=True)
class Column:
    """A column of the answer: a JSON key, a CSV header. `word`: its text is one of a closed list."""

    name: str
    type: ColumnType
    unit: str | None = None
    title: str | None = None
    word: bool = False

    @property
    def plain(self) -> bool:
        """Whether its text is made of letters, digits, '-' and '_': no format has to quote any of it."""
        return self.word or self.name in _IDENTIFIERS


def property_column(prop: Property) -> Column:
    """The column that shows a property."""
    return Column(prop.name, _OF_VALUE[prop.type], prop.unit, prop.title, word=bool(prop.states))


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

    The first column is never NULL. `span`, of rows in the order of their times: where in `values` the first moment
    and the end of the window stand, so that the rows can be had slice by slice; `descending`, the latest first.

    `cursor` makes, of a row as JSON shows it, the mark after which the next page begins. `about` tells of the whole
    answer: dataset, title, licence, attribution; of buckets also `from`, `to` and `bucket`. `planner` is said to the
    database before, within the same transaction.
    """

    name: str
    sql: str
    values: tuple[Any, ...]
    columns: tuple[Column, ...]
    limit: int | None
    cursor: Callable[[Any], str]
    about: Mapping[str, str] = field(default_factory=dict)
    span: tuple[int, int] | None = None
    descending: bool = False
    planner: str = ""

    def rendered(self, as_text: Mapping[ColumnType, str]) -> str:
        """The statement, with columns of some types turned to text by the templates given."""
        return self.written(lambda c: as_text.get(c.type, "{0}"))

    def written(self, template: Callable[[Column], str]) -> str:
        """The statement, with each column as its template says; `{0}` stands for it."""
        columns = ", ".join(f"{template(c).format(identifier(c.name))} AS {identifier(c.name)}" for c in self.columns)
        return f"SELECT {columns} FROM ({self.sql}) AS selected"

    def lines(self, expression: str) -> str:
        """The statement that turns each row into one text, its only column `line`.

        The text of the column `time` is there as `TIME_TEXT`: a row's other times mostly are the same.
        """
        rows = self.sql
        if any(c.name == "time" for c in self.columns):
            rows = f"SELECT s.*, {TIME_AS_TEXT.format('s.time')} AS {TIME_TEXT} FROM ({rows}) s OFFSET 0"
        return f"SELECT {expression} AS line FROM ({rows}) AS selected"
