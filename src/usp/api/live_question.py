"""What a subscriber wants to hear of, and up to where he has heard: questions and event ids."""

import hashlib
import re
from dataclasses import dataclass
from functools import cached_property

from usp.models.dataset import Visibility
from usp.models.datasets import DATASETS
from usp.models.query import Places

#: After a crash PostgreSQL may give out again the numbers of transactions that left no trace on the disk, at most those
#: of the moments before. Whoever resumes hears so many transactions once more.
_AGAIN = 256
#: System columns hold the low 32 bits of a transaction's number; half of them tell before from after.
HALF = 1 << 31
_LOW = (1 << 32) - 1

_ID = re.compile(r"([0-9a-f]{10})-([0-9a-f]{10})-(\d{1,19})", re.ASCII)


@dataclass(frozen=True)
class Question:
    """Names of datasets, each with the properties asked for, None for all; and which devices."""

    shown: tuple[tuple[str, frozenset[str] | None], ...]
    places: Places
    seen: Visibility

    @cached_property
    def text(self) -> str:
        """The same for the same question, in every process that knows the same properties."""
        listed = [(name, sorted(self._columns(name) if chosen is None else chosen)) for name, chosen in self.shown]
        return f"{sorted(listed)} {self.places} {self.seen}"

    def _columns(self, dataset: str) -> list[str]:
        return [prop.name for prop in DATASETS[dataset].visible(self.seen)]


@dataclass(frozen=True)
class Mark:
    """How far a hub has told: `system` is the database, `registry` its devices, `xid` the first not finished then."""

    system: str = ""
    registry: str = ""
    xid: int = 0

    def id_for(self, question: Question) -> str:
        """An event's id: database, question and registry, transaction. Whoever shows it again heard all before."""
        return f"{self.system}-{_digest(question.text, self.registry)}-{self.xid}"

    def resumed(self, last: str | None, question: Question) -> int | None:
        """The transaction from which on an earlier id has to be told; None where everything has to be."""
        found = _ID.fullmatch(last or "")
        if found is None:
            return None
        system, asked, xid = found.group(1), found.group(2), int(found.group(3))
        same = (system, asked) == (self.system, _digest(question.text, self.registry))
        return max(xid - _AGAIN, 0) if same and 0 <= self.xid - xid < HALF - _AGAIN else None


def since(changed: int, xid: int) -> bool:
    """Whether a row of this system column was written by the transaction `xid` or later."""
    return (changed - xid) & _LOW < HALF


def system_name(*facts: object) -> str:
    """A name for a database of a server, which tells nobody what it is."""
    return _digest(*facts)


def _digest(*facts: object) -> str:
    return hashlib.blake2b(" ".join(map(str, facts)).encode(), digest_size=5).hexdigest()
