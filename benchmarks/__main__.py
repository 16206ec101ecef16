"""Measures the pipeline; prints tables, writes build/benchmarks.json and build/benchmarks.svg.

python -m benchmarks                       # 200,000 rows, five runs of each
python -m benchmarks --rows 1000000 --runs 5
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.plot import draw
from benchmarks.rivals import RIVALS
from benchmarks.stages import stage_costs
from pipeline.cli.output import progress_bar, table
from pipeline.samples.settlement import write_settlement_csv

ROOT = Path(__file__).resolve().parents[1]
BUILD = ROOT / "build"
LAYOUT = ROOT / "pipeline" / "layouts_builtin" / "card-present.toml"
STAGE_ROWS = 100_000


@dataclass(frozen=True)
class Case:
    """A contender, what it gets, and how many runs are taken of it."""

    name: str
    contender: str
    rows: int
    cards: int
    known_share: float = 0.0
    delay: float = 0.0


def cases(rows: int, rival_cards: int) -> list[Case]:
    """Whole workers on files with many and with few new cards; then the rivals."""
    ours = [
        Case("new cards: 100% of rows", "pantok", rows, rows),
        Case("new cards: 25% of rows", "pantok", rows, rows // 4),
        Case("new cards: 2% of rows", "pantok", rows, rows // 50),
        Case("known cards: 100% of rows", "pantok", rows, rows, known_share=1.0),
    ]
    return ours + [Case(name, name, rival_cards, rival_cards) for name in RIVALS]


@contextmanager
def endpoint(case: Case, file: Path) -> Iterator[str]:
    """AWS that stores nothing, in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.null_endpoint", "--source", str(file)]
    command += ["--layout", str(LAYOUT), "--known-share", str(case.known_share)]
    command += ["--delay", str(case.delay)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{process.stdout.readline().strip()}"
        finally:
            process.terminate()


def run(case: Case, url: str) -> dict[str, Any]:
    """One run, on one core."""
    done = subprocess.run(
        [
            *(sys.executable, "-m", "benchmarks.worker", case.contender),
            *("--endpoint", url, "--cards", str(case.cards)),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"{case.name} failed:\n{done.stderr}")
    measured: dict[str, Any] = json.loads(done.stdout)
    return measured


def summary(runs: list[dict[str, Any]]) -> dict[str, float]:
    """Medians of the runs, and what follows from them."""
    median = {name: statistics.median(each[name] for each in runs) for name in runs[0]}
    return median | {
        "pans_per_second": median["pans"] / median["seconds"],
        "rows_per_second": median["rows"] / median["seconds"],
        "cpu_seconds_per_million_rows": median["cpu_seconds"] * 1e6 / median["rows"],
        "calls_per_million_rows": median["calls"] * 1e6 / median["rows"],
        "slowest_seconds": max(each["seconds"] for each in runs),
        "fastest_seconds": min(each["seconds"] for each in runs),
    }


def settlement_file(folder: Path, rows: int, cards: int) -> Path:
    """A card-present file; the same for the same numbers."""
    file = folder / f"{rows}-{cards}.csv"
    if not file.exists():
        with file.open("wb") as stream:
            write_settlement_csv(stream, rows, cards, seed=5)
    return file


def measure(options: argparse.Namespace) -> dict[str, dict[str, float]]:
    """Summaries by case; the runs take turns, so that a busy minute hits all alike."""
    planned = cases(options.rows, options.rival_cards)
    runs: dict[str, list[dict[str, Any]]] = {case.name: [] for case in planned}
    with tempfile.TemporaryDirectory() as folder, progress_bar() as progress:
        task = progress.add_task("runs", total=len(planned) * options.runs, note="")
        for _ in range(options.runs):
            for case in planned:
                file = settlement_file(Path(folder), case.rows, case.cards)
                with endpoint(case, file) as url:
                    runs[case.name].append(run(case, url))
                progress.advance(task)
    return {name: summary(each) for name, each in runs.items()}


def machine() -> dict[str, Any]:
    """Where this was measured."""
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cores": os.cpu_count(),
    }


def show(stages: Mapping[str, float], whole: Mapping[str, Mapping[str, float]]) -> None:
    """The tables."""
    table(
        f"stages, one core, {STAGE_ROWS:,} rows of {STAGE_ROWS // 4:,} cards",
        ("stage", "ns per row"),
        [(name, round(cost)) for name, cost in stages.items()],
    )
    slowest = min(each["pans_per_second"] for each in whole.values())
    table(
        "one worker on one core, AWS that answers at once and stores nothing; medians",
        ("what", "cards/s", "rows/s", "CPU s/M rows", "calls/M rows", "peak MB", "times"),
        [
            (
                name,
                round(each["pans_per_second"]),
                round(each["rows_per_second"]),
                round(each["cpu_seconds_per_million_rows"], 1),
                round(each["calls_per_million_rows"]),
                round(each["peak_rss_mb"]),
                round(each["pans_per_second"] / slowest, 1),
            )
            for name, each in whole.items()
        ],
    )


def main() -> None:
    """Measures, prints, writes."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0] if __doc__ else "")
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--rival-cards", type=int, default=3_000)
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    stages = stage_costs(STAGE_ROWS, STAGE_ROWS // 4)
    whole = measure(options)
    show(stages, whole)
    BUILD.mkdir(exist_ok=True)
    document = {"machine": machine(), "options": vars(options), "stages": stages, "whole": whole}
    (BUILD / "benchmarks.json").write_text(json.dumps(document, indent=2))
    draw({name: each["pans_per_second"] for name, each in whole.items()}, BUILD / "benchmarks.svg")


if __name__ == "__main__":
    main()
