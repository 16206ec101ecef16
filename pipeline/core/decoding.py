"""What bytes may stand for: gzip, base64, percent-encoding, escapes, other texts, Parquet."""

from __future__ import annotations

import base64
import re
import unicodedata
import zlib
from collections.abc import Callable, Iterator, Sequence
from urllib.parse import unquote_to_bytes

from pipeline.core.guard import ANY_RUN
from pipeline.core.pans import MIN_PAN_DIGITS
from pipeline.core.parquet_views import PARQUET, parquet_views

MAX_DEPTH = 4  # archives in archives, base64 in base64
MAX_INFLATED_BYTES = 4 * 1024**3  # of one archive: a bomb stops here, and is reported
PIECE_BYTES = 16 * 1024 * 1024  # of what an archive holds, searched at a time
OVERLAP_BYTES = 4096  # a card number that two pieces share is whole in the second one
MIN_ENCODED_CHARACTERS = 16  # base64 of 12 digits

_GZIP = b"\x1f\x8b\x08"
_ALPHABET = rb"[A-Za-z0-9+/_-]"
_BASE64 = re.compile(rb"%s{%d,}" % (_ALPHABET, MIN_ENCODED_CHARACTERS))
_NO_DIGITS = bytes(set(range(256)).difference(b"0123456789"))
_MORE = re.compile(
    rb"\x1f\x8b\x08|%s{%d}|(?:\xef\xbc[\x90-\x99][^0-9]{0,2}){12}"
    % (_ALPHABET, MIN_ENCODED_CHARACTERS)
)
_LINE_END = rb"(?:\r?\n|\\+r\\+n|\\+n)"
_WRAPPED_BASE64 = re.compile(  # as MIME and PEM break it into lines
    b"|".join(rb"(?:%s{%d}%s)+%s+" % (_ALPHABET, width, _LINE_END, _ALPHABET) for width in (76, 64))
)
_LINE_ENDS = re.compile(_LINE_END)
_PERCENT = re.compile(rb"(?:%[0-9A-Fa-f]{2}|[0-9 +.-]){8,}")
_ESCAPE = re.compile(  # any number of backslashes: JSON in JSON has more of them
    rb"\\+(?:u([0-9a-fA-F]{4})|U000([0-9a-fA-F]{5})|x([0-9a-fA-F]{2})|([0-3][0-7]{2})|([nrt/]))"
)
_UTF16 = re.compile(rb"(?:[\x09-\x7e]\x00){8,}|(?:\x00[\x09-\x7e]){8,}")

_Decoder = tuple[str, Callable[[bytes], Iterator[tuple[int, bytes]]]]


def views(content: bytes) -> Iterator[tuple[str, int, bytes]]:
    """The content, and what it is once decoded in each way that it allows: form, offset, bytes.

    Raises `TooLargeError` at an archive that grows beyond what is searched.
    """
    return _views(content, "", 0, 0, _DECODERS)


def decoded_views(content: bytes) -> Iterator[bytes]:
    """The content, and what it is once decoded in each way that it allows, archives left closed."""
    decoders = tuple(each for each in _DECODERS if each[1] is not _inflated)
    return (view for _, _, view in _views(content, "", 0, 0, decoders))


def holds_archive(content: bytes) -> bool:
    """Whether a gzip archive may begin somewhere in the content."""
    return _GZIP in content


def _views(
    content: bytes, form: str, offset: int, depth: int, decoders: Sequence[_Decoder]
) -> Iterator[tuple[str, int, bytes]]:
    """The content, and what it is once decoded in each way that it allows."""
    yield form, offset, content
    if depth < MAX_DEPTH and (depth == 0 or _may_hold_more(content)):
        for name, at, view in _decoded(content, decoders):
            yield from _views(view, f"{form} {name}".strip(), offset + at, depth + 1, decoders)


def _may_hold_more(content: bytes) -> bool:
    """Whether it is worth to decode what was decoded; of most base64 it is not."""
    return (
        len(content.translate(None, delete=_NO_DIGITS)) >= MIN_PAN_DIGITS
        or _MORE.search(content) is not None
    )


def _decoded(content: bytes, decoders: Sequence[_Decoder]) -> Iterator[tuple[str, int, bytes]]:
    if content.startswith(PARQUET) and content.endswith(PARQUET):
        yield from ((name, 0, view) for name, view in parquet_views(content))
    for name, decode in decoders:
        yield from ((name, at, view) for at, view in decode(content))


