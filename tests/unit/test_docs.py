"""The documentation names everything that can be met, and what it names is there."""

import re
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest
import typer

from usp.cli import app
from usp.models.dataset import ROW_FLAG_NAMES
from usp.models.datasets import DATASETS
from usp.models.device import KINDS
from usp.models.reasons import Reason
from usp.settings import PREFIX, Settings

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md")])
#: Looks like a file or folder of this tree, and is one.
PATH = re.compile(r"`((?:src|tests|docs|migrations|simulators|deploy|requirements|\.ci)/[\w./-]*)`")
LINK = re.compile(r"\]\(([^)#\s]*)(#[^)\s]*)?\)")


def _generate() -> Any:
    spec = spec_from_file_location("generate", DOCS / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _section(page: str, heading: str) -> str:
    return (DOCS / page).read_text().split(f"\n{heading}\n", 1)[1].split("\n## ", 1)[0]


@pytest.mark.parametrize("page", sorted(_generate().PAGES))
def test_generated_parts_are_up_to_date(page: str) -> None:
    """What follows from the code says what the code says: run .venv/bin/python docs/generate.py."""
    assert (DOCS / page).read_text() == _generate().page(page)


@pytest.mark.parametrize("name", sorted(_generate().FILES))
def test_generated_files_are_up_to_date(name: str) -> None:
    """What an editor reads is what the platform reads: run .venv/bin/python docs/generate.py."""
    assert (DOCS / name).read_text() == _generate().FILES[name]()


@pytest.mark.parametrize("reason", list(Reason))
def test_every_reason_is_documented(reason: Reason) -> None:
    """Whoever's reading is refused can look the reason up."""
    assert f"| `{reason}` |" in (DOCS / "sending-data.md").read_text()


def test_every_flag_is_documented() -> None:
    """Whoever meets a flag can look it up."""
    text = (DOCS / "sending-data.md").read_text()
    everything = -1
    for dataset in DATASETS.values():
        for flag in dataset.flag_names(0, everything):
            assert f"`{flag}`" in text
    assert "`<property>:out_of_range`" in text
    assert all(f"`{flag}`" in text for flag in ROW_FLAG_NAMES.values())


@pytest.mark.parametrize("dataset", DATASETS)
def test_every_property_is_documented(dataset: str) -> None:
    """Each dataset's section names all its properties with their units."""
    section = _section("datasets.md", f"## {dataset}")
    for prop in DATASETS[dataset].properties:
        (line,) = [line for line in section.splitlines() if line.startswith(f"| `{prop.name}` |")]
        assert prop.unit is None or f"| {prop.unit} |" in line


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_documented(kind: str) -> None:
    """Each kind of device is listed with its categories."""
    section = _section("datasets.md", "## Kinds of device")
    (line,) = [line for line in section.splitlines() if line.startswith(f"| `{kind}` |")]
    assert all(category in line for category in KINDS[kind].categories)


@pytest.mark.parametrize("name", Settings.model_fields)
def test_every_setting_is_documented(name: str) -> None:
    """Each setting is listed under the name of its environment variable."""
    assert f"| `{PREFIX}{name.upper()}` |" in (DOCS / "settings.md").read_text()


def test_every_command_and_flag_is_documented() -> None:
    """Each command is listed with all its flags."""
    text = (DOCS / "settings.md").read_text()

    def check(command: Any, words: str) -> None:
        for name, subcommand in getattr(command, "commands", {}).items():
            check(subcommand, f"{words} {name}")
        if not hasattr(command, "commands"):
            (line,) = [line for line in text.splitlines() if line.startswith(f"| `{words}` |")]
            for parameter in command.params:
                assert all(option.upper() in line.upper() for option in parameter.opts)

    check(typer.main.get_command(app), "usp")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_what_a_page_points_to_is_there(page: Path) -> None:
    """Links within the repository lead somewhere, headings included, and files that are named exist."""
    text = page.read_text()
    for target, anchor in LINK.findall(text):
        if target.startswith("http"):
            continue
        path = page.parent / target if target else page
        assert path.exists(), target
        if anchor:
            assert anchor[1:] in _anchors(path), f"{target}{anchor}"
    for name in PATH.findall(text):
        assert (ROOT / name).exists(), name


def _anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
