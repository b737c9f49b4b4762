"""Programs under measurement, seen from outside: their output, processor time and memory."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

#: How often `idle` looks, and for how long a process must do nothing.
LOOK_S = 0.005
IDLE_S = 0.05


def processor_seconds(pid: int) -> float:
    """Processor time a process has used so far, all threads together, to the nanosecond."""
    # What clock_getcpuclockid(3) returns: the kernel keeps a clock for each process; `/proc` only counts ticks.
    return time.clock_gettime(~pid << 3 | 2)


def children(pid: int) -> list[int]:
    """The processes that a process has started and that still run."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


async def idle(pid: int) -> float:
    """Wait until a process does next to nothing; returns since when, on the monotonic clock."""
    used, busy_until = processor_seconds(pid), time.monotonic()
    while True:
        await asyncio.sleep(LOOK_S)
        now, used_now = time.monotonic(), processor_seconds(pid)
        if used_now - used > LOOK_S / 5:
            busy_until = now
        elif now - busy_until > IDLE_S:
            return busy_until
        used = used_now


def peak_memory(pid: int) -> int:
    """The most resident memory a process has used so far, in bytes."""
    status = Path(f"/proc/{pid}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024


@asynccontextmanager
async def running(
    module: str, *arguments: str, folder: Path, settings: dict[str, str] | None = None
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run a module as a program of its own, in a folder without `.env`, until the block ends."""
    environment = {key: value for key, value in os.environ.items() if not key.upper().startswith("USP_")}
    # The folders of this checkout, also where it is not installed.
    top = Path(__file__).parents[2]
    environment["PYTHONPATH"] = os.pathsep.join(
        filter(None, [str(top), str(top / "simulators"), environment.get("PYTHONPATH")])
    )
    with (folder / f"{module}.log").open("ab") as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", module, *arguments,
            cwd=folder, env=environment | (settings or {}), stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE, stderr=log,
        )  # fmt: skip
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        with suppress(TimeoutError):
            async with asyncio.timeout(20):
                await process.wait()
        with suppress(ProcessLookupError):
            process.kill()


async def line_of(process: asyncio.subprocess.Process) -> str:
    """The next line a program prints; an error where it ended instead."""
    assert process.stdout is not None
    line = await process.stdout.readline()
    if not line:
        raise RuntimeError(f"A program under measurement ended with status {await process.wait()}.")
    return line.decode().strip()
