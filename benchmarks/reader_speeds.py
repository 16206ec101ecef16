"""Readers alone: rows a second of each on one core, and by how much its process grows.

python -m benchmarks.reader_speeds                 # 100,000 rows, three runs of each
"""

from __future__ import annotations

import io
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

from benchmarks import readers_binary, readers_columnar
from pipeline.core.layout_documents import parse_layout
from pipeline.core.layouts import Layout
from pipeline.readers.registry import read_record_batches
from pipeline.readers.streams import LookAhead
from pipeline.readers.unpacking import unpacked
from pipeline.samples.acquirer import write_acquirer_file
from pipeline.samples.amex import write_amex_grrcn
from pipeline.samples.cards import synthetic_pans
from pipeline.samples.settlement import write_settlement_csv

Case = tuple[str, Callable[[], bytes], Layout]

ROOT = Path(__file__).resolve().parents[1]
ROWS = 100_000
RUNS = 3
SEED = 7
_MEGABYTE_KB = 1024  # ru_maxrss counts kilobytes
_NARROW = b"""name = "narrow"
[columns.card]
role = "pan"
[columns.reference]
role = "keep"
[columns.amount]
role = "keep"
type = "decimal(12,2)"
"""


def cases(rows: int) -> list[Case]:
    """What each file is, what makes its bytes, and the layout that reads it."""
    return [*_delimited(rows), *_records(rows), *readers_columnar.cases(rows)]


def _delimited(rows: int) -> list[Case]:
    cards = max(rows // 5, 1)
    writers: dict[str, Callable[[BinaryIO], None]] = {
        "card-present": partial(write_settlement_csv, rows=rows, cards=cards, seed=SEED),
        "acquirer-pipe": partial(write_acquirer_file, rows=rows, cards=cards, seed=SEED),
        # A transaction and its price are a row each.
        "amex-grrcn": partial(
            write_amex_grrcn, transactions=rows // 2, cards=max(cards // 40, 1), seed=SEED
        ),
    }
    built_in = [
        (f"delimited, {name}", partial(_written, write), _built_in(name))
        for name, write in writers.items()
    ]
    narrow = parse_layout(_NARROW, "narrow")
    return [*built_in, ("delimited, 62 bytes a row", partial(_narrow, rows, cards), narrow)]


def _records(rows: int) -> list[Case]:
    return [
        (name, partial(_of_size, make, rows), layout)
        for name, make, layout in readers_binary.cases()
    ]


def _of_size(make: Callable[[], bytes], rows: int) -> bytes:
    readers_binary.ROWS, readers_binary.CARDS = rows, max(rows // 5, 1)
    return make()


def _written(write: Callable[[BinaryIO], None]) -> bytes:
    stream = io.BytesIO()
    write(stream)
    return stream.getvalue()


def _narrow(rows: int, cards: int) -> bytes:
    pans = synthetic_pans(cards, SEED)
    lines = []
    for at in range(rows):
        pan = pans[at % cards]
        lines.append(f"{pan},{at:0{50 - len(pan)}d},{at % 100_000:06d}.{at % 97:02d}\n")
    return ("card,reference,amount\n" + "".join(lines)).encode()


def _built_in(name: str) -> Layout:
    return parse_layout((ROOT / "pipeline/layouts_builtin" / f"{name}.toml").read_bytes(), name)


def reader_speeds(rows: int = ROWS) -> list[dict[str, Any]]:
    """For each reader the medians of `RUNS` runs, each in a process of its own on one core.

    `reader`, `megabytes`, `rows`, `rows_a_second` and `grown_megabytes`, the growth of the
    process's peak memory while it read.
    """
    return [_medians(at, rows) for at in range(len(cases(rows)))]


def _medians(at: int, rows: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        file = str(Path(folder) / "file")
        _in_a_process("make", at, rows, file)
        runs = [json.loads(_in_a_process("read", at, rows, file)) for _ in range(RUNS)]
    middle = {
        name: statistics.median(run[name] for run in runs)
        for name in ("rows_a_second", "grown_megabytes")
    }
    return {**runs[0], **middle}


def _in_a_process(what: str, at: int, rows: int, file: str) -> str:
    """What made the file may have needed more memory than its reader: each has its own process."""
    command = [sys.executable, "-m", "benchmarks.reader_speeds", what, str(at), str(rows), file]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    return done.stdout


def _no_key(*_: object) -> NoReturn:
    raise AssertionError("none of these files is encrypted")


def measure(name: str, layout: Layout, file: Path) -> dict[str, Any]:
    """One run of a reader in this process."""
    size_bytes, read = file.stat().st_size, 0
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started = time.process_time()
    with file.open("rb") as stream:
        upload = LookAhead(stream, size_bytes)
        for member in unpacked(upload, size_bytes, layout.format.type, _no_key):
            for batch in read_record_batches(member(), layout):
                read += batch.rows
    seconds = time.process_time() - started
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    return {
        "reader": name,
        "megabytes": size_bytes / 1e6,
        "rows": read,
        "rows_a_second": read / seconds,
        "grown_megabytes": grown / _MEGABYTE_KB,
    }


def _work(what: str, at: int, rows: int, file: Path) -> None:
    name, make, layout = cases(rows)[at]
    if what == "make":
        file.write_bytes(make())
    else:
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
        print(json.dumps(measure(name, layout, file)))


def main() -> None:
    if len(sys.argv) > 2:
        what, at, rows, file = sys.argv[1:]
        _work(what, int(at), int(rows), Path(file))
        return
    for each in reader_speeds(int(sys.argv[1]) if len(sys.argv) > 1 else ROWS):
        print(
            f"{each['reader']:40} {each['megabytes']:6.0f} MB"
            f" {each['rows_a_second']:12,.0f} rows/s  +{each['grown_megabytes']:.0f} MB"
        )


if __name__ == "__main__":
    main()
