"""However small the records are, only so many become rows at once, and none is lost."""

from __future__ import annotations

import io
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.layout_documents import parse_layout
from pipeline.core.layouts import Layout
from pipeline.readers import fixed_framing, framing, ipm_framing, json_array
from pipeline.readers.fixed_framing import MAX_PADDED_BYTES, blocks_of_lines
from pipeline.readers.framing import LineGrammar, QuotedGrammar, blocks_of_records
from pipeline.readers.records import TextRecordBatch
from pipeline.readers.registry import read_record_batches

MOST = 7
ROWS = 100
_DELIMITED = 'header = false\nfields = ["card"]\n'
_FIXED = "\n[format.fields]\ncard = { start = 1, length = 1 }\n"
CASES = {
    "delimited": (b"1\n" * ROWS, 'type = "delimited"\n' + _DELIMITED),
    "delimited, CR LF": (b"1\r\n" * ROWS, 'type = "delimited"\n' + _DELIMITED),
    "delimited, CR": (b"1\r" * ROWS, 'type = "delimited"\n' + _DELIMITED),
    "quoted": (b'"1"\n' * ROWS, 'type = "delimited"\nembedded_newlines = true\n' + _DELIMITED),
    "fixed lines": (b"1\n" * ROWS, 'type = "fixed"' + _FIXED),
    "fixed records": (b"1" * ROWS, 'type = "fixed"\nrecord_bytes = 1' + _FIXED),
    "EBCDIC lines": (b"\xf1\x15" * ROWS, 'type = "fixed"\nencoding = "cp037"' + _FIXED),
    "behind lengths": (
        b"\0\x05\0\x001" * ROWS,
        'type = "fixed"\nlength_prefix = "rdw"' + _FIXED,
    ),
    "JSON lines": (b'{"card":1}\n' * ROWS, 'type = "jsonl"'),
    "JSON": (b"[" + b",".join([b'{"card":1}'] * ROWS) + b"]", 'type = "json"'),
    "IPM": (
        (struct.pack(">I", 4) + b"1240") * ROWS + bytes(4),
        'type = "ipm"\nencoding = "latin-1"\nblocked = false\ntrailer = "optional"',
    ),
}


@pytest.fixture(autouse=True)
def few_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (framing, fixed_framing, ipm_framing, json_array):
        monkeypatch.setattr(module, "MAX_RECORDS", MOST)


def layout_of(name: str) -> Layout:
    pan = "DE2" if name == "IPM" else "card"
    document = f'name = "x"\n[format]\n{CASES[name][1]}\n[columns.{pan}]\nrole = "pan"\n'
    return parse_layout(document.encode(), "x")


def numbers(batches: list[TextRecordBatch]) -> list[int]:
    return sorted(
        number
        for batch in batches
        for number in (
            *batch.row_numbers.to_pylist(),
            *(each.row_number for each in batch.malformed),
        )
    )


@pytest.mark.parametrize("name", CASES)
def test_a_batch_has_so_many_rows_and_no_more(name: str) -> None:
    batches = list(read_record_batches(io.BytesIO(CASES[name][0]), layout_of(name)))
    assert numbers(batches) == list(range(1, ROWS + 1))
    assert max(batch.rows for batch in batches) <= MOST
    assert min(batch.rows for batch in batches[1:-1]) > MOST // 3


@pytest.mark.parametrize("name", CASES)
def test_reading_goes_on_behind_any_of_them(name: str) -> None:
    content, layout = CASES[name][0], layout_of(name)
    for batch in read_record_batches(io.BytesIO(content), layout):
        assert batch.end is not None
        if batch.end.rows < ROWS:
            rest = list(read_record_batches(io.BytesIO(content), layout, batch.end))
            assert numbers(rest) == list(range(batch.end.rows + 1, ROWS + 1))


@given(st.lists(st.sampled_from([b"a", b'"', b'"\n\n\n"', b"\n", b"\r", b"\r\n"]), max_size=99))
def test_cut_blocks_add_up_and_end_with_their_records(parts: list[bytes]) -> None:
    content = b"".join(parts)
    for grammar in (LineGrammar(), QuotedGrammar(",", '"', "", embedded_newlines=True)):
        blocks = list(blocks_of_records(io.BytesIO(content), grammar))
        assert b"".join(blocks) == content
        for block in blocks[:-1]:
            assert grammar.last_record_end(block + b"x") == len(block)


def test_a_long_record_before_many_small_ones_does_not_hide_them() -> None:
    grammar = QuotedGrammar(",", '"', "", embedded_newlines=True)
    content = b'"' + b"a" * 600 + b'"\n' + b"1\n" * 200
    blocks = list(blocks_of_records(io.BytesIO(content), grammar))
    assert b"".join(blocks) == content
    assert max(block.count(b"\n") for block in blocks) <= MOST


@pytest.mark.parametrize("width", [1_000, 20_000])
def test_short_lines_of_a_wide_layout_do_not_fill_the_memory_up(width: int) -> None:
    content = b"x\n" * 30_000
    blocks = list(blocks_of_lines(io.BytesIO(content), "latin-1", width, 1 << 16))
    assert sum(map(len, blocks)) == 30_000
    assert max(len(block.records) * width for block in blocks) <= MAX_PADDED_BYTES
