"""What private servers have in common: an account, a port, a lock, an end."""

import fcntl
import os
import pwd
import secrets
import select
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

from usp.embedded.errors import EmbeddedFailed, FolderInUse

CAP_DAC_OVERRIDE = 1
CAP_DAC_READ_SEARCH = 2
LOOPBACK = "127.0.0.1"


class FolderLock:
    """A folder that one process uses at a time. The kernel gives the lock back however that process ends."""

    def __init__(self, folder: Path, name: str = "lock") -> None:
        self._path = folder / name
        self._file: IO[str] | None = None

    def acquire(self) -> None:
        """Take the lock, or say who has it."""
        file = self._path.open("a+")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = file.read().strip()
            file.close()
            raise FolderInUse(f"{self._path.parent}: process {holder or 'unknown'} runs there.") from None
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        self._file = file

    def release(self) -> None:
        """Give the lock back."""
        if self._file is not None:
            self._file.close()
            self._file = None


def service_account() -> pwd.struct_passwd | None:
    """Return the account that servers run under when we are root: PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return None
    return pwd.getpwnam("nobody")


def make_private(folder: Path) -> None:
    """Make a folder that only the servers' account (and root) can look into."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        give(folder)
        folder.chmod(0o700)
    except PermissionError:
        raise EmbeddedFailed(f"{folder} belongs to another account.") from None


def give(path: Path) -> None:
    """Hand a file or folder to the servers' account."""
    if account := service_account():
        os.chown(path, account.pw_uid, account.pw_gid)


def write_private(path: Path, text: str) -> None:
    """Write a file that nobody else can read, and that is never seen half-written."""
    partial = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    partial.replace(path)


def ending_with_us(argv: Sequence[str | Path], number: signal.Signals) -> list[str]:
    """Prefix a command so that it gets this signal when we are gone, however we went.

    The kernel sends it when the *thread* that started the command ends: start it from one that stays.
    """
    command = [str(word) for word in argv]
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", number.name.removeprefix("SIG"), "--", *command] if setpriv else command


def as_service(argv: Sequence[str | Path], folder: Path) -> list[str]:
    """Prefix a command so that it runs under the servers' account, with `folder` in its reach."""
    command = [str(word) for word in argv]
    account = service_account()
    if account is None:
        return command
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        raise EmbeddedFailed("Running as root needs setpriv (package util-linux).")
    change = [f"--reuid={account.pw_uid}", f"--regid={account.pw_gid}", "--clear-groups", *_passage(folder)]
    return [setpriv, *change, "--", *command]


def _passage(folder: Path) -> list[str]:
    """Let the account pass folders above `folder` that are closed to it, such as /root."""
    if all(parent.stat().st_mode & 0o001 for parent in folder.resolve().parents):
        return []
    status = Path("/proc/self/status").read_text()
    effective = next(int(line.split()[1], 16) for line in status.splitlines() if line.startswith("CapEff"))
    # Containers usually keep the second and drop the first, which is the smaller one.
    for number, name in ((CAP_DAC_READ_SEARCH, "dac_read_search"), (CAP_DAC_OVERRIDE, "dac_override")):
        if effective >> number & 1:
            return [f"--inh-caps=+{name}", f"--ambient-caps=+{name}"]
    raise EmbeddedFailed(f"A folder above {folder} is closed to the account the servers run under.")


def bindable(host: str, port: int) -> int:
    """Return the port if it can be listened on, any free one for 0, and 0 if it is taken."""
    with suppress(OSError, OverflowError):
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as candidate:
            candidate.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            candidate.bind(address)
            found: int = candidate.getsockname()[1]
            return found
    return 0


def free_port(memory: Path) -> int:
    """Return the port used last time if it is free, else any free one, and remember it."""
    last = 0
    with suppress(OSError, ValueError):
        last = int(memory.read_text())
    port = bindable(LOOPBACK, last) or bindable(LOOPBACK, 0)
    if not port:
        raise EmbeddedFailed("No free port on the loopback interface.")
    memory.write_text(f"{port}\n")
    return port


def open_log(path: Path, keep: int = 5_000_000) -> IO[bytes]:
    """Open a log to append to; one larger than `keep` bytes is put aside first, in place of the last such."""
    if path.exists() and path.stat().st_size > keep:
        path.replace(path.with_name(f"{path.name}.1"))
    return path.open("ab")


def tail(path: Path, lines: int = 15) -> str:
    """Return the end of a log."""
    with suppress(OSError), path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 16_384))
        return "\n".join(file.read().decode(errors="replace").splitlines()[-lines:])
    return ""


def end(process: subprocess.Popen[bytes], *steps: tuple[signal.Signals, float]) -> None:
    """Ask a process to end, each time more firmly, and wait; the last resort is always SIGKILL."""
    for number, seconds in steps:
        process.send_signal(number)
        with suppress(subprocess.TimeoutExpired):
            process.wait(seconds)
            return
    process.kill()
    process.wait()


def end_orphan(pid: int, marker: str, *steps: tuple[signal.Signals, float]) -> None:
    """End what an earlier run left, if its command line holds the marker: process numbers are used again."""
    if pid <= 1:
        return
    try:
        handle = os.pidfd_open(pid)
    except OSError:
        return
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
        if marker not in command:
            return
        for number, seconds in (*steps, (signal.SIGKILL, 5.0)):
            signal.pidfd_send_signal(handle, number)
            if select.select([handle], [], [], seconds)[0]:
                return
        raise EmbeddedFailed(f"Process {pid} of an earlier run does not end.")
    except (FileNotFoundError, ProcessLookupError):
        return
    except PermissionError:
        raise EmbeddedFailed(f"Process {pid} of an earlier run belongs to another account.") from None
    finally:
        os.close(handle)


def wait_until(process: subprocess.Popen[bytes], is_ready: Callable[[], bool], seconds: float) -> bool:
    """Wait for a server to serve; False if it ended or the time is over before."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if process.poll() is not None:
            return False
        if is_ready():
            return True
        time.sleep(0.02)
    return False
