"""Fields inside nested objects and arrays, brought to the surface under their paths."""

from collections.abc import Iterable, Mapping
from typing import Any

from usp.models.paths import Step, is_path, steps

#: What is behind each step; nothing behind the last one. Only what a path leads to is ever entered, so however
#: deep and wide a payload is, walking it costs what the profile's own paths cost.
Tree = dict[Step, "Tree"]


def tree_of(names: Iterable[str]) -> Tree:
    """The paths among fields' names as one tree; empty where there are none, and nothing has to be walked."""
    tree: Tree = {}
    for name in filter(is_path, names):
        at = tree
        for step in steps(name):
            at = at.setdefault(step, {})
    return tree


def flatten(item: Mapping[str, Any], tree: Tree) -> dict[str, Any]:
    """The item with what lies inside its objects and arrays, as far as the tree goes, under paths as keys.

    A key that is called like a path goes before what lies there.
    """
    flat: dict[str, Any] = {}
    entered: list[tuple[str, Any, Tree]] = []
    for key, value in item.items():
        behind = tree.get(key)
        if behind and type(value) in (dict, list):
            entered.append((key, value, behind))
        else:
            flat[key] = value
    for key, value, behind in entered:
        _bring_up(key, value, behind, flat)
    return flat


def _bring_up(path: str, container: Any, tree: Tree, flat: dict[str, Any]) -> None:
    if type(container) is dict:
        inner = [(key, f"{path}.{key}", value) for key, value in container.items()]
    else:
        inner = [(index, f"{path}[{index}]", value) for index, value in enumerate(container)]
    for step, name, value in inner:
        behind = tree.get(step)
        if behind and type(value) in (dict, list):
            _bring_up(name, value, behind, flat)
        else:
            flat.setdefault(name, value)


def take(item: dict[str, Any], path: tuple[Step, ...]) -> Any:
    """What lies at a path, taken out of the item; None where there is nothing.

    Containers on the way are copied, so that the item's own parts stay whole; the item itself is changed.
    """
    at: Any = item
    for step in path[:-1]:
        inner = _get(at, step)
        if type(inner) not in (dict, list):
            return None
        at[step] = inner.copy()
        at = at[step]
    last = path[-1]
    found = _get(at, last)
    if found is None:
        return None
    if type(at) is dict:
        del at[last]
    else:
        at[last] = None
    return found


def _get(container: Any, step: Step) -> Any:
    if type(container) is dict:
        return container.get(step)
    return container[step] if type(step) is int and step < len(container) else None
