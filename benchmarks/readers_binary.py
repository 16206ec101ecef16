"""Files of card processors' record formats, to measure their readers with.

python -m benchmarks.readers_binary        # rows a second on one core, peak memory of Arrow
"""

from __future__ import annotations

import io
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from pipeline.core.layout_documents import parse_layout
from pipeline.core.layouts import Layout
from pipeline.readers.registry import read_record_batches
from pipeline.samples.fixed_width import write_grrcn, write_nacha
from pipeline.samples.mainframe import write_mainframe_file
from pipeline.samples.mastercard import write_ipm
from pipeline.samples.visa import write_ctf, write_itf

ROWS = 200_000
CARDS = 20_000
_LAYOUTS = Path(__file__).resolve().parents[1] / "pipeline/layouts_builtin"
_WRITERS: dict[str, tuple[Callable[..., None], str]] = {
    "fixed-width lines, Amex GRRCN": (write_grrcn, "amex-grrcn-fixed"),
    "fixed-width lines, NACHA": (write_nacha, "nacha-shr"),
    "EBCDIC records, packed and zoned": (write_mainframe_file, "mainframe-ebcdic"),
    "Visa CTF": (write_ctf, "visa-ctf"),
    "Visa ITF": (write_itf, "visa-itf"),
    "Mastercard IPM, ASCII": (write_ipm, "mastercard-ipm"),
    "Mastercard IPM, EBCDIC, blocked": (
        partial(write_ipm, encoding="cp500", blocked=True),
        "mastercard-ipm-ebcdic-blocked",
    ),
}


def cases() -> list[tuple[str, Callable[[], bytes], Layout]]:
    """What each file is, what makes its bytes (`ROWS` rows), and the layout that reads it."""
    return [
        (name, partial(_bytes_of, write), _layout(layout))
        for name, (write, layout) in _WRITERS.items()
    ]


def _bytes_of(write: Callable[..., None]) -> bytes:
    stream = io.BytesIO()
    write(stream, ROWS, CARDS, 5)
    return stream.getvalue()


def _layout(name: str) -> Layout:
    return parse_layout((_LAYOUTS / f"{name}.toml").read_bytes(), name)


def measure(content: bytes, layout: Layout) -> tuple[float, float]:
    """Rows a second of the reader alone, and by how many MB the process grew meanwhile."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started, rows = time.process_time(), 0
    for batch in read_record_batches(io.BytesIO(content), layout):
        rows += batch.rows
    seconds = time.process_time() - started
    assert rows == ROWS
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    return rows / seconds, grown / 1024


def main() -> None:
    if len(sys.argv) > 1:
        name, make, layout = cases()[int(sys.argv[1])]
        content = make()
        rate, grown = measure(content, layout)
        print(f"{name:40} {len(content) / 1e6:6.0f} MB {rate:12,.0f} rows/s  +{grown:.0f} MB")
        return
    for at in range(len(_WRITERS)):
        command = [sys.executable, "-m", "benchmarks.readers_binary", str(at)]
        subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
