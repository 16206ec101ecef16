"""Encodings of one byte a character, EBCDIC among them.

Python lacks code page 1047, the one of z/OS. It is code page 037 with three pairs of characters
changed about: [ and Ý, ] and ¨, ^ and ¬ (IBM character data representation, CCSID 1047 and 37).
"""

from __future__ import annotations

import codecs
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

_EBCDIC_ZERO = b"\xf0"
_SWAPPED_PAIRS = ((0xAD, 0xBA), (0xBD, 0xBB), (0x5F, 0xB0))


def _characters_of_1047() -> str:
    characters = list(bytes(range(256)).decode("cp037"))
    for one, other in _SWAPPED_PAIRS:
        characters[one], characters[other] = characters[other], characters[one]
    return "".join(characters)


_DECODING = _characters_of_1047()
_ENCODING = codecs.charmap_build(_DECODING)


def _encode(text: str, errors: str = "strict", /) -> tuple[bytes, int]:
    return codecs.charmap_encode(text, errors, _ENCODING)


def _decode(data: ReadableBuffer, errors: str = "strict", /) -> tuple[str, int]:
    return codecs.charmap_decode(bytes(data), errors, _DECODING)


class _IncrementalDecoder(codecs.IncrementalDecoder):
    def decode(self, data: ReadableBuffer, _final: bool = False, /) -> str:
        return _decode(data, self.errors)[0]


def _find(name: str) -> codecs.CodecInfo | None:
    if name not in ("cp1047", "ibm1047", "ibm_1047"):
        return None
    return codecs.CodecInfo(_encode, _decode, incrementaldecoder=_IncrementalDecoder, name="cp1047")


codecs.register(_find)


def is_single_byte(encoding: str) -> bool:
    """Whether each byte is one character, whatever stands beside it."""
    try:
        text = bytes(range(256)).decode(encoding, "replace")
    except (LookupError, UnicodeError):
        return False
    return len(text) == 256 and encoding not in ("utf-8", "utf_8")


def is_ebcdic(encoding: str) -> bool:
    """Whether digits are F0 to F9, as on mainframes."""
    return is_single_byte(encoding) and "0".encode(encoding) == _EBCDIC_ZERO
