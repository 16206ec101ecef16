"""A PAN in every form that the scanner has to find it in."""

from __future__ import annotations

import base64
import gzip
import io
import json
import struct
from urllib.parse import quote, quote_plus

import pyarrow as pa
import pyarrow.parquet as pq


def planted_forms(pan: str) -> dict[str, bytes]:
    """One PAN (16 digits) in the forms that are found whether the PAN is known or not."""
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
        "base64 of nothing else": base64.b64encode(pan.encode()),
        "base64 in base64": base64.b64encode(base64.b64encode(f"a card {pan}".encode())),
        "base64 in lines": base64.encodebytes(f"{'x' * 50} card {pan} in a log".encode()),
        "gzip in base64": base64.b64encode(gzip.compress(f"a card {pan} in a log".encode())),
        "parquet in base64": base64.b64encode(sink.getvalue()),
        "url": quote(grouped).encode(),
        "form": quote_plus(grouped).encode(),
        "percent": "".join(f"%{ord(digit):02X}" for digit in pan).encode(),
        "utf-16": pan.encode("utf-16-le"),
        "gzip": gzip.compress(pan.encode()),
        "gzip inside": b"header" + gzip.compress(gzip.compress(pan.encode())),
        "gzip, damaged": gzip.compress(f"{pan} {list(range(3000))}".encode())[:-8] + b"\xff" * 8,
        "no-break spaces": grouped.replace(" ", "\u00a0").encode(),
        "dashes that are not ASCII": grouped.replace(" ", "\u2013").encode(),
        "full-width digits": "".join(chr(0xFF10 + int(digit)) for digit in pan).encode(),
        "escaped spaces that are not ASCII": json.dumps(grouped.replace(" ", "\u2009")).encode(),
        "JSON in JSON": json.dumps(json.dumps(grouped.replace(" ", "\n"))).encode(),
        "octal escapes": "".join(f"\\{ord(digit):03o}" for digit in pan).encode(),
        "escaped": json.dumps(grouped).replace(" ", "\\u0020").encode(),
        "split by line escapes": grouped.replace(" ", "\\n").encode(),
        "hexadecimal escapes": "".join(f"\\x{ord(digit):02x}" for digit in pan).encode(),
        "float": f"{float(pan)!r}".encode(),
        "scientific": f"{float(pan):.15e}".encode(),
        "parquet": sink.getvalue(),
    }


def text_forms(pan: str) -> dict[str, str]:
    """Those of the planted forms that are text."""
    forms = planted_forms(pan).items()
    return {name: form.decode() for name, form in forms if b"\xef\xbf\xbd" not in _text(form)}


def _text(form: bytes) -> bytes:
    return form.decode("utf-8", "replace").encode()


def binary_forms(pan: str) -> dict[str, bytes]:
    """The forms that are found only when the PAN is known."""
    return {
        "little-endian": b"head" + struct.pack("<Q", int(pan)) + b"tail",
        "big-endian": b"head" + struct.pack(">Q", int(pan)) + b"tail",
        "little-endian in base64": base64.b64encode(
            b"head" + struct.pack("<Q", int(pan)) + b"tail"
        ),
        "double": struct.pack("<d", float(pan)),
    }
