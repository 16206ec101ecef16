"""Finds card numbers in whatever a run left behind: text, logs, JSON, archives, Parquet.

Two kinds: PANs that are known (a canary, the PANs of an input), in any encoding; and numbers that
look like a card (Luhn, issuer prefix, 13 to 19 digits) in any form that a text can take.
"""

from __future__ import annotations

import base64
import binascii
import io
import re
import struct
import zlib
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.core.guard import KnownPans, find_pans

MAX_DEPTH = 4  # archives in archives, base64 in base64
MAX_INFLATED_BYTES = 256 * 1024 * 1024  # of one archive: a bomb stops here
MIN_ENCODED_CHARACTERS = 16  # base64 of 12 digits

_GZIP = b"\x1f\x8b\x08"
_PARQUET = b"PAR1"
_BASE64 = re.compile(rb"[A-Za-z0-9+/_-]{%d,}" % MIN_ENCODED_CHARACTERS)
_PERCENT = re.compile(rb"(?:%[0-9A-Fa-f]{2}|[0-9 +.-]){8,}")
_ESCAPE = re.compile(rb"\\u00([0-9a-fA-F]{2})|\\x([0-9a-fA-F]{2})|\\[nrt]")
_UTF16 = re.compile(rb"(?:[\x09-\x7e]\x00){8,}|(?:\x00[\x09-\x7e]){8,}")


@dataclass(frozen=True, slots=True)
class Leak:
    """A card number, by where it stands: never by its digits."""

    form: str
    offset: int
    is_known: bool


class LeakScanner:
    """Searches bytes for known PANs and, unless told otherwise, for card-like numbers."""

    def __init__(self, known: Collection[bytes] = (), *, card_like: bool = True) -> None:
        self._known = KnownPans(pa.array([pan.decode() for pan in known], pa.string()))
        self._digits = frozenset(known)
        self._card_like = card_like
        self._binary = {form: pan for pan in known for form in _binary_forms(pan)}
        self._binary_pattern = re.compile(b"|".join(map(re.escape, self._binary)) or rb"(?!)")

    def leaks_in(self, content: bytes) -> list[Leak]:
        """Every card number in the content, once for each form and place."""
        found: dict[tuple[str, int], Leak] = {}
        for form, offset, view in _views(content, "", 0, 0):
            for leak in self._leaks_in_view(form or "plain", offset, view):
                found.setdefault((leak.form, leak.offset), leak)
        return list(found.values())

    def _leaks_in_view(self, form: str, offset: int, view: bytes) -> Iterator[Leak]:
        text = view.decode("latin-1")
        for hit in find_pans(text, self._known, full=self._card_like):
            yield Leak(form, offset + hit.start, hit.digits in self._digits)
        for match in self._binary_pattern.finditer(view):
            yield Leak(f"{form}, as a binary number", offset + match.start(), is_known=True)


def decoded_views(content: bytes) -> Iterator[bytes]:
    """The content, and what it is once decoded in each way that it allows."""
    return (view for _, _, view in _views(content, "", 0, 0))


def _binary_forms(pan: bytes) -> Iterator[bytes]:
    """A PAN as a 64-bit integer or a double, of either byte order."""
    number = int(pan)
    yield struct.pack("<Q", number)
    yield struct.pack(">Q", number)
    yield struct.pack("<d", float(number))
    yield struct.pack(">d", float(number))


def _views(content: bytes, form: str, offset: int, depth: int) -> Iterator[tuple[str, int, bytes]]:
    """The content, and what it is once decoded in each way that it allows."""
    yield form, offset, content
    if depth == MAX_DEPTH:
        return
    if content.startswith(_PARQUET) and content.endswith(_PARQUET) and len(content) > len(_PARQUET):
        for name, view in _parquet_views(content):
            yield from _views(view, f"{form} {name}".strip(), offset, depth + 1)
        return
    for name, decode in _DECODERS:
        for at, view in decode(content):
            yield from _views(view, f"{form} {name}".strip(), offset + at, depth + 1)


def _inflated(content: bytes) -> Iterator[tuple[int, bytes]]:
    at = content.find(_GZIP)
    while at >= 0:
        try:
            inflater = zlib.decompressobj(zlib.MAX_WBITS | 16)
            yield at, inflater.decompress(content[at:], MAX_INFLATED_BYTES)
        except zlib.error:
            pass
        at = content.find(_GZIP, at + 1)


def _from_base64(content: bytes) -> Iterator[tuple[int, bytes]]:
    """What base64 could stand for; it may begin anywhere, so each alignment is tried."""
    for match in _BASE64.finditer(content):
        run = match[0].translate(bytes.maketrans(b"-_", b"+/"))
        for shift in range(4):
            whole = run[shift : shift + (len(run) - shift) // 4 * 4]
            try:
                decoded = base64.b64decode(whole)
            except (binascii.Error, ValueError):
                continue
            if sum(byte in _DIGITS for byte in decoded) >= 12:
                yield match.start(), decoded


_DIGITS = frozenset(b"0123456789")


def _from_percent(content: bytes) -> Iterator[tuple[int, bytes]]:
    for match in _PERCENT.finditer(content):
        if b"%" in match[0] or b"+" in match[0]:
            yield match.start(), unquote_to_bytes(match[0].replace(b"+", b" "))


def _from_escapes(content: bytes) -> Iterator[tuple[int, bytes]]:
    if not _ESCAPE.search(content):
        return
    yield 0, _ESCAPE.sub(_unescaped, content)


def _unescaped(match: re.Match[bytes]) -> bytes:
    code = match[1] or match[2]
    return bytes([int(code, 16)]) if code else b" "


def _from_utf16(content: bytes) -> Iterator[tuple[int, bytes]]:
    for match in _UTF16.finditer(content):
        yield match.start(), match[0].replace(b"\0", b"")


_DECODERS: tuple[tuple[str, Callable[[bytes], Iterator[tuple[int, bytes]]]], ...] = (
    ("gzip", _inflated),
    ("base64", _from_base64),
    ("percent-encoding", _from_percent),
    ("escapes", _from_escapes),
    ("UTF-16", _from_utf16),
)


def _parquet_views(content: bytes) -> Iterator[tuple[str, bytes]]:
    """Values, statistics, schema and footer metadata: pages are compressed, and hide them."""
    try:
        file = pq.ParquetFile(io.BytesIO(content))
        schema, metadata = file.schema_arrow, file.metadata
        yield "Parquet schema", f"{file.schema}{schema.metadata}{metadata.metadata}".encode()
        yield "Parquet statistics", "\n".join(_statistics(metadata)).encode("utf-8", "replace")
        for batch in file.iter_batches():
            for name, column in zip(schema.names, batch.columns, strict=True):
                yield f"Parquet column {schema.names.index(name) + 1}", _as_lines(column)
    except pa.ArrowInvalid:
        return


def _statistics(metadata: pq.FileMetaData) -> Iterator[str]:
    for group in range(metadata.num_row_groups):
        for at in range(metadata.num_columns):
            statistics = metadata.row_group(group).column(at).statistics
            if statistics is not None and statistics.has_min_max:
                yield f"{statistics.min}\n{statistics.max}"


def _as_lines(column: pa.Array) -> bytes:
    try:
        cells = column.cast(pa.string()).to_pylist()
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        cells = [str(cell) for cell in column.to_pylist()]
    return "\n".join(cell for cell in cells if cell is not None).encode("utf-8", "replace")
