"""`make bench`: our worker against the bare loop, one after the other, several times; prints medians and the ratio.

A shared machine is noisy: of all figures here only the ratio can be compared with another day's.
"""

import argparse
import asyncio
import json
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from statistics import median

from rich.console import Console
from rich.table import Table
from tests.bench.ingest import Bench, Run

from usp.embedded import Postgres, get_parts

#: What is aimed at: this share of the bare loop's rate.
AIM = 0.7
CONTESTANTS = {"ours": "usp ingest", "bare": "bare loop"}

out = Console(highlight=False, soft_wrap=True)


async def measure(options: argparse.Namespace, folder: Path) -> dict[str, list[Run]]:
    """Run both in turns, so that both meet the same neighbours."""
    runs: dict[str, list[Run]] = {name: [] for name in CONTESTANTS}
    with Postgres(get_parts(), folder / "postgres") as postgres:
        bench = Bench(get_parts(), postgres, folder, options.messages, options.version)
        for number in range(options.runs):
            for name, label in CONTESTANTS.items():
                run = await bench.run(name, number)
                runs[name].append(run)
                out.print(f"{label:>10} {run.messages_per_second:9,.0f} messages/s", style="dim")
    return runs


def ratio(runs: dict[str, list[Run]]) -> float:
    """Our median rate over the bare loop's."""
    ours, bare = (median(run.messages_per_second for run in runs[name]) for name in CONTESTANTS)
    return ours / bare


def show(options: argparse.Namespace, runs: dict[str, list[Run]]) -> None:
    """Print the medians."""
    table = Table("", "messages/s", "CPU per message", "peak memory", title_justify="left")
    table.title = f"{options.messages:,} messages of 8 values, MQTT {options.version}, median of {options.runs}"
    for name, label in CONTESTANTS.items():
        table.add_row(
            label,
            f"{median(run.messages_per_second for run in runs[name]):,.0f}",
            f"{median(run.processor_us_per_message for run in runs[name]):.1f} µs",
            f"{median(run.peak_memory_mb for run in runs[name]):.0f} MB",
        )
    out.print(table)
    out.print(f"Ratio: {ratio(runs):.2f} of the bare loop; the aim is {AIM} or more.", style="bold")


def main() -> int:
    """Measure, print, and say by the exit status whether everything was stored as it should be."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--messages", type=int, default=100_000)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--version", choices=("3.1.1", "5"), default="3.1.1", help="of MQTT, for both")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all runs and the ratio there as well")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="usp-bench-") as folder:
        Path(folder).chmod(0o755)
        try:
            runs = asyncio.run(measure(options, Path(folder)))
        except Exception as error:  # noqa: BLE001 - whatever it was, the logs tell more
            out.print(f"Failed: {type(error).__name__}: {error}", style="red", markup=False)
            for log in sorted(Path(folder).glob("*.log")):
                out.print(f"{log.name}:\n{log.read_text()[-4000:]}", markup=False)
            return 1
    show(options, runs)
    if options.json:
        document = {"messages": options.messages, "version": options.version, "ratio": ratio(runs)}
        document |= {name: [asdict(run) for run in each] for name, each in runs.items()}
        options.json.write_text(json.dumps(document, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
