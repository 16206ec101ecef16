"""Measures the pipeline; prints tables, writes build/benchmarks.json and build/benchmarks.svg.

python -m benchmarks                 # a million rows, five runs of each
python -m benchmarks --quick         # a fiftieth of it, one run
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.files import LAYOUT, LAYOUT_NAME, settlement_file
from benchmarks.local_stack import cards_per_second
from benchmarks.plot import draw
from benchmarks.reader_speeds import reader_speeds
from benchmarks.rivals import RIVALS
from benchmarks.stages import stage_costs
from pipeline.cli.output import progress_bar, table
from pipeline.samples.settlement import write_settlement_csv

ROOT = Path(__file__).resolve().parents[1]
BUILD = ROOT / "build"
WIDE_LAYOUT = ROOT / "pipeline" / "layouts_builtin" / "card-present.toml"
DELAY_SECONDS = 0.01  # of an answer, for workers side by side


@dataclass(frozen=True)
class Case:
    """A contender, what it gets, and how many runs are taken of it."""

    name: str
    contender: str
    rows: int
    cards: int
    known_share: float = 0.0

    @property
    def is_wide(self) -> bool:
        return self.contender == "pantok, wide rows"


def cases(rows: int, rival_cards: int) -> list[Case]:
    """Whole workers on files with many and with few new cards; then the rivals."""
    ours = [
        Case("every row a new card", "pantok", rows // 5, rows // 5),
        Case("25% new cards", "pantok", rows, rows // 4),
        Case("2% new cards", "pantok", rows, rows // 50),
        Case("25% of rows a card, all known", "pantok", rows, rows // 4, known_share=1.0),
        Case("the same, 14 columns", "pantok, wide rows", rows, rows // 4, known_share=1.0),
    ]
    return ours + [Case(name, name, rival_cards, rival_cards) for name in RIVALS]


def memory_cases(rows: int) -> list[Case]:
    """Ever longer files, the last one of ever more cards: what a worker needs does not follow."""
    sizes = [(rows // 10, rows // 40), (rows, rows // 4), (rows * 10, rows // 4)]
    sizes.append((rows * 10, rows * 5 // 2))
    return [
        Case(f"{size:,} rows, {cards:,} cards", "pantok", size, cards, 0.9) for size, cards in sizes
    ]


@contextmanager
def endpoint(case: Case, file: Path, delay: float = 0.0, core: int = 1) -> Iterator[str]:
    """AWS that stores next to nothing, in a process of its own, on a core of its own."""
    with tempfile.NamedTemporaryFile(suffix=".toml") as layout:
        layout.write(WIDE_LAYOUT.read_bytes() if case.is_wide else LAYOUT)
        layout.flush()
        command = [sys.executable, "-m", "benchmarks.null_endpoint", "--source", str(file)]
        command += ["--layout", layout.name, "--known-share", str(case.known_share)]
        command += ["--delay", str(delay), "--core", str(core)]
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            try:
                yield f"http://127.0.0.1:{process.stdout.readline().strip()}"
            finally:
                process.terminate()


def started(case: Case, url: str, core: int = 0) -> subprocess.Popen[str]:
    """A contender at work, on one core."""
    command = [sys.executable, "-m", "benchmarks.worker", case.contender]
    command += ["--endpoint", url, "--cards", str(case.cards), "--core", str(core)]
    as_deployed = {"ARROW_DEFAULT_MEMORY_POOL": "jemalloc"}  # as the template says
    return subprocess.Popen(
        command,
        cwd=ROOT,
        env=os.environ | as_deployed,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def ended(case: Case, process: subprocess.Popen[str]) -> dict[str, Any]:
    """What a contender measured."""
    said, complained = process.communicate()
    if process.returncode:
        raise SystemExit(f"{case.name} failed:\n{complained}")
    measured: dict[str, Any] = json.loads(said)
    return measured


def run(case: Case, url: str) -> dict[str, Any]:
    """One run, on one core."""
    return ended(case, started(case, url))


def summary(runs: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Medians of the runs, and what follows from them."""
    median = {name: statistics.median(each[name] for each in runs) for name in runs[0]}
    return median | {
        "pans_per_second": median["pans"] / median["seconds"],
        "rows_per_second": median["rows"] / median["seconds"],
        "cpu_seconds_per_million_rows": median["cpu_seconds"] * 1e6 / median["rows"],
        "dynamodb_calls_per_million_pans": median["dynamodb_calls"] * 1e6 / median["pans"],
        "kms_calls_per_million_rows": median["kms_calls"] * 1e6 / median["rows"],
        "dollars_per_million_rows": median["dollars"] * 1e6 / median["rows"],
        "slowest_seconds": max(each["seconds"] for each in runs),
        "fastest_seconds": min(each["seconds"] for each in runs),
    }


def source_of(case: Case, folder: Path) -> Path:
    """The file that a case reads; the same for the same numbers."""
    if not case.is_wide:
        return settlement_file(folder, case.rows, case.cards)
    file = folder / f"wide-{case.rows}-{case.cards}.csv"
    if not file.exists():
        with file.open("wb") as stream:
            write_settlement_csv(stream, case.rows, case.cards, seed=5)
    return file


