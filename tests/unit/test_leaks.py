"""The scanner that tests and users rely on finds what it has to find."""

from __future__ import annotations

import gzip
import io

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core import decoding
from pipeline.core.leaks import LeakScanner
from tests.leaks import binary_forms, planted_forms

PAN = "4111111111111111"
OTHER = b"378282246310005"
FORMS = planted_forms(PAN)
KNOWN = LeakScanner([OTHER, PAN.encode()], card_like=False)
BINARY = binary_forms(PAN)


@pytest.mark.parametrize("form", [*FORMS, *BINARY])
def test_a_known_pan_is_found_in_this_form(form: str) -> None:
    assert KNOWN.leaks_in((FORMS | BINARY)[form])


@pytest.mark.parametrize("form", FORMS)
def test_an_unknown_pan_is_found_in_this_form(form: str) -> None:
    assert LeakScanner().leaks_in(FORMS[form])


@pytest.mark.parametrize("form", [*FORMS, *BINARY])
def test_what_is_found_is_reported_without_the_pan(form: str) -> None:
    assert PAN not in str(KNOWN.leaks_in((FORMS | BINARY)[form]))


@pytest.mark.parametrize("form", [*FORMS, *BINARY])
def test_another_pan_is_no_leak_of_a_known_one(form: str) -> None:
    assert not LeakScanner([OTHER], card_like=False).leaks_in((FORMS | BINARY)[form])


def test_tokens_and_last4_are_no_leak() -> None:
    content = b'{"token": "tok_f52jhzrikflpf3q74jjzl5mylk", "last4": "1111", "rows": 1000}'
    assert not LeakScanner([PAN.encode()]).leaks_in(content)


def test_a_parquet_dictionary_hides_nothing() -> None:
    sink = io.BytesIO()
    table = pa.table({"x": pa.array([PAN, None, PAN]).dictionary_encode()})
    pq.write_table(table, sink, compression="zstd", write_statistics=False)
    assert KNOWN.leaks_in(sink.getvalue())


@pytest.mark.parametrize("store_schema", [True, False])
def test_an_entry_of_a_parquet_dictionary_that_no_row_uses_is_found(store_schema: bool) -> None:
    sink = io.BytesIO()
    cells = pa.DictionaryArray.from_arrays(pa.array([0, 0]), pa.array(["x", PAN]))
    table = pa.table({"x": cells, "nested": [[{"y": "z"}], []]})
    pq.write_table(table, sink, compression="zstd", store_schema=store_schema)
    assert LeakScanner().leaks_in(sink.getvalue())


def test_damaged_parquet_is_searched_as_far_as_it_can_be_read() -> None:
    sink = io.BytesIO()
    pq.write_table(pa.table({"x": [PAN] * 9, "y": ["z"] * 9}), sink, compression="zstd")
    damaged = bytearray(sink.getvalue())
    for at in range(4, 60):
        damaged[at] ^= 0xFF
        assert LeakScanner().leaks_in(bytes(damaged))  # its statistics are whole


def test_an_archive_is_searched_piece_by_piece_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding, "PIECE_BYTES", 50_000)
    archive = gzip.compress(b"a" * 149_990 + PAN.encode() + b"b" * 100_000)
    assert LeakScanner().leaks_in(archive)


def test_an_archive_that_grows_without_end_is_not_called_clean(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(decoding, "MAX_INFLATED_BYTES", 10_000_000)
    (leak,) = LeakScanner().leaks_in(gzip.compress(b"\0" * 20_000_000))
    assert leak.form == "an archive too large to be searched to its end"


def test_a_pan_in_a_parquet_column_name_is_found() -> None:
    sink = io.BytesIO()
    pq.write_table(pa.table({PAN: [1]}), sink)
    assert KNOWN.leaks_in(sink.getvalue())


@given(st.binary(max_size=400), st.binary(max_size=40))
def test_any_bytes_are_searched_without_an_error(before: bytes, after: bytes) -> None:
    LeakScanner([OTHER]).leaks_in(before + after)


@given(st.text(alphabet="abc ,;:\n{}", max_size=60), st.text(alphabet="abc ,;:\n{}", max_size=60))
def test_a_pan_is_found_whatever_surrounds_it(before: str, after: str) -> None:
    assert LeakScanner().leaks_in((before + PAN + after).encode())
