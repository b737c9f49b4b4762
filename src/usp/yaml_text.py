"""YAML 1.2 as plain data, with the line and column of everything in it, and every mistake instead of the first."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

_TAG = "tag:yaml.org,2002:"


class Spot(NamedTuple):
    """A place in a text; both count from 1."""

    line: int
    column: int


#: A mistake, and where it is.
Found = tuple[Spot, str]


@dataclass
class Document:
    """What a text says, and where. `spots` has each place's key and value; a place is its keys and indexes as text."""

    data: Any = None
    spots: dict[tuple[str, ...], tuple[Spot, Spot]] = field(default_factory=dict)
    found: list[Found] = field(default_factory=list)

    def spot(self, place: tuple[str, ...], *, key: bool = False) -> Spot:
        """Where a place is, or the nearest one around it that is in the text."""
        while place and place not in self.spots:
            place, key = place[:-1], False
        of_key, of_value = self.spots.get(place, (Spot(1, 1), Spot(1, 1)))
        return of_key if key else of_value


def read_yaml(text: str, key_text: Callable[[object], str] = str) -> Document:
    """Read one document. All keys become text, as `key_text` writes them: Python takes 1, 1.0 and true for the same."""
    document = Document()
    try:
        node = YAML(typ="safe", pure=True).compose(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        spot = Spot(mark.line + 1, mark.column + 1) if mark else Spot(1, 1)
        document.found.append((spot, _problem(error)))
    except YAMLError as error:
        document.found.append((_reader_spot(text, error), "there is a character here that no YAML may hold"))
    except RecursionError:
        document.found.append((Spot(1, 1), "this is nested too deeply"))
    else:
        if node is not None:
            document.data = _Plain(document, key_text).value(node, ())
    return document


def _problem(error: MarkedYAMLError) -> str:
    problem = " ".join(str(error.problem or error.context or "this is no YAML").split())
    if "found another document" in problem:
        return "another document begins here; one file holds one"
    if "'\\t'" in problem:
        return "there is a tab here; YAML is indented by spaces"
    if "mapping values are not allowed here" in problem:
        return "there is a second ': ' here; put the text into quotes, or begin a new line"
    return problem


def _reader_spot(text: str, error: YAMLError) -> Spot:
    before = text[: getattr(error, "position", 0)]
    return Spot(before.count("\n") + 1, len(before) - before.rfind("\n"))


class _Plain:
    """Turns nodes into plain data, and writes down where they stand."""

    def __init__(self, document: Document, key_text: Callable[[object], str]) -> None:
        self._document = document
        self._key_text = key_text
        self._around: list[Node] = []

    def value(self, node: Node, place: tuple[str, ...], key: Spot | None = None) -> Any:
        spot = _spot(node)
        self._document.spots[place] = (key or spot, spot)
        if isinstance(node, ScalarNode):
            return self._scalar(node)
        if any(node is outer for outer in self._around):
            self._mistake(node, "this contains itself")
            return None
        self._around.append(node)
        try:
            if isinstance(node, SequenceNode) and node.tag == f"{_TAG}seq":
                return [self.value(inner, (*place, str(index))) for index, inner in enumerate(node.value)]
            if isinstance(node, MappingNode) and node.tag == f"{_TAG}map":
                return dict(self._pairs(node, place))
        finally:
            self._around.pop()
        return self._no_tag(node)

    def _pairs(self, node: MappingNode, place: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
        seen: dict[str, Spot] = {}
        for key_node, value_node in node.value:
            key = self._scalar(key_node) if isinstance(key_node, ScalarNode) else None
            if key is None:
                self._mistake(key_node, "expected a key: text, a number or a boolean")
                continue
            spot, name = _spot(key_node), self._key_text(key)
            if name in seen:
                self._mistake(key_node, f"{name!r} is there already, in line {seen[name].line}; keep one of them")
                continue
            seen[name] = spot
            yield name, self.value(value_node, (*place, name), spot)

    def _scalar(self, node: ScalarNode) -> Any:
        text: str = node.value
        kind = node.tag.removeprefix(_TAG) if node.tag else ""
        try:
            if kind == "int":
                return _integer(text)
            if kind == "float":
                return float(text.replace("_", "").lower().replace(".inf", "inf").replace(".nan", "nan"))
        except ValueError:
            return text
        if kind == "bool":
            return text.lower() == "true"
        if kind == "null":
            return None
        # A date is text here: nothing in a profile is one.
        return text if kind in {"str", "timestamp"} else self._no_tag(node)

    def _no_tag(self, node: Node) -> None:
        self._mistake(node, f"{node.tag} is not understood here; leave the tag out")

    def _mistake(self, node: Node, text: str) -> None:
        self._document.found.append((_spot(node), text))


def _spot(node: Node) -> Spot:
    return Spot(node.start_mark.line + 1, node.start_mark.column + 1)


def _integer(text: str) -> int:
    digits = text.replace("_", "").lower()
    sign = -1 if digits.startswith("-") else 1
    digits = digits.lstrip("+-")
    base = {"0x": 16, "0o": 8, "0b": 2}.get(digits[:2])
    return sign * (int(digits, 10) if base is None else int(digits[2:], base))
