"""`make bench`: our worker against the bare loop, uplinks against native ones, the API and the map against plain ones.

All take turns, several times; medians and ratios are printed. An uplink has a row of radio data besides, which `with
radio data` has too, natively.

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

import uvloop
from rich.console import Console
from rich.table import Table
from tests.bench import pages, queries
from tests.bench.ingest import CONTESTANTS, Bench, Run

from usp.embedded import Postgres, get_parts

#: What is aimed at: this share of the bare loop's rate; and of the native rate, for uplinks that come decoded.
AIM = 0.7
#: What several are called together.
GROUPS = {"ingest": tuple(CONTESTANTS), "queries": queries.NAMES, "pages": pages.NAMES}

out = Console(highlight=False, soft_wrap=True)


async def measure(options: argparse.Namespace, names: list[str], folder: Path) -> dict[str, list[Run]]:
    """Run all in turns, so that all meet the same neighbours."""
    runs: dict[str, list[Run]] = {name: [] for name in names}
    with Postgres(get_parts(), folder / "postgres") as postgres:
        bench = Bench(get_parts(), postgres, folder, options.messages, options.version)
        for number in range(options.runs):
            for name, each in runs.items():
                run = await bench.run(name, number)
                each.append(run)
                out.print(f"{CONTESTANTS[name].label:>20} {run.messages_per_second:9,.0f} messages/s", style="dim")
    return runs


def ratios(runs: dict[str, list[Run]]) -> dict[str, float]:
    """Median rates over each other, of those that were measured."""
    rates = {name: median(run.messages_per_second for run in each) for name, each in runs.items()}
    pairs = {
        "ratio": ("ours", "bare"),
        "object_to_native": ("object", "ours"),
        "object_to_native_with_radio": ("object", "radio"),
        "codec_to_native": ("codec", "ours"),
        "codec_to_native_with_radio": ("codec", "radio"),
    }
    return {name: rates[a] / rates[b] for name, (a, b) in pairs.items() if a in rates and b in rates}


def show(options: argparse.Namespace, runs: dict[str, list[Run]]) -> None:
    """Print the medians."""
    table = Table("", "messages/s", "CPU per message", "peak memory", title_justify="left")
    table.title = f"{options.messages:,} messages of 8 values, MQTT {options.version}, median of {options.runs}"
    for name, each in runs.items():
        table.add_row(
            CONTESTANTS[name].label,
            f"{median(run.messages_per_second for run in each):,.0f}",
            f"{median(run.processor_us_per_message for run in each):.1f} µs",
            f"{median(run.peak_memory_mb for run in each):.0f} MB",
        )
    out.print(table)
    found = ratios(runs)
    if "ratio" in found:
        out.print(f"Ratio: {found['ratio']:.2f} of the bare loop; the aim is {AIM} or more.", style="bold")
    for name, what, aim in (("object", "decoded", f"; the aim is {AIM} or more"), ("codec", "by codec", "")):
        if f"{name}_to_native" in found:
            natively, with_radio = found[f"{name}_to_native"], found.get(f"{name}_to_native_with_radio", float("nan"))
            out.print(
                f"Uplinks, {what}: {natively:.2f} of native{aim}. {with_radio:.2f} of native with radio data.",
                style="bold",
            )


def main() -> int:
    """Measure, print, and say by the exit status whether all was stored and answered as it should be."""
    options = _options()
    chosen = {one for name in options.only or GROUPS for one in GROUPS.get(name, (name,))}
    document: dict[str, object] = {}
    with tempfile.TemporaryDirectory(prefix="usp-bench-") as folder:
        Path(folder).chmod(0o755)
        try:
            for group, run in (("ingest", _ingest), ("queries", _queries), ("pages", _pages)):
                if names := [name for name in GROUPS[group] if name in chosen]:
                    document |= run(options, names, Path(folder))
        except Exception as error:  # noqa: BLE001 - whatever it was, the logs tell more
            out.print(f"Failed: {type(error).__name__}: {error}", style="red", markup=False)
            for log in sorted(Path(folder).rglob("*.log")):
                out.print(f"{log.name}:\n{log.read_text()[-4000:]}", markup=False)
            return 1
    if options.json:
        options.json.write_text(json.dumps(document, indent=2) + "\n")
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--messages", type=int, default=100_000)
    parser.add_argument("--runs", type=int, default=5)
    names = [name for group, each in GROUPS.items() for name in (group, *each)]
    parser.add_argument("--only", action="append", choices=names, help="only this one, or group; repeatable")
    parser.add_argument("--version", choices=("3.1.1", "5"), default="3.1.1", help="of MQTT, for both")
    parser.add_argument("--rows", type=int, default=5_000_000, help="readings that queries are asked over")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all runs and the ratio there as well")
    return parser.parse_args()


def _ingest(options: argparse.Namespace, names: list[str], folder: Path) -> dict[str, object]:
    runs = asyncio.run(measure(options, names, folder))
    show(options, runs)
    document: dict[str, object] = {"messages": options.messages, "version": options.version, **ratios(runs)}
    return document | {name: [asdict(run) for run in each] for name, each in runs.items()}


def _queries(options: argparse.Namespace, names: list[str], folder: Path) -> dict[str, object]:
    folder = folder / "queries"
    folder.mkdir(mode=0o755)
    found = uvloop.run(queries.measure(options.rows, names, get_parts(), folder, out))
    queries.show(found, out)
    return {"queries": found.document()}


def _pages(options: argparse.Namespace, _: list[str], folder: Path) -> dict[str, object]:
    folder = folder / "pages"
    folder.mkdir(mode=0o755)
    found = asyncio.run(pages.measure(options.runs, get_parts(), folder, out))
    pages.show(found, out)
    return {"pages": found.document()}


if __name__ == "__main__":
    sys.exit(main())
