"""Streams that remember what went through them."""

from __future__ import annotations

import hashlib
import io

from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.readers.hashing import HashingReader, HashingWriter


@settings(max_examples=100)
@given(
    content=st.binary(max_size=60),
    steps=st.lists(st.tuples(st.booleans(), st.integers(0, 20)), max_size=12),
)
def test_whatever_is_peeked_and_read_everything_comes_once_and_in_order(
    content: bytes, steps: list[tuple[bool, int]]
) -> None:
    reader = HashingReader(io.BytesIO(content))
    taken = b""
    for is_peek, size in steps:
        if is_peek:
            assert reader.peek(size) == content[len(taken) :][:size]
        else:
            taken += reader.read(size)
            assert content.startswith(taken)
    taken += reader.read()
    assert taken == content
    assert reader.read(5) == b""
    assert reader.sha256 == hashlib.sha256(content).hexdigest()


def test_peeking_asks_again_when_fewer_bytes_come_than_were_asked_for() -> None:
    class OneByte(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            return super().read(1)

    reader = HashingReader(OneByte(b"abcdef"))
    assert reader.peek(4) == b"abcd"
    assert reader.read(6) == b"abcde"
    assert reader.read(6) == b"f"


def test_a_writer_hashes_what_it_passes_on() -> None:
    sink = io.BytesIO()
    writer = HashingWriter(sink)
    for piece in (b"abc", bytearray(b"de"), memoryview(b"f"), b""):
        assert writer.write(piece) == len(piece)
    assert sink.getvalue() == b"abcdef"
    assert writer.tell() == writer.size_bytes == 6
    assert writer.sha256 == hashlib.sha256(b"abcdef").hexdigest()
    assert writer.writable()
    assert not writer.readable()
