"""Files that were made to do harm: each gets a reason, in bounded memory."""

from __future__ import annotations

import gzip
import io
import tracemalloc
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import PermanentError
from pipeline.job import run_job
from pipeline.readers import framing
from pipeline.samples.cards import synthetic_pans
from tests.unit.test_tokenize import NOTE, Bench, layout

PAN = "4111111111111111"
GIGABYTE = 1024**3
BOUND_BYTES = 24 * framing.BLOCK_BYTES


class Endless(io.RawIOBase):
    """A file that is not there until it is read: a beginning, then one piece again and again."""

    def __init__(self, beginning: bytes, piece: bytes, size_bytes: int) -> None:
        self._ahead, self._piece = beginning, piece
        self._left = size_bytes
        self.read_bytes = 0

    def read(self, size: int = -1, /) -> bytes:
        wanted = min(size if size >= 0 else self._left, self._left)
        while len(self._ahead) < wanted:
            self._ahead += self._piece
        data, self._ahead = self._ahead[:wanted], self._ahead[wanted:]
        self._left -= len(data)
        self.read_bytes += len(data)
        return data


def refused(bench: Bench, stream: Endless) -> str:
    """The reason that the file gets; fails when finding it takes more than a bounded memory."""
    upload = bench.world.quarantine.put("incoming/x/a.csv", b"in its place")

    @contextmanager
    def opened(_source: Any) -> Iterator[Endless]:
        yield stream

    bench.world.quarantine.open = opened  # type: ignore[assignment, method-assign]
    tracemalloc.start()
    try:
        with pytest.raises(PermanentError) as error:
            run_job(upload, bench.worker, lambda: 900.0)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < BOUND_BYTES
    assert stream.read_bytes < BOUND_BYTES
    (receipt,) = bench.world.tokenized.receipts.values()
    assert receipt["reason"] == error.value.code
    return error.value.code


PIECE = b"x" * (1 << 20)
ONE_LINE: dict[str, tuple[str, bytes, bytes]] = {
    "in the header": ("", b"", PIECE),
    "in a row": ("", f"card,note\n{PAN},".encode(), PIECE),
    "in quotes": ("", f'card,note\n{PAN},"'.encode(), PIECE),
    "in quotes that may hold line ends": (
        "[format]\nembedded_newlines = true",
        f'card,note\n{PAN},"'.encode(),
        b"x\n" * (1 << 19),
    ),
    "of delimiters": ("", f"card,note\n{PAN}".encode(), b"," * (1 << 20)),
    "of quotes": ("", f"card,note\n{PAN},".encode(), b'"' * (1 << 20)),
    "of spaces in UTF-16": ('[format]\nencoding = "utf-16"', b"\xff\xfe", b" \0" * (1 << 19)),
    "of NULs": ("", b"card,note\n", b"\0" * (1 << 20)),
}


@pytest.mark.parametrize("where", ONE_LINE)
def test_a_gigabyte_on_one_line_is_refused_after_a_few_blocks(where: str) -> None:
    role, beginning, piece = ONE_LINE[where]
    stream = Endless(beginning, piece, GIGABYTE)
    assert refused(Bench(layout(NOTE, role=role)), stream) == "record_too_long"


@pytest.mark.parametrize(
    ("columns", "reason"), [(10_000_000, "record_too_long"), (1_000_000, "too_many_columns")]
)
def test_millions_of_columns_are_refused(columns: int, reason: str) -> None:
    header = Endless(b"card,note", b",c" * 10_000, 2 * columns)
    assert refused(Bench(layout(NOTE)), header) == reason


def test_a_row_of_a_million_fields_is_rejected_alone() -> None:
    bench = Bench(layout(NOTE))
    receipt = bench.run(f"card,note\n{PAN},a\n{PAN}{',' * 1_000_000}\n{PAN},b\n")
    assert receipt["rejects_by_reason"] == {"wrong_field_count": 1}
    assert receipt["rows_written"] == 2


def _zip(name: str, content: bytes) -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, content)
    return sink.getvalue()


def _parquet() -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.table({"card": [PAN]}), sink)
    return sink.getvalue()


CSV = f"card,note\n{PAN},a\n".encode()
OTHERS: dict[str, Callable[[], bytes]] = {
    "a Parquet file": _parquet,
    "an Office document": lambda: _zip("[Content_Types].xml", CSV),
    "a 7-Zip archive": lambda: b"7z\xbc\xaf\x27\x1c" + CSV,
    "a RAR archive": lambda: b"Rar!\x1a\x07\x00" + CSV,
    "a PDF document": lambda: b"%PDF-1.7\n" + CSV,
    "a signed PGP text": lambda: b"-----BEGIN PGP SIGNED MESSAGE-----\n\n" + CSV,
    "a PDF document in a gzip archive": lambda: gzip.compress(b"%PDF-1.7\n" + CSV),
}


@pytest.mark.parametrize("kind", OTHERS)
@pytest.mark.parametrize("folder", ["x", "auto"])
def test_what_is_no_text_is_refused_by_name(kind: str, folder: str) -> None:
    bench = Bench(layout(NOTE))
    with pytest.raises(PermanentError, match="unsupported_format: the file is "):
        bench.run(OTHERS[kind](), folder)
    assert not bench.world.vault.rows


