"""Which encoding a text is in."""

from __future__ import annotations

import codecs

from pipeline.drafting.sample import Sample

EBCDIC = "cp037"
_EBCDIC_TEXT = frozenset(
    b"\x40\x4b\x5a\x5b\x5c\x5d\x60\x61\x6b\x6d\x7a\x7d\x7f\x25\x0d\x15"  # blanks, marks, line ends
    + bytes(range(0xF0, 0xFA))
    + bytes(range(0xC1, 0xCA))
    + bytes(range(0xD1, 0xDA))
    + bytes(range(0xE2, 0xEA))
    + bytes(range(0x81, 0x8A))
    + bytes(range(0x91, 0x9A))
    + bytes(range(0xA2, 0xAA))
)
_MOST = 0.95


def decoded(sample: Sample) -> tuple[str, str] | None:
    """The sample's text, up to its last whole line, and its encoding; None if it is no text."""
    for encoding in _candidates(sample.head):
        errors = "replace" if _is_damaged_utf8(sample.head, encoding) else "strict"
        try:
            decoder = codecs.getincrementaldecoder(encoding)(errors)
            text = decoder.decode(sample.head, final=sample.is_whole)
        except UnicodeDecodeError:
            continue
        if "\0" not in text:
            return _whole_lines(text.removeprefix("\ufeff"), sample), encoding
    return None


def ebcdic_share(content: bytes) -> float:
    """Which part of the first bytes are letters, digits and blanks of EBCDIC."""
    few = content[:4096]
    return sum(byte in _EBCDIC_TEXT for byte in few) / len(few) if few else 0.0


def _is_damaged_utf8(head: bytes, encoding: str) -> bool:
    """Whether most of what is not ASCII is UTF-8: the rest are rows that will be rejected."""
    if encoding != "utf-8" or head.isascii():
        return False
    beyond = [each for each in head.decode("utf-8", "replace") if not each.isascii()]
    return 2 * beyond.count("\ufffd") < len(beyond)


def _candidates(head: bytes) -> list[str]:
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return ["utf-16"]
    if b"\0" in head[:4096]:
        is_big = head[0:4096:2].count(0) > head[1:4096:2].count(0)
        return ["utf-16-be" if is_big else "utf-16-le"]
    if ebcdic_share(head) >= _MOST:
        return [EBCDIC]
    return ["utf-8", "cp1252", "latin-1"]


def _whole_lines(text: str, sample: Sample) -> str:
    if sample.is_whole:
        return text
    cut = max(text.rfind("\n"), text.rfind("\r"))
    return text[: cut + 1] if cut >= 0 else text
