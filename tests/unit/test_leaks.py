"""The scanner that tests and users rely on finds what it has to find."""

from __future__ import annotations

import io

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

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
