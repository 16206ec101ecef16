"""Clearing files of the card schemes: Visa BASE II (CTF, ITF) and Mastercard IPM."""

from __future__ import annotations

import codecs
import re
from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.core.known_formats import FORMATS
from pipeline.drafting.encodings import EBCDIC
from pipeline.drafting.reading import cells_by_reader
from pipeline.drafting.sample import Proposal, Sample

CTF_BYTES = 168  # Visa BASE II: the length of a transaction component record
ITF_BYTES = 170  # the same in EBCDIC, with two bytes more
IPM_BLOCK_BYTES = 1014  # 1,012 of data, two of padding
IPM_PADDING = b"\x40\x40"
MAX_MESSAGE_BYTES = 10_000
PAN_COLUMNS = frozenset({"account_number", "DE2"})  # of CTF and IPM, whatever they hold

_TRANSACTION = re.compile(r"[0-9]{2}[0-9 ][0-9A-F]")  # code, qualifier, component
_ITF_TRANSACTION = re.compile(r"[0-9]{2}")
_MESSAGE_TYPE = re.compile(r"1[0-8][0-9]{2}")  # ISO 8583:1993


def detect_ctf(sample: Sample) -> Proposal | None:
    """Records of 168 characters, each a line or not, that begin with a transaction code."""
    settings = ctf_settings(sample.head)
    return _proposal(sample, settings) if settings else None


def ctf_settings(head: bytes) -> dict[str, object] | None:
    """How to read the file, if it is one."""
    lines = re.split(rb"\r\n|\n|\r", head)[:50] if b"\n" in head[:200] else []
    records = [line for line in lines[:-1] if line] or _pieces(head, CTF_BYTES)
    if _are_all(records, CTF_BYTES, _TRANSACTION, "ascii"):
        return {"type": "ctf"}
    if _are_all(_pieces(head, ITF_BYTES), ITF_BYTES, _ITF_TRANSACTION, EBCDIC):
        return {"type": "ctf", "variant": "itf"}
    return None


def _pieces(head: bytes, size: int) -> list[bytes]:
    return [head[at : at + size] for at in range(0, min(len(head) - size + 1, 50 * size), size)]


def _are_all(records: list[bytes], size: int, pattern: re.Pattern[str], encoding: str) -> bool:
    texts = [record.decode(encoding, "replace") for record in records]
    return bool(texts) and all(
        len(text) == size and pattern.match(text) is not None for text in texts
    )


def detect_ipm(sample: Sample) -> Proposal | None:
    """Messages behind their length of four bytes, the first of them with its type in front."""
    settings = ipm_settings(sample.head)
    return _proposal(sample, settings) if settings else None


def ipm_settings(head: bytes) -> dict[str, object] | None:
    """How to read the file, if it is one."""
    is_blocked = head[IPM_BLOCK_BYTES - 2 : IPM_BLOCK_BYTES] == IPM_PADDING
    length = int.from_bytes(head[:4], "big")
    if not 20 <= length <= MAX_MESSAGE_BYTES:
        return None
    for encoding in ("latin-1", EBCDIC):
        if _MESSAGE_TYPE.fullmatch(codecs.decode(head[4:8], encoding)):
            return {"type": "ipm", "encoding": encoding} | ({"blocked": True} if is_blocked else {})
    return None


def _proposal(sample: Sample, settings: Mapping[str, object]) -> Proposal | None:
    """The columns that are filled, of those that every file of the format has."""
    model: Any = FORMATS[str(settings["type"])].model_validate(settings)
    cells = cells_by_reader(sample.from_start(), settings, {}, list(model.columns))
    if cells is None:
        return None
    filled = [
        name
        for name, column in zip(cells.schema.names, cells.columns, strict=True)
        if pc.any(pc.not_equal(column, "")).as_py()
    ]
    arrays = [cells.column(name) for name in filled]
    note = "columns that are empty in the sample are left out"
    columns = pa.RecordBatch.from_arrays(arrays, names=filled)
    return Proposal(settings, columns, notes=(note,), pans=PAN_COLUMNS)
