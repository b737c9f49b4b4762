"""Debian's mirror as a source of server packages, read through a private apt that leaves the system alone."""

import os
import platform
import re
import shlex
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from usp.embedded.errors import EmbeddedUnavailable

# Debian 13: the first release whose main archive carries TimescaleDB.
SUITE = "trixie"

# Sources may name the release or what it is at the moment.
ALIASES = ("stable", "oldstable", "testing", "unstable")

APT = Path("/etc/apt")
KEYRINGS = Path("/usr/share/keyrings")

# The system's apt.conf.d is read as well, because proxies are set there; its hooks and extra indexes are not
# wanted.
APT_CONF = """\
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
#clear Acquire::IndexTargets::deb::DEP-11;
Dir::Etc::sourcelist "{root}/debian.sources";
Dir::Etc::sourceparts "/dev/null";
Dir::Etc::preferences "/dev/null";
Dir::Etc::preferencesparts "/dev/null";
Dir::State "{root}/state";
Dir::State::status "{root}/status";
Dir::Cache "{root}/cache";
Acquire::Languages "none";
Acquire::Retries "3";
Acquire::http::Timeout "20";
Acquire::https::Timeout "20";
APT::Get::List-Cleanup "false";
APT::Install-Recommends "false";
Debug::NoLocking "true";
"""

SOURCES = """\
Types: deb
URIs: {uri}
Suites: {suite}
Components: main
Architectures: {architecture}
Signed-By: {keyring}
"""


@dataclass(frozen=True)
class Source:
    """One line or stanza of apt's sources."""

    uri: str
    suites: tuple[str, ...]
    components: tuple[str, ...]
    signed_by: str = ""


def mirrors(codename: str, folder: Path = APT) -> list[str]:
    """Where this machine gets its Debian from, the likeliest address first.

    A third party may also call its suite after the release and its component `main`; Debian's own mirrors
    end in `/debian` or name Debian's keyring. Whatever is tried, only Debian's signature is accepted.
    """
    names = {codename, *ALIASES}
    found = [s for s in _sources(folder) if names.intersection(s.suites) and "main" in s.components]

    def unlikely(source: Source) -> bool:
        return "debian-archive" not in source.signed_by and not source.uri.rstrip("/").endswith("/debian")

    uris = [s.uri for s in sorted(found, key=unlikely) if not s.uri.startswith("cdrom:")]
    return list(dict.fromkeys(uris))


def _sources(folder: Path) -> Iterator[Source]:
    drop_ins = folder / "sources.list.d"
    for path in sorted(drop_ins.glob("*.sources")):
        yield from _deb822(path.read_text(errors="replace"))
    for path in (folder / "sources.list", *sorted(drop_ins.glob("*.list"))):
        if path.is_file():
            yield from _one_line(path.read_text(errors="replace"))


def _deb822(text: str) -> Iterator[Source]:
    lines = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    for stanza in re.split(r"\n\s*\n", lines):
        unfolded = re.sub(r"\n[ \t]+", " ", stanza)
        pairs = (line.split(":", 1) for line in unfolded.splitlines() if ":" in line)
        fields = {key.strip().lower(): value.split() for key, value in pairs}
        if "deb" not in fields.get("types", []) or fields.get("enabled", ["yes"])[0].lower() in (
            "no",
            "false",
        ):
            continue
        suites, components = tuple(fields.get("suites", [])), tuple(fields.get("components", []))
        for uri in fields.get("uris", []):
            yield Source(uri, suites, components, " ".join(fields.get("signed-by", [])))


def _one_line(text: str) -> Iterator[Source]:
    pattern = re.compile(
        r"^\s*deb\s+(?:\[(?P<options>[^\]]*)\]\s+)?(?P<uri>\S+)\s+(?P<suite>\S+)\s+(?P<components>[^#]*)"
    )
    for line in text.splitlines():
        if match := pattern.match(line):
            components = tuple(match["components"].split())
            yield Source(match["uri"], (match["suite"],), components, match["options"] or "")


class PrivateApt:
    """An apt with lists, cache and an empty package status of its own; the system's is not touched."""

    def __init__(self, root: Path) -> None:
        self.root = root
        for name in ("state/lists/partial", "cache/archives/partial"):
            (root / name).mkdir(parents=True)
        # Nothing counts as installed, so a package's closure includes its C library.
        (root / "status").touch()
        (root / "apt.conf").write_text(APT_CONF.format(root=root))

    def update(self) -> None:
        """Fetch the package lists, checking their signature, from the first mirror that has the suite."""
        uris = mirrors(_codename())
        if not uris:
            raise EmbeddedUnavailable("This machine's apt sources name no Debian mirror.")
        keyring = next((p for p in sorted(KEYRINGS.glob("debian-archive-keyring.*"))), None)
        if keyring is None:
            raise EmbeddedUnavailable("Debian's keyring is missing (package debian-archive-keyring).")
        for uri in uris:
            text = SOURCES.format(uri=uri, suite=SUITE, architecture=architecture(), keyring=keyring)
            (self.root / "debian.sources").write_text(text)
            result = self._run("apt-get", "update", "--error-on=any")
            if result.returncode == 0:
                return
        lines = [line for line in result.stderr.splitlines() if line.startswith("E:")] or ["no answer"]
        raise EmbeddedUnavailable(f"The Debian mirror does not give {SUITE}: {lines[0].removeprefix('E: ')}")

    def closure(self, names: tuple[str, ...]) -> list[str]:
        """Everything that these packages need, themselves included."""
        result = self._run("apt-get", "--simulate", "install", *names)
        if result.returncode != 0:
            raise EmbeddedUnavailable(f"Debian {SUITE} does not offer {', '.join(names)} for {architecture()}.")
        return [line.split()[1] for line in result.stdout.splitlines() if line.startswith("Inst ")]

    def download(self, names: list[str], folder: Path) -> list[Path]:
        """Fetch the packages' files into `folder`, checked against the signed lists."""
        folder.mkdir()
        result = self._run("apt-get", "download", *names, cwd=folder)
        files = sorted(folder.glob("*.deb"))
        if result.returncode != 0 or len(files) != len(names):
            reason = (result.stderr.strip().splitlines() or ["files are missing"])[-1]
            raise EmbeddedUnavailable(f"The download from the Debian mirror broke off: {reason}")
        return files

    def _run(self, command: str, *args: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        argv = [command, "--quiet", "--assume-yes", f"--config-file={self.root / 'apt.conf'}", *args]
        env = os.environ | {"LC_ALL": "C.UTF-8"}
        try:
            return subprocess.run(argv, cwd=cwd, env=env, capture_output=True, text=True, check=False)  # noqa: S603
        except FileNotFoundError:
            raise EmbeddedUnavailable(f"This is not a Debian system: no {shlex.quote(command)}.") from None


def _codename() -> str:
    with suppress(OSError):
        return platform.freedesktop_os_release().get("VERSION_CODENAME", "unknown")
    return "unknown"


def architecture() -> str:
    """Debian's name of this machine's architecture."""
    names = {"x86_64": "amd64", "aarch64": "arm64"}
    try:
        return names[platform.machine()]
    except KeyError:
        raise EmbeddedUnavailable(f"There are no packages for {platform.machine()}.") from None
