"""Structured formats and containers, as cases for a benchmark of readers."""

from __future__ import annotations

import bz2
import gzip
import importlib.resources
import io
import lzma
from collections.abc import Callable, Sequence
from functools import partial

import pyarrow as pa

from pipeline.core.layout_documents import parse_layout
from pipeline.core.layouts import Layout
from pipeline.samples import structured
from pipeline.samples.settlement import write_settlement_csv

Write = Callable[..., None]
Case = tuple[str, Callable[[], bytes], Layout]

ROWS = 100_000
CARDS = 20_000
SEED = 7

_FORMATS: dict[str, Write] = {
    "jsonl": structured.write_json_lines,
    "json": structured.write_json_document,
    "parquet": partial(structured.write_parquet, rows_a_group=50_000),
    "orc": structured.write_orc,
    "avro": structured.write_avro,
    "xlsx": structured.write_workbook,
}
_PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": partial(gzip.compress, compresslevel=6),
    "bzip2": bz2.compress,
    "xz": partial(lzma.compress, preset=3),
    "zstd": lambda content: bytes(pa.compress(content, "zstd", asbytes=True)),
}


def cases(rows: int = ROWS) -> Sequence[Case]:
    """Name, what makes the file, and its layout, for each format and each container."""
    formats = [
        (name, partial(_written, write, rows), _built_in(f"card-present-{name}"))
        for name, write in _FORMATS.items()
    ]
    card_present = _built_in("card-present")
    containers = [
        (f"csv in {name}", partial(_packed, pack, rows), card_present)
        for name, pack in _PACKERS.items()
    ]
    return [*formats, *containers]


def _written(write: Write, rows: int) -> bytes:
    stream = io.BytesIO()
    write(stream, rows, CARDS, SEED)
    return stream.getvalue()


def _packed(pack: Callable[[bytes], bytes], rows: int) -> bytes:
    return pack(_written(write_settlement_csv, rows))


def _built_in(name: str) -> Layout:
    document = importlib.resources.files("pipeline.layouts_builtin") / f"{name}.toml"
    return parse_layout(document.read_bytes(), name)
