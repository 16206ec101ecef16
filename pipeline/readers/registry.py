"""Which reader reads which format."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Protocol

from pipeline.core.layouts import Layout
from pipeline.model import START, Position
from pipeline.readers.avro import read_avro
from pipeline.readers.ctf import read_ctf
from pipeline.readers.delimited import read_delimited
from pipeline.readers.fixed import read_fixed
from pipeline.readers.framing import SeekableSource
from pipeline.readers.ipm import read_ipm
from pipeline.readers.json_array import read_json_array
from pipeline.readers.json_lines import read_json_lines
from pipeline.readers.orc import read_orc
from pipeline.readers.parquet import read_parquet
from pipeline.readers.records import TextRecordBatch
from pipeline.readers.workbook import read_xlsx


class Reader(Protocol):
    """Reads one format."""

    def __call__(
        self, stream: SeekableSource, layout: Layout, start: Position, end_bytes: int | None, /
    ) -> Iterator[TextRecordBatch]:
        """The records from `start` up to `end_bytes` of the text, or to the end of the file."""


READERS: Mapping[str, Reader] = {
    "delimited": read_delimited,
    "fixed": read_fixed,
    "ctf": read_ctf,
    "ipm": read_ipm,
    "jsonl": read_json_lines,
    "json": read_json_array,
    "parquet": read_parquet,
    "orc": read_orc,
    "avro": read_avro,
    "xlsx": read_xlsx,
}


def read_record_batches(
    stream: SeekableSource, layout: Layout, start: Position = START, end_bytes: int | None = None
) -> Iterator[TextRecordBatch]:
    """The records of a file in the format that its layout names, in bounded memory.

    A file can be read in pieces: each begins where a batch of another one ended.
    """
    return READERS[layout.format.type](stream, layout, start, end_bytes)
