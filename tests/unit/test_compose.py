"""docker-compose.yml starts the same platform as `make run`."""

import re
from pathlib import Path
from typing import Any

import pytest
import typer
from ruamel.yaml import YAML

from usp.cli import app
from usp.settings import PREFIX, Settings

ROOT = Path(__file__).parents[2]
PLATFORM_CONF = ROOT / "src/usp/embedded/mosquitto.conf"
OURS = ("migrate", "ingest", "api", "registry", "simulators")


@pytest.fixture(scope="module")
def compose() -> Any:
    """The file, decoded."""
    return YAML(typ="safe", pure=True).load((ROOT / "docker-compose.yml").read_text())


def _options(path: Path) -> dict[str, str]:
    lines = [line for line in path.read_text().splitlines() if line and not line.startswith("#")]
    return {name: value for name, _, value in (line.partition(" ") for line in lines)}


def test_one_source_for_the_brokers_limits(compose: Any) -> None:
    """The containers' broker reads the very file that `make run` uses, and nothing beside it says otherwise."""
    mounts = [volume.split(":") for volume in compose["services"]["mosquitto"]["volumes"]]
    (target,) = [mount[1] for mount in mounts if (ROOT / mount[0]) == PLATFORM_CONF]
    own = _options(ROOT / "deploy/mosquitto.conf")
    assert Path(target).parent == Path(own["include_dir"])
    assert Path(target).suffix == ".conf"
    assert not own.keys() & _options(PLATFORM_CONF).keys() - {"log_type"}


def test_mounted_files_are_there(compose: Any) -> None:
    """A missing file would be mounted as an empty folder."""
    for service in compose["services"].values():
        for volume in service.get("volumes", ()):
            if volume.startswith("./"):
                assert (ROOT / volume.split(":")[0]).is_file()


@pytest.mark.parametrize("name", OURS)
def test_our_services_call_commands_that_exist(compose: Any, name: str) -> None:
    """Each of our containers runs a command of `usp`, with settings that `usp` knows."""
    service = compose["services"][name]
    command: Any = typer.main.get_command(app)
    for word in service["command"]:
        if not word.startswith("-"):
            command = command.commands[word]
        else:
            assert any(word in parameter.opts for parameter in command.params)
    known = {PREFIX + field.upper() for field in Settings.model_fields}
    # Uvicorn's own.
    assert service["environment"].keys() <= known | {"FORWARDED_ALLOW_IPS"}


def test_a_read_only_container_has_a_place_for_temporary_files(compose: Any) -> None:
    """Also mosquitto_passwd writes a new file before it replaces the old one."""
    for name, service in compose["services"].items():
        assert not service.get("read_only") or "/tmp" in str(service.get("tmpfs")), name  # noqa: S108


def test_every_variable_is_in_the_example() -> None:
    """deploy/env.example names all variables, and none that `usp` would refuse when it reads the same .env."""
    text = (ROOT / "docker-compose.yml").read_text()
    example = (ROOT / "deploy/env.example").read_text()
    asked = set(re.findall(r"(?<!\$)\$\{(\w+)", text))
    offered = set(re.findall(r"^(?:# )?([A-Z_]+)=", example, re.MULTILINE))
    assert asked == offered
    known = {PREFIX + name.upper() for name in Settings.model_fields}
    assert not [name for name in offered if name.startswith(PREFIX) and name not in known]


def test_documented_limits_are_the_configured_ones() -> None:
    """The table of docs/operations.md shows the broker's limits as they are."""
    text = (ROOT / "docs/operations.md").read_text()
    for name, value in _options(PLATFORM_CONF).items():
        if name.startswith(("max_", "queue_", "persistent_")):
            (line,) = [line for line in text.splitlines() if line.startswith(f"| `{name}` |")]
            assert line.split("|")[3].strip() == value
