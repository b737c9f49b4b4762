"""Writes the parts of these pages that follow from the code: datasets, reasons, flags, settings, commands.

Run it after changing one of those: `.venv/bin/python docs/generate.py`. A test says when it is due.
"""

# ruff: noqa: INP001 - a script beside the pages, no package

import re
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import typer
from pydantic import BaseModel

from usp.cli import app
from usp.models.dataset import FLAG_WORDS, ROW_FLAG_NAMES, Aggregation, Property, RowFlag, ValueType, Visibility
from usp.models.datasets import DATASETS
from usp.models.device import KINDS
from usp.models.profile import DeviceProfile, FieldMap, PartRule
from usp.models.profile_schema import schema_text
from usp.models.reasons import EXPLANATIONS, Reason
from usp.profiles import load_profiles
from usp.settings import PREFIX, Settings

DOCS = Path(__file__).parent

AGGREGATIONS = {
    Aggregation.MEAN: "average",
    Aggregation.ENERGETIC_MEAN: "10·log10(mean(10^(L/10))): how sound levels are averaged",
    Aggregation.VECTOR_MEAN: "direction of the summed unit vectors",
    Aggregation.WEIGHTED_MEAN: "average weighted by another property",
    Aggregation.SUM: "total",
    Aggregation.COUNTER: "increase of a register that only counts up; resets and roll-overs are recognised",
    Aggregation.STATE: "seconds spent in each state, and number of changes",
    Aggregation.MAX: "largest value",
    Aggregation.MIN: "smallest value",
    Aggregation.LAST: "newest value",
}


def table(header: Iterable[str], rows: Iterable[Iterable[str]]) -> Iterator[str]:
    """Yield the lines of a Markdown table."""
    header = list(header)
    for cells in (header, ["---"] * len(header), *rows):
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def datasets() -> Iterator[str]:
    """Every dataset with its properties."""
    for dataset in DATASETS.values():
        kinds = ", ".join(f"`{kind.name}`" for kind in KINDS.values() if dataset.name in kind.datasets)
        facts = [f"Sent by: {kinds}"]
        if dataset.interval:
            facts.append("interval dataset: `time` is the start of the measuring interval, `period` its length in s")
        if dataset.visibility is not Visibility.OPEN:
            facts.append(f"visibility: {dataset.visibility}")
        facts.append(f"licence: {dataset.licence}")
        yield from (f"## {dataset.name}", "", dataset.description, "", "; ".join(facts) + ".", "")
        yield from table(
            ("property", "meaning", "unit", "plausible", "aggregation", "visibility"),
            (
                (f"`{p.name}`", p.title, _unit(p), _plausible(p), _aggregation(p), str(p.visibility))
                for p in dataset.properties
            ),
        )
        for prop in dataset.properties:
            yield from _notes(prop)
        yield ""


def _unit(prop: Property) -> str:
    return {ValueType.BOOLEAN: "true or false", ValueType.TEXT: "state"}.get(prop.type) or prop.unit or "1"


def _plausible(prop: Property) -> str:
    return "" if prop.low is None or prop.high is None else f"{_number(prop.low)} to {_number(prop.high)}"


def _number(value: float) -> str:
    return f"{value:,.9g}".replace("-", "\N{MINUS SIGN}")


def _aggregation(prop: Property) -> str:
    return f"{prop.aggregation}({prop.weight})" if prop.weight else str(prop.aggregation)


def _notes(prop: Property) -> Iterator[str]:
    if prop.states:
        yield from ("", f"States of `{prop.name}`: {', '.join(prop.states)}.")
    if prop.bottom_code is not None:
        yield from ("", f"`{prop.name}` below {prop.bottom_code} is stored as 0 and flagged.")
    if prop.at_interval_start:
        yield from ("", f"`{prop.name}` is stored at the start of its measuring interval.")


def kinds() -> Iterator[str]:
    """The kinds of device."""
    yield from table(
        ("kind", "what it is", "datasets", "categories", "visibility unless said otherwise"),
        (
            (
                f"`{kind.name}`",
                kind.title,
                ", ".join(kind.datasets),
                ", ".join(kind.categories) or "none",
                str(kind.default_visibility),
            )
            for kind in KINDS.values()
        ),
    )


def aggregations() -> Iterator[str]:
    """What the words in the column `aggregation` mean."""
    yield from table(("aggregation", "one value out of many"), ((f"`{a}`", AGGREGATIONS[a]) for a in Aggregation))


def reasons() -> Iterator[str]:
    """The closed list of reasons."""
    rows = ((f"`{reason}`", EXPLANATIONS[reason]) for reason in Reason)
    yield from table(("reason", "what it means, and what would be right"), rows)


