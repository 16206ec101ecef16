"""Damaged ORC and Parquet files, read in processes that may die of it: how many do.

python -m tests.faults.damage --cases 5000 --seed 0

The libraries behind these formats are C++ and trust a file's footer; what kills a process cannot be
caught in it.
"""

from __future__ import annotations

import argparse
import io
import random
import resource
import subprocess
import sys
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal

import pyarrow as pa
import pyarrow.orc
import pyarrow.parquet as pq

from pipeline.core.layout_documents import parse_layout
from pipeline.errors import PermanentError
from pipeline.readers.registry import READERS

ROWS = 50
FOOTER_BYTES = {"orc": 600, "parquet": 3000}
MEMORY_BYTES = 6 * 1024**3  # so that one that asks for all there is gets an error of its own
LARGE = (b"\xff\xff\xff\xff\x0f", b"\xff\xff\xff\xff\x07", b"\xff" * 9 + b"\x01")  # as varints
LAYOUT = """name = "x"
[format]
type = "{format}"
[columns.card]
role = "pan"
[columns.amount]
role = "keep"
type = "decimal(12,2)"
[columns.at]
role = "keep"
[columns.kind]
role = "keep"
[columns.note]
role = "text"
"""


def sound_file(format_name: str) -> bytes:
    """A file with texts, numbers, times, nulls and a dictionary."""
    kinds = pa.array([f"kind {at % 3}" for at in range(ROWS)])
    columns = {
        "card": ["4485733190264178"] * ROWS,
        "amount": [Decimal("1.25")] * ROWS,
        "at": [datetime(2026, 11, 25)] * ROWS,
        "note": [None, "x"] * (ROWS // 2),
    }
    sink = io.BytesIO()
    if format_name == "orc":
        table = pa.table({**columns, "kind": kinds})
        pyarrow.orc.write_table(table, sink, dictionary_key_size_threshold=1.0)
    else:
        pq.write_table(pa.table({**columns, "kind": kinds.dictionary_encode()}), sink)
    return sink.getvalue()


def damaged(sound: bytes, format_name: str, seed: int) -> bytes:
    """The file with one kind of damage, most of them in its footer."""
    rng, data = random.Random(seed), bytearray(sound)
    in_footer = len(data) - rng.randint(1, min(FOOTER_BYTES[format_name], len(data)))
    anywhere = rng.randrange(len(data))

    def put(at: int, content: bytes, length: int) -> None:
        data[at : at + length] = content

    large = rng.choice(LARGE)
    kinds: list[Callable[[], None]] = [
        lambda: put(in_footer, rng.randbytes(1), 1),
        lambda: put(in_footer, rng.randbytes(3), 3),
        lambda: put(in_footer, large, rng.choice([1, 2, len(large)])),
        lambda: put(in_footer, bytes([rng.choice([0, 127, 128, 255])]) * 4, 4),
        lambda: put(anywhere, rng.randbytes(1), 1),
        lambda: put(anywhere, bytes(64), 64),
        lambda: put(anywhere, b"", len(data)),
        lambda: put(in_footer, bytes(reversed(data[in_footer:])), len(data)),
    ]
    rng.choice(kinds)()
    return bytes(data)


def read(format_name: str, first_seed: int, cases: int) -> None:
    """Reads damaged files in this process, and says before each which it is."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    sound = sound_file(format_name)
    layout = parse_layout(LAYOUT.format(format=format_name).encode(), "x")
    for seed in range(first_seed, first_seed + cases):
        sys.stdout.write(f"{seed}\n")
        sys.stdout.flush()
        source = io.BytesIO(damaged(sound, format_name, seed))
        try:
            for batch in READERS[format_name](source, layout):
                batch.columns.to_pylist()
        except PermanentError:
            continue


def deaths(format_name: str, first_seed: int, cases: int) -> list[tuple[int, int]]:
    """Seed and exit code of each process that a damaged file ended."""
    found, at, end = [], first_seed, first_seed + cases
    while at < end:
        child = [sys.executable, "-m", "tests.faults.damage", "--child", format_name]
        child += ["--seed", str(at), "--cases", str(end - at)]
        done = subprocess.run(child, capture_output=True, text=True, check=False)
        at = int(done.stdout.split()[-1])
        if done.returncode:
            found.append((at, done.returncode))
        at += 1
    return found


def main() -> int:
    options = argparse.ArgumentParser(description="Reads damaged files until a process dies of it.")
    options.add_argument("--cases", type=int, default=1000)
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--child", choices=FOOTER_BYTES)
    given = options.parse_args()
    if given.child:
        read(given.child, given.seed, given.cases)
        return 0
    found = {name: deaths(name, given.seed, given.cases) for name in FOOTER_BYTES}
    for name, ended in found.items():
        sys.stdout.write(f"{name}: {len(ended)} of {given.cases} ended their process {ended}\n")
    return 1 if any(found.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
