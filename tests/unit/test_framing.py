"""Blocks hold whole records, and nothing of a stream is lost between them."""

from __future__ import annotations

import io
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import PermanentError
from pipeline.readers.framing import LineGrammar, QuotedGrammar, Utf8Stream, blocks_of_records

QUOTED = QuotedGrammar(",", '"', "", embedded_newlines=True)
LINES = st.lists(st.sampled_from([b"a", b",", b'"', b'""', b"\n", b"\r", b"\r\n"]), max_size=40)


class Dribble:
    """Gives fewer bytes than it is asked for, as a network does."""

    def __init__(self, content: bytes, at_once: int) -> None:
        self._content = io.BytesIO(content)
        self._at_once = at_once

    def read(self, size: int = -1, /) -> bytes:
        return self._content.read(min(size, self._at_once))


def blocks(content: bytes, block_bytes: int, *, at_once: int = 1000) -> list[bytes]:
    return list(blocks_of_records(Dribble(content, at_once), LineGrammar(), block_bytes))


@pytest.mark.parametrize(
    "content", [b"ab\ncd\n", b"ab\r\ncd\r\n", b"ab\rcd\r", b"ab\ncd", b"ab\rcd"]
)
@pytest.mark.parametrize("at_once", [1, 2, 3])
def test_a_line_is_never_cut(content: bytes, at_once: int) -> None:
    found = blocks(content, 4, at_once=at_once)
    assert b"".join(found) == content
    assert [block.strip(b"\r\n") for block in found] == [b"ab", b"cd"]


def test_a_line_feed_stays_with_its_carriage_return() -> None:
    for at_once in range(1, 8):
        for block in blocks(b"a\r\nb\r\nc\r\n", 4, at_once=at_once):
            assert not block.startswith(b"\n")


def test_an_empty_stream_has_no_blocks() -> None:
    assert blocks(b"", 4) == []


def test_a_line_that_fits_no_block_is_refused_before_the_memory_fills() -> None:
    class Endless:
        given = 0

        def read(self, size: int = -1, /) -> bytes:
            self.given += size
            return b"x" * size

    stream = Endless()
    with pytest.raises(PermanentError, match="record_too_long: a record is longer than 10 bytes"):
        list(blocks_of_records(stream, LineGrammar(), 10))
    assert stream.given <= 30


@settings(max_examples=300)
@given(parts=LINES, block_bytes=st.integers(1, 50), at_once=st.integers(1, 50))
def test_blocks_add_up_to_the_stream(parts: list[bytes], block_bytes: int, at_once: int) -> None:
    content = b"".join(parts)
    for grammar in (LineGrammar(), QUOTED):
        stream = Dribble(content, at_once)
        try:
            found = list(blocks_of_records(stream, grammar, block_bytes))
        except PermanentError as error:
            assert error.code == "record_too_long"
        else:
            assert b"".join(found) == content
            assert all(found)


@settings(max_examples=300)
@given(parts=LINES)
def test_no_block_ends_within_quotes(parts: list[bytes]) -> None:
    content = b"".join(parts)
    end = QUOTED.last_record_end(content)
    if end:
        assert content[end - 1 : end] in (b"\n", b"\r")
        start = 0
        while start < end:
            one = QUOTED.one_record_end(content, start)
            assert one is not None
            start = one
        assert start == end


@pytest.mark.parametrize(
    ("record", "fields"),
    [
        (b"", [b""]),
        (b"a", [b"a"]),
        (b"a,b", [b"a", b"b"]),
        (b",", [b"", b""]),
        (b'"a,b",c', [b'"a,b"', b"c"]),
        (b'"a""",b', [b'"a"""', b"b"]),
        (b'"a\nb",c', [b'"a\nb"', b"c"]),
        (b'a"b,c', [b'a"b', b"c"]),
        (b'"a,b', None),
        (b'a,"b', None),
        (b'"a"",b', None),
    ],
)
def test_fields_are_split_as_they_stand(record: bytes, fields: list[bytes] | None) -> None:
    assert QUOTED.fields(record) == fields


@pytest.mark.parametrize("special", list("^]-\\[.*+?(){}|$'#&~ "))
def test_characters_that_patterns_know_are_plain_delimiters_quotes_and_escapes(
    special: str,
) -> None:
    mark = special.encode()
    as_delimiter = QuotedGrammar(special, '"', "", embedded_newlines=False)
    assert as_delimiter.fields(b"a" + mark + b'"b' + mark + b'c"') == [b"a", b'"b' + mark + b'c"']
    as_quote = QuotedGrammar(",", special, "", embedded_newlines=False)
    assert as_quote.fields(mark + b"a,b" + mark + b",c") == [mark + b"a,b" + mark, b"c"]
    as_escape = QuotedGrammar(",", '"', special, embedded_newlines=False)
    assert as_escape.fields(b"a" + mark + b",b,c") == [b"a" + mark + b",b", b"c"]


def test_the_time_to_find_records_grows_with_the_block_and_not_faster() -> None:
    for content in (b'"' * 200_001, b'"a' * 100_000, b'"",' * 70_000 + b'"', b"\r" * 200_000):
        QUOTED.last_record_end(content)
        QUOTED.one_record_end(content, 0)
        QUOTED.fields(content)


def test_a_stream_is_transcoded_however_it_is_cut() -> None:
    text = "\ufeffä€😀\n" * 3
    for encoding in ("utf-16", "utf-16-be", "utf-8", "utf-8-sig"):
        for at_once in range(1, 9):
            stream = Utf8Stream(Dribble(text.encode(encoding), at_once), encoding)  # type: ignore[arg-type]
            found = b""
            while fresh := stream.read(4):
                found += fresh
            assert found.decode().lstrip("\ufeff") == text.lstrip("\ufeff")
            assert stream.read(4) == b""


@pytest.mark.parametrize("line_end", ["", "\n", "\r\n", "\r", "\n\n", "\r\r", "\n\r"])
@pytest.mark.parametrize("alphabet", ['",a', '"\\,', '"\n,'])
def test_a_line_that_surely_is_one_record_is_one(line_end: str, alphabet: str) -> None:
    grammars = [
        QuotedGrammar(",", '"', e, embedded_newlines=n) for e in ("", "\\") for n in (False, True)
    ]
    sure = 0
    for characters in (each for size in range(1, 8) for each in product(alphabet, repeat=size)):
        line = ("".join(characters) + line_end).encode()
        for grammar in grammars:
            if grammar.is_line_of_quoted_fields(line):
                assert grammar.one_record_end(line, 0) == len(line), line
                sure += 1
    assert bool(sure) == (line_end in {"", "\n", "\r\n", "\r"})


@pytest.mark.parametrize(
    "line", [b'"a"', b'"a","b"\n', b'"a","","c"   \r\n', b'"","",""\n', b'"a","b",c\n']
)
def test_lines_of_quoted_fields_need_no_look_at_every_field(line: bytes) -> None:
    assert QuotedGrammar(",", '"', "", embedded_newlines=False).is_line_of_quoted_fields(line)


@pytest.mark.parametrize(
    "line", [b"a,b\n", b'a,"b"\n', b'"a""b"\n', b'"a","b\n', b'"a"\n"b"\n', b'"ab"cd","x\n']
)
def test_other_lines_are_looked_at_field_by_field(line: bytes) -> None:
    assert not QuotedGrammar(",", '"', "", embedded_newlines=False).is_line_of_quoted_fields(line)