def flags() -> Iterator[str]:
    """The closed list of flags."""
    coded = [f"`{p.name}:bottom_coded`" for d in DATASETS.values() for p in d.properties if p.bottom_code is not None]
    rows = [("`<property>:out_of_range`", FLAG_WORDS["out_of_range"])]
    rows += [(name, FLAG_WORDS["bottom_coded"]) for name in coded]
    rows += [(f"`{ROW_FLAG_NAMES[flag]}`", FLAG_WORDS[ROW_FLAG_NAMES[flag]]) for flag in RowFlag]
    yield from table(("flag", "meaning"), rows)


def settings() -> Iterator[str]:
    """Every setting."""
    rows = []
    for name, info in Settings.model_fields.items():
        default = "" if info.default is None else f"`{info.default}`"
        rows.append((f"`{PREFIX}{name.upper()}`", default or "none", info.description or ""))
    yield from table(("setting", "default", "meaning"), rows)


def commands() -> Iterator[str]:
    """Every command with its flags."""
    rows = []
    for words, command in _commands(typer.main.get_command(app), ()):
        options = []
        for parameter in command.params:
            names = ", ".join((*parameter.opts, *parameter.secondary_opts))
            if parameter.param_type_name == "argument":
                names = names.upper()
            options.append(f"`{names}`: {getattr(parameter, 'help', '') or ''}".rstrip(": "))
        rows.append((f"`usp {' '.join(words)}`", " ".join((command.help or "").split()), "<br>".join(options)))
    yield from table(("command", "what it does", "flags"), rows)


def _commands(command: Any, words: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    subcommands = getattr(command, "commands", None)
    if subcommands is None:
        yield words, command
        return
    for name, subcommand in subcommands.items():
        yield from _commands(subcommand, (*words, name))


def profile_keys() -> Iterator[str]:
    """Every key of a profile."""
    yield from _keys(DeviceProfile)


def field_keys() -> Iterator[str]:
    """Every key of a field in a profile."""
    yield from _keys(FieldMap)


def part_keys() -> Iterator[str]:
    """Every key of a device's part in a profile."""
    yield from _keys(PartRule)


def _keys(model: type[BaseModel]) -> Iterator[str]:
    rows = []
    for name, info in model.model_fields.items():
        default = info.default if isinstance(info.default, str | float | bool) else ""
        shown = f"{default:g}" if isinstance(default, float) else str(default).lower()
        rows.append((f"`{name}`", "required" if info.is_required() else shown, info.description or ""))
    yield from table(("key", "without it", "meaning"), rows)


def shipped_profiles() -> Iterator[str]:
    """The profiles that ship with the platform."""
    found = (p for p in load_profiles().values() if not p.name.startswith(("native-", "milan-")))
    yield from table(
        ("profile", "device model", "kind", "codec"), ((f"`{p.name}`", p.title, p.kind, p.codec or "") for p in found)
    )


#: Page -> the parts of it that are generated, each between `<!-- name -->` and `<!-- /name -->`.
PAGES: dict[str, tuple[Callable[[], Iterator[str]], ...]] = {
    "datasets.md": (kinds, aggregations, datasets),
    "sending-data.md": (reasons, flags),
    "settings.md": (settings, commands),
    "profiles.md": (profile_keys, field_keys, part_keys, shipped_profiles),
}

#: File -> its whole text.
FILES: dict[str, Callable[[], str]] = {"profile.schema.json": schema_text}


def page(name: str) -> str:
    """The text of a page as it ought to be."""
    text = (DOCS / name).read_text()
    for part in PAGES[name]:
        begin, end = f"<!-- {part.__name__} -->", f"<!-- /{part.__name__} -->"
        body = "\n".join(part()).strip()
        pieces = re.split(f"{re.escape(begin)}.*?{re.escape(end)}", text, flags=re.DOTALL)
        if len(pieces) != 2:
            raise SystemExit(f"docs/{name} holds {begin} … {end} {len(pieces) - 1} times instead of once.")
        text = f"{begin}\n\n{body}\n\n{end}".join(pieces)
    return text


def main() -> None:
    """Write what is out of date."""
    for name in PAGES:
        path, text = DOCS / name, page(name)
        if text != path.read_text():
            path.write_text(text)
            sys.stdout.write(f"{path} written\n")
    for name, make in FILES.items():
        path, text = DOCS / name, make()
        if not path.exists() or text != path.read_text():
            path.write_text(text)
            sys.stdout.write(f"{path} written\n")


if __name__ == "__main__":
    main()
