"""Rejected records lose their sensitive authentication data, or are not kept at all."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.reading import Reading, a_layout, read

CVV = b"987"


def read_with_cvv(content: bytes, **settings: object) -> Reading:
    """Columns `note`, `cvv`, `pan`, of which the last one is named by the layout."""
    layout = a_layout("pan", header=False, fields=["note", "cvv", "pan"], **settings)
    return read(content, layout)


@pytest.mark.parametrize("delimiter", [",", "|", "\t", "||", "¦"])
def test_a_sensitive_field_is_blanked_and_the_others_stay(delimiter: str) -> None:
    quote = '"' if len(delimiter) == 1 and delimiter.isascii() else ""
    content = b"a,987,1\n".replace(b",", delimiter.encode())
    reading = read_with_cvv(content, delimiter=delimiter, quote=quote)
    assert reading.raw == {1: b"a,,1".replace(b",", delimiter.encode())}


@pytest.mark.parametrize(
    ("record", "kept"),
    [
        (b"a,987,1", b"a,,1"),
        (b'"a,b",987,1', b'"a,b",,1'),
        (b'"a""b,",987,1', b'"a""b,",,1'),
        (b'a,"987",1', b"a,,1"),
        (b'a,"9,8""7",1', b"a,,1"),
        (b'"a"b,987,1', b'"a"b,,1'),
        (b'a"b,987,1', b'a"b,,1'),
        (b'a,987,"1"', b'a,,"1"'),
        (b",987,", b",,"),
    ],
)
def test_quoted_delimiters_do_not_mislead_it(record: bytes, kept: bytes) -> None:
    assert read_with_cvv(record + b"\n").raw == {1: kept}


@pytest.mark.parametrize(
    "record",
    [
        b"987,1",
        b"a,b,987,1",
        b'"a, b,987',
        b'a,"987,1',
        b'"a,987,1',
        b'a,987,"1',
        b"987",
        b"a,987,1,",
    ],
)
def test_a_record_in_which_the_sensitive_field_is_unclear_is_not_kept(record: bytes) -> None:
    reading = read_with_cvv(record + b"\n")
    assert reading.malformed
    assert reading.raw == {1: b""}


@pytest.mark.parametrize(
    ("record", "kept"),
    [
        (rb"a\,b,987,1", rb"a\,b,,1"),
        (rb'"a\",b",987,1', rb'"a\",b",,1'),
        (rb'a\,"b,987,1"', rb'a\,"b,,1"'),
        (rb'"x\",y",987', b""),
        (rb'a\,"b,987', b""),
        (b"a,987,1\\", b""),
    ],
)
def test_escapes_do_not_mislead_it(record: bytes, kept: bytes) -> None:
    assert read_with_cvv(record + b"\n", escape="\\").raw == {1: kept}


def test_embedded_line_ends_do_not_mislead_it() -> None:
    content = b'"a\n,",987,1\n"b\r\n",987,2\n'
    reading = read_with_cvv(content, embedded_newlines=True)
    assert reading.raw == {1: b'"a\n,",,1', 2: b'"b\r\n",,2'}


@pytest.mark.parametrize(
    "track",
    [
        b"%B4111111111111111^DOE/JANE^25121010000000000123?",
        b"B4111111111111111^DOE/JANE^2512101123456789",
        b"b4111111111111111^DOE/JANE              ^2512101?",
        b"%B4111111111111111^DOE/JANE^^101000?",
        b";4111111111111111=25121010000012300?",
        b"4111111111111111=2512101",
        b"4111111111111111D25121010000012300F",
        b"4111111111111111d25121010000012300f",
        b";501234567890=2512101?",
        b";6212345678901234567=2512?",
    ],
)
def test_track_data_is_taken_out_wherever_it_stands(track: bytes) -> None:
    layout = a_layout("pan", "note")
    reading = read(b"pan,note\n1,see " + track + b" there\n2\n" + track + b"\n", layout)
    assert reading.raw[1].startswith(b"1,see [removed]")
    for record in reading.raw.values():
        assert b"2512" not in record
        assert b"123" not in record


@pytest.mark.parametrize(
    "harmless", [b"4111111111111111", b"x=2512101", b"1234^5678", b"12345678901=2512", b"a^b^2512"]
)
def test_what_is_no_track_stays(harmless: bytes) -> None:
    reading = read(b"pan,note\n1," + harmless + b"\n", a_layout("pan", "note"))
    assert reading.raw == {1: b"1," + harmless}


FRAGMENTS = st.lists(
    st.sampled_from([b"a", b",", b'"', b'""', b"\\", b" ", b"'", b",987,", b"\r"]), max_size=14
)


@pytest.mark.parametrize("escape", ["", "\\"])
@settings(max_examples=300)
@given(record=FRAGMENTS.map(b"".join))
def test_a_kept_record_differs_from_the_original_in_its_sensitive_field_only(
    escape: str, record: bytes
) -> None:
    names = ["note", "other", "pan"]
    open_layout = a_layout("pan", "note", "other", header=False, fields=names, escape=escape)
    reading = read_with_cvv(b"x,y,z\n" + record, escape=escape)
    original = read(b"x,y,z\n" + record, open_layout)
    assert original.malformed == reading.malformed
    for number in reading.malformed:
        assert reading.raw[number] == b""
    for number, (note, _, pan) in original.rows.items():
        again = read(reading.raw[number], open_layout)
        assert again.rows == {1: (note, "", pan)}
