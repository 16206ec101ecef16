"""Structured files made to do harm: a few bytes that announce, or become, more than any memory."""

from __future__ import annotations

import io
import json
import re
import zipfile
import zlib
from collections.abc import Mapping
from typing import Any

import fastavro
import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.errors import PermanentError
from pipeline.model import START
from pipeline.readers import avro_blocks, sheet_size, typed, workbook
from pipeline.readers.avro_blocks import MAGIC, AvroBlocks
from pipeline.readers.parquet import read_parquet
from pipeline.readers.sheet_size import SheetSize
from pipeline.samples.cards import synthetic_pans
from tests.unit.structured import as_avro, as_xlsx, batches, cells, document, keep, parsed

PANS = synthetic_pans(40, seed=71)


def test_a_small_dictionary_of_long_texts_comes_in_small_pieces() -> None:
    """A megabyte said ten thousand times takes a megabyte in the file, and ten gigabytes as text."""
    places = pa.array([0] * 10_000, pa.int32())
    columns = {"card": PANS[0], "note": "x" * 1_000_000}
    table = pa.table(
        {name: pa.DictionaryArray.from_arrays(places, [text]) for name, text in columns.items()}
    )
    sink = io.BytesIO()
    pq.write_table(table, sink)
    assert len(sink.getvalue()) < 2_000_000
    layout = parsed(document("parquet", keep("note")))
    before = pa.total_allocated_bytes()
    found = read_parquet(io.BytesIO(sink.getvalue()), layout, START, None)
    for _, batch in zip(range(20), found, strict=False):
        assert batch.columns.nbytes <= typed.MAX_BATCH_BYTES
        assert pa.total_allocated_bytes() - before < 8 * typed.MAX_BATCH_BYTES


def test_text_that_is_no_text_costs_its_row_and_no_other() -> None:
    bad = pa.array([PANS[1].encode(), b"\xff\xfe", PANS[2].encode()])
    text = pa.Array.from_buffers(pa.string(), 3, bad.buffers())
    for use_dictionary in (True, False):
        sink = io.BytesIO()
        table = pa.table({"card": PANS[:3], "note": text, "list": [["a"]] * 3})
        pq.write_table(table, sink, use_dictionary=use_dictionary)
        found = batches(sink.getvalue(), parsed(document("parquet", keep("note"))))
        assert cells(found, "card") == [PANS[0], PANS[2]]
        assert [(row.row_number, row.reason) for row in found[0].malformed] == [
            (2, "invalid_encoding")
        ]
        assert found[0].raw_record(2) == PANS[1].encode() + b',\\xff\\xfe,"[""a""]"'


def test_a_cell_that_points_out_of_its_dictionary_fails_the_file() -> None:
    bad = pa.DictionaryArray.from_arrays(pa.array([0, 7], pa.int32()), PANS[:2], safe=False)

    class Lying:
        format_name, names, rows = "Lying", ("card",), 2

        def batches(self, *_: Any) -> Any:
            yield 0, pa.RecordBatch.from_arrays([bad], names=["card"])

    with pytest.raises(PermanentError, match="malformed_file: a cell points"):
        list(typed.read_typed(Lying(), parsed(document("parquet")), 0, None))


def avro_file(codec: str, *blocks: tuple[int, bytes], schema: Any = None) -> bytes:
    """An Avro file as it should not be."""
    fields = [{"name": "card", "type": "string"}]
    written = json.dumps(schema or {"type": "record", "name": "r", "fields": fields})
    metadata = {b"avro.schema": written.encode(), b"avro.codec": codec.encode()}
    body = MAGIC + avro_blocks._map(metadata) + b"s" * 16
    for rows, packed in blocks:
        body += avro_blocks._long_bytes(rows) + avro_blocks._long_bytes(len(packed)) + packed
        body += b"s" * 16
    return body


def deflated(content: bytes) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return packer.compress(content) + packer.flush()


NULLS = {"type": "array", "items": "null"}
AVRO: Mapping[str, tuple[bytes, str]] = {
    "a block that unpacks to a gigabyte": (
        avro_file("deflate", (1, deflated(b"\0" * avro_blocks.MAX_BLOCK_BYTES + b"\0"))),
        "expands_too_far",
    ),
    "a snappy block that says it is four gigabytes": (
        avro_file("snappy", (1, b"\xff\xff\xff\xff\x0f" + b"abc" + bytes(4))),
        "expands_too_far",
    ),
    "a block that is announced to be endless": (
        avro_file("null")[:] + avro_blocks._long_bytes(1) + avro_blocks._long_bytes(2**62),
        "expands_too_far",
    ),
    "more rows than bytes": (avro_file("null", (2**40, b"\x02a")), "malformed_file"),
    "a negative number of rows": (avro_file("null", (-5, b"\x02a")), "malformed_file"),
    "an array without content": (
        avro_file(
            "null",
            (1, b"\x02a" + avro_blocks._long_bytes(2**40) + b"\0"),
            schema={
                "type": "record",
                "name": "r",
                "fields": [{"name": "card", "type": "string"}, {"name": "n", "type": NULLS}],
            },
        ),
        "unsupported_format",
    ),
    "an unknown codec": (avro_file("lz77", (1, b"\x02a")), "unsupported_format"),
    "a header that never ends": (
        MAGIC + b"\x02" + avro_blocks._long_bytes(2**40),
        "malformed_file",
    ),
    "a schema of something else": (avro_file("null", schema="string"), "malformed_file"),
}


