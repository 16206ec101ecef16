"""Which reader reads which format."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from pipeline.core.layouts import Layout
from pipeline.readers.delimited import read_delimited
from pipeline.readers.framing import ByteSource
from pipeline.readers.records import TextRecordBatch

READERS: Mapping[str, Callable[[ByteSource, Layout], Iterator[TextRecordBatch]]] = {
    "delimited": read_delimited,
}


def read_record_batches(stream: ByteSource, layout: Layout) -> Iterator[TextRecordBatch]:
    """The records of a file in the format that its layout names, in bounded memory."""
    return READERS[layout.format.type](stream, layout)
