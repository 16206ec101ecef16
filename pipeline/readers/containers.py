"""Files that no layout reads, recognised by how they begin."""

from __future__ import annotations

import re

from pipeline.errors import PermanentError

BEGINNING_BYTES = 32
_BINARY = rb"[^ -~\t\r\n]"  # so that a column called PAR1 or ORC is none of these
_KINDS = {
    "a gzip archive": re.compile(rb"\x1f\x8b"),
    "a bzip2 archive": re.compile(rb"BZh\d1AY&SY"),
    "an xz archive": re.compile(rb"\xfd7zXZ\x00"),
    "a zstd archive": re.compile(rb"\x28\xb5\x2f\xfd"),
    "a zip archive or an Office document": re.compile(rb"PK(?:\x03\x04|\x05\x06|\x07\x08)"),
    "a 7-Zip archive": re.compile(rb"7z\xbc\xaf\x27\x1c"),
    "a RAR archive": re.compile(rb"Rar!\x1a"),
    "a Parquet file": re.compile(rb"PAR1" + _BINARY),
    "an ORC file": re.compile(rb"ORC" + _BINARY),
    "an Avro file": re.compile(rb"Obj\x01"),
    "a PDF document": re.compile(rb"%PDF-\d"),
    "an old Office document": re.compile(rb"\xd0\xcf\x11\xe0"),
    "encrypted or signed": re.compile(rb"-----BEGIN PGP "),
    "a database": re.compile(rb"SQLite format 3\x00"),
}


def refuse_other_formats(beginning: bytes) -> None:
    """Raises `PermanentError` `unsupported_format` for what is no text of records.

    Nothing is unpacked to find out: an archive, whatever it would grow to, is refused as it is.
    """
    for kind, magic in _KINDS.items():
        if magic.match(beginning):
            raise PermanentError("unsupported_format", f"the file is {kind}: upload what is in it")