def _inflated(content: bytes) -> Iterator[tuple[int, bytes]]:
    """What gzip archives hold, wherever they begin, in pieces that overlap."""
    at = content.find(_GZIP)
    while at >= 0:
        tail = b""
        for piece in _pieces(memoryview(content)[at:]):
            yield at, tail + piece
            tail = piece[-OVERLAP_BYTES:]
        at = content.find(_GZIP, at + 1)


def _pieces(archive: memoryview) -> Iterator[bytes]:
    """The content of a gzip archive, as far as it can be read.

    Raises `TooLargeError` behind `MAX_INFLATED_BYTES`.
    """
    piece, inflated_bytes = bytearray(), 0
    for data in _decompressed(archive):
        piece += data
        inflated_bytes += len(data)
        if len(piece) >= PIECE_BYTES:
            yield bytes(piece)
            piece.clear()
        if inflated_bytes > MAX_INFLATED_BYTES:
            raise TooLargeError
    if piece:
        yield bytes(piece)


def _decompressed(archive: memoryview) -> Iterator[bytes]:
    inflater = zlib.decompressobj(zlib.MAX_WBITS | 16)
    for start in range(0, len(archive), _STEP_BYTES):
        data: bytes | memoryview = archive[start : start + _STEP_BYTES]
        before = inflater.copy()
        try:
            yield inflater.decompress(data)
        except zlib.error:
            yield from _up_to_the_damage(before, bytes(data))
            return
        if inflater.eof:
            return


_STEP_BYTES = 4096  # deflate makes 4 MiB of it at most


def _up_to_the_damage(inflater: zlib._Decompress, data: bytes) -> Iterator[bytes]:
    for at in range(len(data)):
        try:
            yield inflater.decompress(data[at : at + 1])
        except zlib.error:
            return


class TooLargeError(Exception):
    """An archive that grows beyond what is searched."""


def _from_base64(content: bytes) -> Iterator[tuple[int, bytes]]:
    """What base64 could stand for; it may begin anywhere, so each alignment is tried."""
    for match in _BASE64.finditer(content):
        yield from ((match.start(), decoded) for decoded in _alignments(match[0]))
    for match in _WRAPPED_BASE64.finditer(content):
        yield from (
            (match.start(), decoded) for decoded in _alignments(_LINE_ENDS.sub(b"", match[0]))
        )


def _alignments(run: bytes) -> Iterator[bytes]:
    run = run.translate(_STANDARD_ALPHABET)
    for shift in range(4):
        rest = run[shift:]
        whole = rest[: len(rest) - 1] if len(rest) % 4 == 1 else rest
        yield base64.b64decode(whole + b"=" * (-len(whole) % 4))


_STANDARD_ALPHABET = bytes.maketrans(b"-_", b"+/")


def _from_percent(content: bytes) -> Iterator[tuple[int, bytes]]:
    for match in _PERCENT.finditer(content):
        if b"%" in match[0] or b"+" in match[0]:
            yield match.start(), unquote_to_bytes(match[0].replace(b"+", b" "))


def _from_escapes(content: bytes) -> Iterator[tuple[int, bytes]]:
    if _ESCAPE.search(content):
        yield 0, _ESCAPE.sub(_unescaped, content)


def _unescaped(match: re.Match[bytes]) -> bytes:
    wide, widest, byte, octal, letter = match.groups()
    if letter:
        return b"/" if letter == b"/" else b" "
    if byte or octal:
        return bytes([int(byte, 16) if byte else int(octal, 8)])
    code = int(wide or widest, 16)
    return chr(code).encode("utf-8", "surrogatepass")


def _from_utf8(content: bytes) -> Iterator[tuple[int, bytes]]:
    """Runs of digits that are not ASCII, or have separators that are not."""
    if content.isascii():
        return
    text, at, seen = content.decode("utf-8", "surrogateescape"), 0, 0
    for run in ANY_RUN.finditer(text):
        if not run[0].isascii():
            at += len(text[seen : run.start()].encode("utf-8", "surrogateescape"))
            seen = run.start()
            digits = "".join(str(unicodedata.decimal(each, " ")) for each in run[0])
            yield at, digits.encode()


def _from_utf16(content: bytes) -> Iterator[tuple[int, bytes]]:
    for match in _UTF16.finditer(content):
        yield match.start(), match[0].replace(b"\0", b"")


_DECODERS: Sequence[_Decoder] = (
    ("gzip", _inflated),
    ("base64", _from_base64),
    ("percent-encoding", _from_percent),
    ("escapes", _from_escapes),
    ("UTF-16", _from_utf16),
    ("UTF-8", _from_utf8),
)
