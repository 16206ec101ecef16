"""Text in any encoding, and bytes that are not text."""

from __future__ import annotations

import pytest

from pipeline.errors import PermanentError
from pipeline.readers.delimited import read_delimited
from tests.unit.reading import PAN, Reading, a_layout, headerless, read

TABLE = "pan,note\r\n{},crème brûlée\r\n2,Ärger\r\n"
CELLS = [(PAN, "crème brûlée"), ("2", "Ärger")]


@pytest.mark.parametrize("block_bytes", [27, 64, 1 << 16])
@pytest.mark.parametrize(
    "encoding",
    [
        "utf-8",
        "UTF8",
        "utf-8-sig",
        "latin-1",
        "cp1252",
        "iso8859-15",
        "cp037",
        "cp500",
        "utf-16",
        "utf-16-le",
        "utf-16-be",
        "utf-32",
        "utf-7",
        "mac-roman",
    ],
)
def test_a_file_in_this_encoding_is_read(encoding: str, block_bytes: int) -> None:
    content = TABLE.format(PAN).encode(encoding)
    layout = a_layout("pan", "note", encoding=encoding)
    assert read(content, layout, max(block_bytes, 40)).cells == CELLS


@pytest.mark.parametrize("encoding", ["shift_jis", "gb18030", "euc_kr", "big5", "utf-16"])
def test_characters_of_several_bytes_may_straddle_blocks(encoding: str) -> None:
    text = "pan,note\n" + "".join(f"{at},中一\n" for at in range(30))
    layout = a_layout("pan", "note", encoding=encoding)
    for block_bytes in range(13, 40):
        reading = read(text.encode(encoding), layout, block_bytes)
        assert reading.cells == [(str(at), "中一") for at in range(30)]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32-be"])
def test_a_byte_order_mark_is_no_part_of_the_first_name(encoding: str) -> None:
    content = ("\ufeff" + TABLE.format(PAN)).encode(encoding)
    layout = a_layout("pan", "note", encoding=encoding)
    for block_bytes in (40, 41, 1 << 16):
        assert read(content, layout, block_bytes).cells == CELLS


@pytest.mark.parametrize("block_bytes", [4, 5, 6, 7, 8, 9, 10])
def test_a_byte_order_mark_may_straddle_reads(block_bytes: int) -> None:
    class OneByteAtATime:
        def __init__(self, content: bytes) -> None:
            self.left = content

        def read(self, size: int = -1) -> bytes:
            byte, self.left = self.left[:1], self.left[1:]
            return byte

    stream = OneByteAtATime(b"\xef\xbb\xbf1,a\n2,b\n")
    batches = read_delimited(stream, headerless("pan", "note"), block_bytes=block_bytes)  # type: ignore[arg-type]
    cells = [batch.columns.column(0).to_pylist() for batch in batches]
    assert sum(cells, []) == ["1", "2"]


@pytest.mark.parametrize("block_bytes", [8, 9, 16, 17, 1 << 16])
@pytest.mark.parametrize("embedded_newlines", [False, True])
def test_a_mark_inside_the_file_is_content_wherever_a_block_begins(
    block_bytes: int, embedded_newlines: bool
) -> None:
    content = "\ufeff\ufeff1,a\n\ufeff2,\ufeffb\n\ufeff3,c\n".encode()
    layout = headerless("pan", "note", embedded_newlines=embedded_newlines)
    cells = [("\ufeff1", "a"), ("\ufeff2", "\ufeffb"), ("\ufeff3", "c")]
    assert read(content, layout, max(block_bytes, 11)).cells == cells


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_a_utf16_file_read_as_utf8_names_the_setting(encoding: str) -> None:
    content = ("" if encoding == "utf-16" else "\ufeff").encode(encoding)
    content += TABLE.format(PAN).encode(encoding)
    with pytest.raises(PermanentError) as caught:
        read(content, a_layout("pan", "note"))
    assert caught.value.code == "encoding_mismatch"


