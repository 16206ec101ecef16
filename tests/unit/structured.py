"""The same rows in every structured format, and a bench with a layout for each."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import fastavro
import openpyxl
import pyarrow as pa
import pyarrow.orc
import pyarrow.parquet as pq

from pipeline.core.layout_documents import parse_layout
from pipeline.core.layouts import Layout
from pipeline.readers.records import TextRecordBatch
from pipeline.readers.registry import READERS

Rows = Sequence[Mapping[str, Any]]


def as_jsonl(rows: Rows) -> bytes:
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


def as_json(rows: Rows) -> bytes:
    return json.dumps(list(rows)).encode()


def as_parquet(rows: Rows, schema: pa.Schema | None = None, rows_a_group: int = 7) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(list(rows), schema), sink, row_group_size=rows_a_group)
    return sink.getvalue()


def as_orc(rows: Rows, schema: pa.Schema | None = None) -> bytes:
    sink = io.BytesIO()
    pyarrow.orc.write_table(pa.Table.from_pylist(list(rows), schema), sink)
    return sink.getvalue()


def as_avro(rows: Rows, types: Mapping[str, Any] | None = None, codec: str = "deflate") -> bytes:
    names = list(types or dict.fromkeys(name for row in rows for name in row))
    kinds = types or {name: ["null", "string"] for name in names}
    fields = [{"name": name, "type": kinds[name]} for name in names]
    schema = {"type": "record", "name": "row", "fields": fields}
    sink = io.BytesIO()
    fastavro.writer(sink, schema, list(rows), codec=codec, sync_interval=400)
    return sink.getvalue()


def as_xlsx(rows: Rows) -> bytes:
    book = openpyxl.Workbook()
    sheet = book.active
    names = list(dict.fromkeys(name for row in rows for name in row))
    sheet.append(names)
    for row in rows:
        sheet.append([row.get(name) for name in names])
    sink = io.BytesIO()
    book.save(sink)
    return sink.getvalue()


WRITERS: Mapping[str, Callable[[Rows], bytes]] = {
    "jsonl": as_jsonl,
    "json": as_json,
    "parquet": as_parquet,
    "orc": as_orc,
    "avro": as_avro,
    "xlsx": as_xlsx,
}


def document(kind: str, *columns: str, card: str = "", settings: str = "") -> str:
    """The layout `x` for a file of that format, with PANs in `card`."""
    head = f'name = "x"\n[format]\ntype = "{kind}"\n{settings}\n'
    return head + "\n".join(['[columns.card]\nrole = "pan"', card, *columns])


def keep(name: str, kind: str = "string", more: str = "") -> str:
    return f'[columns."{name}"]\nrole = "keep"\ntype = "{kind}"\n{more}'


def parsed(text: str) -> Layout:
    return parse_layout(text.encode())


def batches(content: bytes, layout: Layout, **more: Any) -> list[TextRecordBatch]:
    """Everything that a reader gives, held to what every reader promises."""
    found: list[TextRecordBatch] = []
    row = more["start"].rows if "start" in more else 0
    for batch in READERS[layout.format.type](io.BytesIO(content), layout, **more):
        numbers = batch.row_numbers.to_pylist() + [each.row_number for each in batch.malformed]
        assert sorted(numbers) == list(range(row + 1, row + batch.rows + 1))
        assert batch.rows
        assert all(column.type == pa.string() for column in batch.columns.columns)
        assert all(column.null_count == 0 for column in batch.columns.columns)
        assert set(batch.columns.schema.names) <= set(batch.file_columns)
        row += batch.rows
        assert batch.end is not None
        assert batch.end.rows == row
        found.append(batch)
    return found


def cells(found: Sequence[TextRecordBatch], name: str) -> list[str]:
    return [cell for batch in found for cell in batch.columns.column(name).to_pylist()]


def faults(found: Sequence[TextRecordBatch]) -> dict[int, tuple[str, str | None]]:
    return {row.row_number: (row.reason, row.column) for batch in found for row in batch.malformed}
