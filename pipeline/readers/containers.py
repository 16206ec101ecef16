"""What kind of file it is, by how it begins."""

from __future__ import annotations

import re

from pipeline.errors import PermanentError

BEGINNING_BYTES = 4096
_BINARY = rb"[^ -~\t\r\n]"  # so that a column called PAR1 or ORC is none of these
# RFC 9580, 4.2 and 5.1 to 5.3: a packet that holds a session key, encrypted to a key or a
# password; length, then version and algorithm, so that text in EBCDIC is none of these.
_PGP_LENGTH = rb"(?:[\x00-\xbf]|[\xc0-\xdf].|\xff....)"
_PGP = (
    rb"(?:\xc1" + _PGP_LENGTH + rb"|\x84.|\x85..|\x86....)(?:\x03.{8}[\x01-\x03\x10-\x1c]|\x06)"
    rb"|(?:\xc3" + _PGP_LENGTH + rb"|\x8c.|\x8d..|\x8e....)[\x04-\x06][\x01-\x0d]"
)
CONTAINERS = {
    "gzip": re.compile(rb"\x1f\x8b"),
    "bzip2": re.compile(rb"BZh\d(?:1AY&SY|\x17rE8P\x90)"),
    "xz": re.compile(rb"\xfd7zXZ\x00"),
    "zstd": re.compile(rb"\x28\xb5\x2f\xfd|[\x50-\x5f]\x2a\x4d\x18"),
    "zip": re.compile(rb"PK(?:\x03\x04|\x05\x06|\x07\x08)"),
    "pgp": re.compile(rb"\s*-----BEGIN PGP MESSAGE-----|" + _PGP, re.DOTALL),
}
_FORMATS = {
    "parquet": re.compile(rb"PAR1" + _BINARY),
    "orc": re.compile(rb"ORC" + _BINARY),
    "avro": re.compile(rb"Obj\x01"),
}
_REFUSED = {
    "a 7-Zip archive": re.compile(rb"7z\xbc\xaf\x27\x1c"),
    "a RAR archive": re.compile(rb"Rar!\x1a"),
    "an encrypted Parquet file": re.compile(rb"PARE" + _BINARY),
    "a PDF document": re.compile(rb"%PDF-\d"),
    "an old or encrypted Office document": re.compile(rb"\xd0\xcf\x11\xe0"),
    "PGP data, but no encrypted message": re.compile(rb"\s*-----BEGIN PGP "),
    "a database": re.compile(rb"SQLite format 3\x00"),
}


def container_kind(beginning: bytes) -> str | None:
    """What the file is packed in, None for one that is not."""
    return next((kind for kind, magic in CONTAINERS.items() if magic.match(beginning)), None)


def refuse_other_formats(beginning: bytes, format_type: str) -> None:
    """Raises `PermanentError` `unsupported_format` for what cannot be a file of that format."""
    for kind, magic in _REFUSED.items():
        if magic.match(beginning):
            raise PermanentError("unsupported_format", f"the file is {kind}: upload what is in it")
    for kind, magic in _FORMATS.items():
        if kind != format_type and magic.match(beginning):
            raise PermanentError(
                "unsupported_format", f"the file is in the format {kind}, its layout is not"
            )
