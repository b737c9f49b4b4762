"""What the doctor asks of this machine and this program."""

import json
import platform
import resource
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from usp.doctor.findings import Check, Finding, Report, fail, ok, warn
from usp.errors import UspError
from usp.models.profile import DeviceProfile
from usp.profiles import load_profiles
from usp.settings import Settings

FEW_FILES = 1_024


@dataclass(frozen=True)
class Addresses:
    """Where database and broker are, and which of them belong to a running `usp demo`."""

    database: str | None
    broker: str | None
    own: frozenset[str] = frozenset()


def addresses(settings: Settings) -> Addresses:
    """As set; without that, those of the `usp demo` that runs in the data folder."""
    facts: dict[str, str] = {}
    with suppress(OSError, ValueError):
        facts = json.loads((settings.data_dir / "run.json").read_text(encoding="utf-8"))
    running = {what: facts[what] for what in ("database", "broker") if what in facts}
    database = settings.database_url or running.get("database")
    broker = settings.broker_url or running.get("broker")
    given = {"database": database, "broker": broker}
    own = {what for what, url in running.items() if url == given[what]}
    # `usp demo` writes down what it uses; of those, its own are what was not given to it.
    own = {what for what in own if (settings.data_dir / FOLDERS[what]).is_dir()}
    return Addresses(database, broker, frozenset(own))


#: Where the private parts keep their data, below USP_DATA_DIR.
FOLDERS = {"database": "postgres", "broker": "mosquitto"}


def examine(settings: Settings, found: Addresses) -> tuple[list[Check], dict[str, DeviceProfile] | None]:
    """Every check of the machine, and the profiles if they could be loaded."""
    report = Report("machine")
    report.run("program", program)
    report.run("parts", lambda: parts(found))
    report.run("open files", open_files)
    profiles: dict[str, DeviceProfile] | None = None
    try:
        profiles = load_profiles(settings.profiles_dir)
    except (UspError, OSError) as error:
        report.add("profiles", fail(str(error), "Mend the profile, or USP_PROFILES_DIR: ingest does not start."))
    else:
        report.add("profiles", ok(f"{len(profiles)} from {_folders(settings.profiles_dir)}."))
    return report.checks, profiles


def _folders(directory: Path | None) -> str:
    return "the platform" if directory is None else f"the platform and {directory}"


def program() -> Finding:
    """Versions."""
    return ok(f"usp {version('urban-sharing-platform')}, Python {platform.python_version()}, {platform.platform()}.")


def parts(found: Addresses) -> Finding:
    """Whose database and broker these are."""
    told = []
    for what, url in (("database", found.database), ("broker", found.broker)):
        whose = "not given" if url is None else "private (usp demo)" if what in found.own else "given"
        told.append(f"{what}: {whose}")
    return ok(f"{', '.join(told)}.".capitalize())


def open_files() -> Finding:
    """How many files and connections a process may have."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return ok("No limit.")
    found = f"At most {soft:,} for a process."
    if soft < FEW_FILES:
        return warn(found, f"Raise it to {FEW_FILES:,} (ulimit -n, LimitNOFILE=): each client of the API takes one.")
    return ok(found)