@pytest.mark.parametrize("name", ["PAR1", "ORC", "Obj", "Rar!", "BZh9", "SQLite", "7z", "PK"])
def test_a_column_may_be_called_like_a_format(name: str) -> None:
    bench = Bench(layout(NOTE))
    assert bench.run(f"{name},card,note\n1,{PAN},a\n")["rows_written"] == 1


SMALL: Mapping[str, tuple[bytes, str]] = {
    "nothing": (b"", "empty_file"),
    "a byte order mark": (b"\xef\xbb\xbf", "empty_file"),
    "a header without rows": (b"card,note\n", "no_rows"),
    "a header without a line end": (b"card,note", "no_rows"),
    "line ends": (b"\r\n\n\r\n", "no_rows"),
    "the byte order mark of UTF-16": (CSV.decode().encode("utf-16"), "encoding_mismatch"),
    "UTF-16 without a mark": (CSV.decode().encode("utf-16-le"), "missing_column"),
    "a NUL in the header": (b"card\0,note\n1,2\n", "missing_column"),
}


@pytest.mark.parametrize("what", SMALL)
def test_a_file_of_little_but_trouble_gets_a_reason(what: str) -> None:
    content, reason = SMALL[what]
    with pytest.raises(PermanentError) as error:
        Bench(layout(NOTE)).run(content)
    assert error.value.code == reason


@pytest.mark.parametrize(
    ("cell", "reason"),
    [
        (b"\xed\xa0\x80", "invalid_encoding"),  # half a surrogate pair
        (b"\xc0\xaf", "invalid_encoding"),  # an overlong slash
        (b"\xf4\x90\x80\x80", "invalid_encoding"),  # beyond Unicode
        (b"\xff\xfe", "invalid_encoding"),
    ],
)
def test_bytes_that_are_no_text_cost_their_row(cell: bytes, reason: str) -> None:
    bench = Bench(layout(NOTE))
    receipt = bench.run(f"card,note\n{PAN},a\n{PAN},".encode() + cell + f"\n{PAN},b\n".encode())
    assert receipt["rejects_by_reason"] == {reason: 1}
    assert receipt["rows_written"] == 2


@pytest.mark.parametrize("cell", ["\0", "a\0b", "\ufeff", "\u202e", "\U0010fffd", "=cmd|' /C'!A0"])
def test_odd_text_is_kept_as_it_is(cell: str) -> None:
    bench = Bench(layout(NOTE))
    table = bench.table(bench.run(f"card,note\n{PAN},{cell}\n"))
    assert table["note"].to_pylist() == [cell]


LAYOUTS = [
    layout(NOTE),
    layout(NOTE, role="[format]\nembedded_newlines = true"),
    layout(NOTE, role='[format]\ndelimiter = "|"\nquote = ""\nescape = "\\\\"'),
    layout(NOTE, role='[format]\nheader = false\nfields = ["card", "note"]'),
    layout(NOTE, role='[format]\nencoding = "utf-16"'),
    layout(NOTE, role='[format]\nencoding = "cp037"'),
    layout(NOTE, role='[records.types]\nd = {}\nh = {match = ["H", "T"], role = "skip"}'),
]
PANS = synthetic_pans(3, seed=5)
FRAGMENTS = [
    *PANS,
    *("card,note\n", "card|note\n", "card", "note", ",", "|", "\n", "\r\n", "\r", '"', '""', "\\"),
    *("H", "T", "\0", "\ufeff", "\u2028", "4111 1111 1111 1111", "4.1E+15", "x" * 50),
]
FILES = st.binary(max_size=300) | st.lists(st.sampled_from(FRAGMENTS), max_size=30).map(
    lambda parts: "".join(parts).encode()
)


@settings(max_examples=400, deadline=None)
@given(
    content=FILES,
    encoding=st.sampled_from(["utf-8", "utf-16", "cp037"]),
    document=st.sampled_from([*LAYOUTS, ""]),
)
def test_any_bytes_as_a_file_add_up_or_get_a_reason(
    content: bytes, encoding: str, document: str
) -> None:
    bench = Bench(document) if document else Bench()
    body = content.decode("utf-8", "replace").encode(encoding, "replace")
    body = content if encoding == "utf-8" else body
    try:
        receipt = bench.run(body, "x" if document else "auto")
    except PermanentError as error:
        (receipt,) = bench.world.tokenized.receipts.values()
        assert (receipt["status"], receipt["reason"]) == ("failed", error.code)
        assert not any("/data/" in uri for uri in bench.world.tokenized.objects)
    else:
        assert receipt["rows_read"] == receipt["rows_written"] + receipt["rows_rejected"]
        assert sum(part["rows"] for part in receipt["outputs"]) == receipt["rows_written"]
        rejects = bench.rejects(receipt) if receipt["rejects_uris"] else []
        assert len(rejects) == receipt["rows_rejected"]
        opened = bench.opened(list(bench.world.fingerprints.tokens.values()))
        assert all(12 <= len(pan) <= 19 and pan.isdigit() for pan in opened)
