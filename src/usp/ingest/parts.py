"""Parts that are devices of their own: a counter's lanes, a charger's connectors, a building's flats."""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from usp.ingest.paths import take
from usp.ingest.refusal import Refused
from usp.models.paths import Step, steps
from usp.models.profile import PartRule, written
from usp.models.reasons import Reason

#: As many as items in a message.
MAX_PARTS = 10_000

#: The field that a part which is no object, but a mere number, is said to have.
VALUE = "value"

_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
_NO_NAME = re.compile(r"[^a-z0-9]+")

#: A part's name and its own item.
Part = tuple[str, dict[str, Any]]


class _AtPath(NamedTuple):
    """Parts in an array, in an object, or a single one, at a path."""

    path: tuple[Step, ...]
    every: str
    text: str
    name: str

    def split(self, rest: dict[str, Any]) -> Iterator[Part]:
        """Take the parts out of the item; one that has no name is left there."""
        found = take(rest, self.path)
        elements: list[tuple[str, dict[str, Any] | None, Any]]
        if self.every == "[*]" and type(found) is list:
            elements = [(f"{self.text}[{index}]", {"index": index + 1}, value) for index, value in enumerate(found)]
        elif self.every == ".*" and type(found) is dict:
            pairs = enumerate(found.items(), start=1)
            elements = [(f"{self.text}.{key}", {"index": n, "key": key}, value) for n, (key, value) in pairs]
        elif self.every:
            elements = [(self.text, None, found)]
        else:
            elements = [(self.text, {}, found)]
        if len(elements) > MAX_PARTS:
            raise Refused(Reason.TOO_LARGE, f"Got {len(elements):,} parts in {self.text}.", self.text)
        for where, known, value in elements:
            if value is None:
                continue
            part = dict(value) if type(value) is dict else {VALUE: value}
            name = None if known is None else _name(self.name, known, part)
            if name is None:
                rest[where] = value
            else:
                yield name, part


class _ByPrefix(NamedTuple):
    """Parts whose fields stand beside the others, and begin alike."""

    pattern: re.Pattern[str]
    name: str

    def split(self, rest: dict[str, Any]) -> Iterator[Part]:
        """Take the parts' fields out of the item."""
        parts: dict[str, dict[str, Any]] = {}
        for key in list(rest):
            match = self.pattern.match(key)
            if match is None or match.end() == len(key):
                continue
            known = {"index": int(match[1])} if match.re.groups else {}
            name = _name(self.name, known, {})
            if name is not None:
                parts.setdefault(name, {})[key[match.end() :]] = rest.pop(key)
        yield from parts.items()


class Splitter:
    """The rules of a profile about its device's parts."""

    def __init__(self, rules: Iterable[PartRule]) -> None:
        self._rules = [_compiled(rule) for rule in rules]

    def __call__(self, item: Mapping[str, Any]) -> tuple[dict[str, Any], list[Part]]:
        """What is left of the item without its parts, and each part's own item.

        The item itself is not changed. A part says when and for how long it measured, or it is as of the whole.
        """
        rest = dict(item)
        parts = [part for rule in self._rules for part in rule.split(rest)]
        for shared in ("time", "period"):
            value = rest.get(shared)
            if value is not None:
                for _, part in parts:
                    part.setdefault(shared, value)
        return rest, parts


def _compiled(rule: PartRule) -> _AtPath | _ByPrefix:
    if rule.prefix is not None:
        before, index, after = rule.prefix.partition("{index}")
        number = r"(\d{1,9})" if index else ""
        return _ByPrefix(re.compile(re.escape(before) + number + re.escape(after), re.ASCII), rule.name)
    path = rule.path or ""
    every = next((mark for mark in ("[*]", ".*") if path.endswith(mark)), "")
    text = path.removesuffix(every)
    return _AtPath(steps(text), every, text, rule.name)


def _name(template: str, known: Mapping[str, Any], part: dict[str, Any]) -> str | None:
    """What a part is called; None where a field that names it is not there. That field is no reading of it."""
    names = dict(known)
    for field in _PLACEHOLDER.findall(template):
        if field not in names:
            names[field] = part.pop(field, None)
    if any(type(value) not in (str, int, float) for value in names.values()):
        return None
    text = _PLACEHOLDER.sub(lambda match: written(names[match[1]]), template)
    return _NO_NAME.sub("-", text.lower()).strip("-") or None