def test_a_utf16_file_that_was_cut_is_refused() -> None:
    content = TABLE.format(PAN).encode("utf-16")[:-1]
    with pytest.raises(PermanentError) as caught:
        read(content, a_layout("pan", "note", encoding="utf-16"))
    assert caught.value.code == "invalid_encoding"


@pytest.mark.parametrize("delimiter", [",", "||", "¦"])
@pytest.mark.parametrize("block_bytes", [24, 1 << 16])
def test_undecodable_bytes_in_a_named_column_reject_their_row_only(
    delimiter: str, block_bytes: int, capfd: pytest.CaptureFixture[str]
) -> None:
    reading = with_undecodable(b"1,a\xff\n2,b\n\xc3,c\n4,d\xe2\x82\n5,e\n", delimiter, block_bytes)
    assert reading.rows == {2: ("2", "b"), 5: ("5", "e")}
    assert reading.malformed == dict.fromkeys((1, 3, 4), "invalid_encoding")
    assert reading.raw[1] == b"1,a\xff".replace(b",", delimiter.encode())
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("delimiter", [",", "||", "¦"])
def test_undecodable_bytes_in_a_dropped_column_harm_nobody(
    delimiter: str, capfd: pytest.CaptureFixture[str]
) -> None:
    content = b"1,a,\xff\n2,b,\xc3\n3,c,d\n".replace(b",", delimiter.encode())
    quote = '"' if delimiter == "," else ""
    layout = a_layout(
        "pan",
        "note",
        delimiter=delimiter,
        quote=quote,
        header=False,
        fields=["pan", "note", "unused"],
    )
    assert read(content, layout).cells == [("1", "a"), ("2", "b"), ("3", "c")]
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("delimiter", [",", "||", "¦"])
def test_undecodable_bytes_in_a_malformed_row_are_not_printed(
    delimiter: str, capfd: pytest.CaptureFixture[str]
) -> None:
    reading = with_undecodable(b"1\xff\n2,b,\xfe\n3,c\n\xfd\xfe\n", delimiter)
    assert reading.malformed == dict.fromkeys((1, 2, 4), "wrong_field_count")
    assert reading.raw[1] == b"1\xff"
    assert capfd.readouterr() == ("", "")


def with_undecodable(content: bytes, delimiter: str, block_bytes: int = 1 << 16) -> Reading:
    quote = '"' if delimiter == "," else ""
    layout = headerless("pan", "note", delimiter=delimiter, quote=quote)
    return read(content.replace(b",", delimiter.encode()), layout, block_bytes)


def test_undecodable_bytes_beside_quotes_move_no_boundary() -> None:
    content = b'1,"a,\xff"\n2,"\xe2\x82"\n"3","b\xf0\x9f"",c"\n4,\xc3"\n5,\xc3"d,e"\n'
    reading = read(content, headerless("pan", "note"))
    assert reading.malformed == {
        **dict.fromkeys((1, 2, 3, 4), "invalid_encoding"),
        5: "wrong_field_count",
    }


@pytest.mark.parametrize("block_bytes", [12, 1 << 16])
def test_the_noncharacter_that_marks_undecodable_bytes_is_itself_refused(block_bytes: int) -> None:
    content = "1,\U0010ffff\n2,b\n".encode() + b"3,\xff\n4,d\n"
    reading = read(content, headerless("pan", "note"), block_bytes=block_bytes)
    assert reading.malformed == {1: "invalid_encoding", 3: "invalid_encoding"}


def test_bytes_that_a_one_byte_encoding_lacks_reject_their_row_only() -> None:
    content = "pan,note\n1,€\n".encode("cp1252") + b"2,\x81\n3,\x9d\x80\n4,d\n"
    reading = read(content, a_layout("pan", "note", encoding="cp1252"))
    assert reading.rows == {1: ("1", "€"), 4: ("4", "d")}
    assert reading.malformed == {2: "invalid_encoding", 3: "invalid_encoding"}


def test_undecodable_column_names_are_readable_and_harmless() -> None:
    reading = read(b"pan,\xff\xfe,note\n1,x,a\n", a_layout("pan", "note"))
    assert reading.file_columns == ("pan", "\ufffd\ufffd", "note")
    assert reading.cells == [("1", "a")]