def measure(planned: Sequence[Case], runs: int, folder: Path) -> dict[str, dict[str, float]]:
    """Summaries by case; the runs take turns, so that a busy minute hits all alike."""
    measured: dict[str, list[dict[str, Any]]] = {case.name: [] for case in planned}
    with progress_bar() as progress:
        task = progress.add_task("runs", total=len(planned) * runs, note="")
        for _ in range(runs):
            for case in planned:
                with endpoint(case, source_of(case, folder)) as url:
                    measured[case.name].append(run(case, url))
                progress.advance(task)
    return {name: summary(each) for name, each in measured.items()}


def side_by_side(rows: int, folder: Path) -> dict[str, dict[str, float]]:
    """Workers together against AWS that takes ten milliseconds for an answer."""
    found: dict[str, dict[str, float]] = {}
    case = Case("new cards", "pantok", rows, rows)
    for workers in (1, 2, 4, 8):
        with endpoint(case, source_of(case, folder), DELAY_SECONDS, core=-1) as url:
            at_work = [started(case, url, core=-1) for _ in range(workers)]
            runs = [ended(case, each) for each in at_work]
        pans = sum(each["pans"] for each in runs)
        found[f"{workers} workers"] = {
            "pans_per_second": pans / max(each["seconds"] for each in runs),
            "cpu_seconds": sum(each["cpu_seconds"] for each in runs),
        }
    return found


def machine() -> dict[str, Any]:
    """Where this was measured, and how fast it was just then: shared machines are not always."""
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cores": os.cpu_count(),
        "sha256_gb_per_second": sha256_gb_per_second(),
        "seconds_for_ten_million_turns": seconds_for_ten_million_turns(),
    }


def sha256_gb_per_second() -> float:
    """How much one core hashes."""
    content = bytes(256 * 1024 * 1024)
    start = time.perf_counter()
    hashlib.sha256(content)
    return len(content) / (time.perf_counter() - start) / 1e9


def seconds_for_ten_million_turns() -> float:
    """How long Python takes to count so far."""
    start = time.perf_counter()
    for _ in range(10_000_000):
        pass
    return time.perf_counter() - start


def show(document: Mapping[str, Any]) -> None:
    """The tables."""
    table(
        "stages: CPU on one core, every fourth row a new card",
        ("stage", "ns per row"),
        [(name, round(cost)) for name, cost in document["stages"].items()],
    )
    _show_workers(document["whole"])
    table(
        "memory of a worker that works off a whole file by itself",
        ("file", "peak MB", "rows/s"),
        [
            (name, round(each["peak_rss_mb"]), round(each["rows_per_second"]))
            for name, each in document["memory"].items()
        ],
    )
    table(
        f"workers on {os.cpu_count()} cores together, AWS that takes 10 ms for an answer",
        ("workers", "new cards/s", "CPU s"),
        [
            (name, round(each["pans_per_second"]), round(each["cpu_seconds"], 1))
            for name, each in document["side_by_side"].items()
        ],
    )
    table(
        "for illustration: all of it on the local stack",
        ("what", "new cards/s"),
        [(name, round(speed)) for name, speed in document["local_stack"].items()],
    )
    table(
        "readers alone, one core; medians of three",
        ("file", "rows/s", "grows by MB"),
        [
            (each["reader"], round(each["rows_a_second"]), round(each["grown_megabytes"]))
            for each in document["readers"]
        ],
    )


def _show_workers(whole: Mapping[str, Mapping[str, float]]) -> None:
    slowest = min(each["pans_per_second"] for each in whole.values())
    table(
        "one worker on one core, AWS that answers at once; medians",
        ("what", "cards/s", "rows/s", "CPU s/M rows", "KMS/M rows", "$/M rows", "peak MB", "times"),
        [
            (
                name,
                round(each["pans_per_second"]),
                round(each["rows_per_second"]),
                round(each["cpu_seconds_per_million_rows"], 1),
                round(each["kms_calls_per_million_rows"], 1),
                round(each["dollars_per_million_rows"], 3),
                round(each["peak_rss_mb"]),
                round(each["pans_per_second"] / slowest, 1),
            )
            for name, each in whole.items()
        ],
    )


def main() -> None:
    """Measures, prints, writes."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0] if __doc__ else "")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rival-cards", type=int, default=3_000)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="a fiftieth of the rows, one run")
    options = parser.parse_args()
    rows, runs = (options.rows // 50, 1) if options.quick else (options.rows, options.runs)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        document = {
            "machine": machine(),
            "options": {"rows": rows, "runs": runs, "layout": LAYOUT_NAME},
            "stages": stage_costs(rows // 10, rows // 40),
            "whole": measure(cases(rows, options.rival_cards), runs, folder),
            "memory": measure(memory_cases(rows), 1, folder),
            "side_by_side": side_by_side(rows // 20, folder),
            "readers": reader_speeds(rows // 50),
            "local_stack": cards_per_second(rows // 50, max(rows // 5000, 50)),
        }
    show(document)
    BUILD.mkdir(exist_ok=True)
    (BUILD / "benchmarks.json").write_text(json.dumps(document, indent=2))
    whole: dict[str, dict[str, float]] = document["whole"]  # type: ignore[assignment]
    draw({name: each["pans_per_second"] for name, each in whole.items()}, BUILD / "benchmarks.svg")


if __name__ == "__main__":
    main()
