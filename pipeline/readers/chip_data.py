"""Chip data of card payments: BER-TLV (EMV 4.3 book 3, annex B), without what may not be kept."""

from __future__ import annotations

from pipeline.core.ipm_elements import ACCOUNT_TAG, SENSITIVE_TAGS

_CONSTRUCTED = 0x20
_MORE = 0x1F
MAX_DEPTH = 8


class MalformedChipDataError(Exception):
    """Chip data that is not to be parsed; it does not say what stood there."""


def chip_tags(data: bytes, depth: int = 0) -> list[tuple[str, bytes]]:
    """Tags (upper-case hexadecimal) and values, those inside of templates by themselves.

    Full tracks are left out (PCI DSS 3.3.1). Raises `MalformedChipDataError`.
    """
    tags: list[tuple[str, bytes]] = []
    at = 0
    while at < len(data):
        if data[at] == 0:  # padding between tags
            at += 1
            continue
        tag, is_constructed, at = _tag(data, at)
        length, at = _length(data, at)
        value, at = data[at : at + length], at + length
        if at > len(data) or depth > MAX_DEPTH:
            raise MalformedChipDataError
        if is_constructed:
            tags += chip_tags(value, depth + 1)
        elif tag not in SENSITIVE_TAGS:
            tags.append((tag, value))
    return tags


def chip_text(tags: list[tuple[str, bytes]]) -> str:
    """The tags, each with its length and value, as hexadecimal digits.

    Spaces set the card number off, whose tag and length would hide it among their digits.
    """
    return "".join(
        f"{tag}{_length_text(len(value))}{_value_text(tag, value)}" for tag, value in tags
    )


def _value_text(tag: str, value: bytes) -> str:
    text = value.hex().upper()
    return f" {text} " if tag == ACCOUNT_TAG else text


def _tag(data: bytes, at: int) -> tuple[str, bool, int]:
    start, first = at, data[at]
    at += 1
    if first & _MORE == _MORE:
        while at < len(data) and data[at] & 0x80:
            at += 1
        at += 1
    return data[start:at].hex().upper(), bool(first & _CONSTRUCTED), at


def _length(data: bytes, at: int) -> tuple[int, int]:
    if at >= len(data):
        raise MalformedChipDataError
    first = data[at]
    if first < 0x80:
        return first, at + 1
    more = first & 0x7F
    if not 1 <= more <= 2 or at + 1 + more > len(data):
        raise MalformedChipDataError
    return int.from_bytes(data[at + 1 : at + 1 + more], "big"), at + 1 + more


def _length_text(length: int) -> str:
    return f"{length:02X}" if length < 0x80 else f"82{length:04X}"
