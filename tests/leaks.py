"""Finds known PANs in whatever a run left behind, in every form that they could take there."""

from __future__ import annotations

import base64
import gzip
import io
import re
import zlib
from collections.abc import Iterable, Iterator
from urllib.parse import quote, quote_plus

import pyarrow as pa
import pyarrow.parquet as pq

_GZIP_MAGIC = b"\x1f\x8b\x08"
_PARQUET_MAGIC = b"PAR1"


class LeakScanner:
    """Searches bytes for a set of PANs: plain, grouped, base64, URL-encoded, UTF-16, compressed."""

    def __init__(self, pans: Iterable[str]) -> None:
        self._pans = sorted(set(pans))
        plain = [pan.encode() for pan in self._pans]
        forms = [
            *plain,
            *(pan.encode("utf-16-le") for pan in self._pans),
            *(form for pan in plain for form in _base64_cores(pan)),
            *("".join(f"%{byte:02X}" for byte in pan).encode() for pan in plain),
        ]
        self._plain = re.compile(b"|".join(map(re.escape, forms)))
        self._known = frozenset(self._pans)
        self._run = re.compile(rb"\d(?:(?:[ \-.'_/+]|%20|%2D|\\u00a0|\xc2\xa0){0,2}\d){11,}")

    def leaks_in(self, content: bytes) -> list[str]:
        """How each PAN that is in the content stands there; never the PAN itself."""
        return [leak for name, view in _views(content) for leak in self._leaks_in_view(name, view)]

    def _leaks_in_view(self, name: str, view: bytes) -> Iterator[str]:
        for match in self._plain.finditer(view):
            yield f"{name}: a PAN at byte {match.start()}"
        for match in self._run.finditer(view):
            digits = re.sub(rb"%20|%2D|\\u00a0|\D", b"", match[0]).decode()
            if any(pan in digits for pan in self._known) and not self._plain.search(match[0]):
                yield f"{name}: a PAN with separators at byte {match.start()}"


def _base64_cores(pan: bytes) -> Iterator[bytes]:
    """What base64 makes of a PAN at each of the three alignments, less the edges."""
    for shift in range(3):
        encoded = base64.b64encode(b"\0" * shift + pan)
        start = -(-shift * 8 // 6)
        yield encoded[start : (shift + len(pan)) * 8 // 6]


def _views(content: bytes) -> Iterator[tuple[str, bytes]]:
    yield "bytes", content
    for at in _positions(content, _GZIP_MAGIC):
        inflated = _inflated(content[at:])
        if inflated:
            yield from ((f"gzip {name}", view) for name, view in _views(inflated))
    if content.startswith(_PARQUET_MAGIC) and content.endswith(_PARQUET_MAGIC):
        yield from _parquet_views(content)


def _positions(content: bytes, magic: bytes) -> Iterator[int]:
    at = content.find(magic)
    while at >= 0:
        yield at
        at = content.find(magic, at + 1)


def _inflated(content: bytes) -> bytes:
    try:
        return zlib.decompressobj(zlib.MAX_WBITS | 16).decompress(content)
    except zlib.error:
        return b""


def _parquet_views(content: bytes) -> Iterator[tuple[str, bytes]]:
    """Values, statistics and footer metadata: pages are compressed and hide them from a search."""
    file = pq.ParquetFile(io.BytesIO(content))
    for column in file.read().columns:
        values = column.cast(pa.string()).to_pylist()
        yield "parquet values", "\n".join(value or "" for value in values).encode()
    yield "parquet schema", str(file.schema).encode()
    yield "parquet metadata", repr(file.metadata.metadata).encode()
    for group in range(file.metadata.num_row_groups):
        for at in range(file.metadata.num_columns):
            statistics = file.metadata.row_group(group).column(at).statistics
            if statistics is not None and statistics.has_min_max:
                yield "parquet statistics", f"{statistics.min}\n{statistics.max}".encode()


def planted_forms(pan: str) -> dict[str, bytes]:
    """One PAN in every form that the scanner has to find."""
    grouped = " ".join(pan[at : at + 4] for at in range(0, len(pan), 4))
    table = pa.table({"note": [f"card {pan}"], "number": [int(pan)]})
    sink = io.BytesIO()
    pq.write_table(table, sink, compression="zstd")
    return {
        "plain": f"x{pan}x".encode(),
        "grouped": grouped.encode(),
        "dashed": grouped.replace(" ", "-").encode(),
        "base64": base64.b64encode(f"a card {pan} in a log".encode()),
        "base64 shifted": base64.b64encode(f"ab card {pan} in a log".encode()),
        "base64 shifted twice": base64.b64encode(f"abc card {pan} in a log".encode()),
        "url": quote(grouped).encode(),
        "form": quote_plus(grouped).encode(),
        "percent": "".join(f"%{ord(digit):02X}" for digit in pan).encode(),
        "utf-16": pan.encode("utf-16-le"),
        "gzip": gzip.compress(pan.encode()),
        "gzip inside": b"header" + gzip.compress(gzip.compress(pan.encode())),
        "parquet": sink.getvalue(),
    }