@pytest.mark.parametrize("what", AVRO)
def test_an_avro_file_that_announces_too_much_gets_a_reason(what: str) -> None:
    content, reason = AVRO[what]
    with pytest.raises(PermanentError) as error:
        batches(content, parsed(document("avro")))
    assert error.value.code == reason


@pytest.mark.parametrize("codec", ["null", "deflate", "bzip2", "xz", "snappy", "zstandard"])
def test_every_avro_codec_is_read(codec: str) -> None:
    names = {"snappy": "cramjam", "zstandard": "zstandard"}
    if codec in names:  # written here, since the library wants others for it
        packed = b"".join(bytes([2 * len(pan)]) + pan.encode() for pan in PANS)
        kind = "snappy" if codec == "snappy" else "zstd"
        body = pa.compress(packed, kind, asbytes=True) + (bytes(4) if kind == "snappy" else b"")
        content = avro_file(codec, (len(PANS), body))
    else:
        content = as_avro([{"card": pan} for pan in PANS], codec=codec)
    assert cells(batches(content, parsed(document("avro"))), "card") == PANS


def test_blocks_before_a_row_are_passed_over_without_being_unpacked() -> None:
    content = avro_file("deflate", (5, b"damaged"), (1, deflated(b"\x02a")))
    blocks = AvroBlocks(io.BytesIO(content), 5)
    assert list(fastavro.block_reader(blocks)) != []
    assert blocks.skipped_rows == 5


def with_sheet(change: Any) -> bytes:
    """A workbook whose sheet was changed behind its writer's back."""
    source = zipfile.ZipFile(io.BytesIO(as_xlsx([{"card": pan} for pan in PANS])))
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in source.namelist():
            content = source.read(name)
            archive.writestr(name, change(content) if "sheet1" in name else content)
    return sink.getvalue()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'r="A41"', b'r="XFD1048576"'),
        (b'<row r="41"', b'<row r="9000000"'),
        (b'r="A41"', b"r='ZZZZ41'"),
        (b'r="A41"', b'r = "xfd9000000"'),
    ],
)
def test_a_cell_far_away_does_not_make_the_sheet_as_large_as_that(old: bytes, new: bytes) -> None:
    def moved(sheet: bytes) -> bytes:
        if old.startswith(b"<row"):
            sheet = sheet.replace(b'r="A41" ', b"").replace(b'<c r="A41"', b"<c")
        assert old in sheet
        return sheet.replace(old, new)

    with pytest.raises(PermanentError) as error:
        batches(with_sheet(moved), parsed(document("xlsx")))
    assert error.value.code in ("too_large_for_memory", "malformed_file")


def test_a_workbook_that_unpacks_to_too_much_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workbook, "MAX_WORKBOOK_BYTES", 100_000)
    with pytest.raises(PermanentError, match="expands_too_far"):
        batches(with_sheet(lambda sheet: sheet + b" " * 100_000), parsed(document("xlsx")))


def test_several_sheets_with_cells_need_a_name() -> None:
    book = openpyxl.Workbook()
    first = book.active
    first.title = "One"
    for row in (["card"], [PANS[0]]):
        first.append(row)
    second = book.create_sheet("Two")
    for row in (["card"], [PANS[1]]):
        second.append(row)
    book.create_sheet("Empty")
    sink = io.BytesIO()
    book.save(sink)
    with pytest.raises(PermanentError, match="several_sheets: 2 sheets"):
        batches(sink.getvalue(), parsed(document("xlsx")))
    named = parsed(document("xlsx", settings='sheet = "Two"'))
    assert cells(batches(sink.getvalue(), named), "card") == [PANS[1]]
    with pytest.raises(PermanentError, match="unknown_sheet"):
        batches(sink.getvalue(), parsed(document("xlsx", settings='sheet = "Three"')))


def test_a_sheet_without_names_has_those_of_the_layout() -> None:
    content = as_xlsx([{"4": PANS[0], "x": None}, {"4": PANS[1], "x": "b"}])
    settings = 'header = false\nfields = ["card", "note"]'
    layout = parsed(document("xlsx", keep("note"), settings=settings))
    found = batches(content, layout)
    assert cells(found, "card") == ["4", *PANS[:2]]
    assert cells(found, "note") == ["x", "", "b"]


@pytest.mark.parametrize("piece_bytes", [1, 7, 50, 10_000])
def test_the_size_of_a_sheet_does_not_depend_on_how_its_text_comes(piece_bytes: int) -> None:
    text = (
        b'<sheetData><row r="2"><c r="B2"><v>1</v></c></row><row><c/><c/><x:c/></row></sheetData>'
    )
    size = SheetSize()
    for at in range(0, len(text), piece_bytes):
        size.add(text[at : at + piece_bytes])
    size.check()
    assert (size._last_row, size._last_column) == (3, 3)


def test_a_sheet_may_have_as_many_cells_as_the_limit_says() -> None:
    last = re.sub(rb"N", str(sheet_size.MAX_CELLS // 4).encode(), b'<c r="DN"/>')
    at_limit, beyond = SheetSize(), SheetSize()
    at_limit.add(last)
    at_limit.check()
    beyond.add(last + b'<c r="E1"/>')
    with pytest.raises(PermanentError, match="too_large_for_memory"):
        beyond.check()
