"""Fields of fixed-length records as Arrow text, a whole column at once."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.core.codepages import is_ebcdic
from pipeline.core.record_formats import FixedField
from pipeline.readers.undecodable import MARK, UNDECODABLE

BLANK = " \0"  # spaces and low values: what stands around text, and alone where there is none

_NOT_ASCII = 0x80
_WIDE = "utf-32-le"
_INTEGERS = {2: pa.int16(), 4: pa.int32(), 8: pa.int64()}
_INTEGER_DIGITS = 20
# The last digit of a zoned number and its sign, as mainframes and ASCII machines write them.
_SIGNED_DIGITS = pa.array(list("0123456789{ABCDEFGHI}JKLMNOPQRpqrstuvwxy"), pa.string())
_DIGIT_OF = pa.array(list("0123456789" * 4), pa.string())
_NEGATIVE = pa.array(list("}JKLMNOPQRpqrstuvwxy"), pa.string())
_SIGNS = pa.array(["+", "-"], pa.string())
_MINUS_NIBBLES = pa.array(["b", "d"], pa.string())
_SIGN_NIBBLES = pa.array(list("abcdef"), pa.string())


@dataclass(frozen=True, slots=True)
class Cells:
    """A column of text (`string`, no nulls) and which cells (`bool`) could not be read.

    None says that all could. Numbers that could not are their bytes, `X'…'`; in text, each byte
    that the encoding does not know is marked.
    """

    text: pa.Array = field(repr=False)
    wrong: pa.Array | None = None

    def take(self, places: pa.Array) -> Cells:
        """The cells at these places."""
        return Cells(
            self.text.take(places), None if self.wrong is None else self.wrong.take(places)
        )


@dataclass(frozen=True)
class RecordCodec:
    """Makes text of fields in one encoding.

    With `is_wide`, records are UTF-32 and positions count characters, not bytes.
    """

    encoding: str
    is_wide: bool = False

    @property
    def unit_bytes(self) -> int:
        """Bytes of a position."""
        return 4 if self.is_wide else 1

    @property
    def blank(self) -> bytes:
        """A space."""
        return self.encoded(" ")

    def encoded(self, text: str) -> bytes:
        """The text as it stands in a record."""
        return text.encode(_WIDE if self.is_wide else self.encoding)

    def column(self, records: pa.FixedSizeBinaryArray, start: int, end: int) -> pa.Array:
        """The bytes at positions `start` (from 1) to `end` of each record, `fixed_size_binary`."""
        unit = self.unit_bytes
        return pc.binary_slice(records, (start - 1) * unit, end * unit)

    def read(self, records: pa.FixedSizeBinaryArray, place: FixedField) -> Cells:
        """A field of all records."""
        raw = self.column(records, place.start, place.end)
        match place.type:
            case "text":
                cells = self.text(raw)
            case "zoned":
                cells = self._zoned(raw, place)
            case "packed":
                cells = _packed(raw, place)
            case "bcd":
                cells = _bcd(raw)
            case _:
                cells = _binary(raw, place)
        if place.padding:
            cells = Cells(pc.utf8_ltrim(cells.text, place.padding), cells.wrong)
        return cells

    def text(self, raw: pa.Array) -> Cells:
        """Text without the blanks around it, of `fixed_size_binary` fields."""
        cells = self._untrimmed(raw)
        return Cells(pc.utf8_trim(cells.text, BLANK), cells.wrong)

    def _untrimmed(self, raw: pa.Array) -> Cells:
        content, width = bytes_of(raw), raw.type.byte_width
        plain = content.translate(self._to_ascii) if not self.is_wide else b"\x80"
        if plain.isascii():
            return Cells(fixed_size(plain, width).cast(pa.string()))
        if self.encoding == "utf-8" and not self.is_wide:
            return self._each_decoded(raw.to_pylist())
        characters = width // self.unit_bytes
        text = content.decode(_WIDE if self.is_wide else self.encoding, MARK)
        return _marked([text[at : at + characters] for at in range(0, len(text), characters)])

    def of_any_length(self, cells: list[bytes]) -> Cells:
        """Text of fields that are not all as long, as it stands."""
        raw = pa.array(cells, pa.binary())
        _, offsets, content = raw.buffers()
        plain = (content.to_pybytes() if content else b"").translate(self._to_ascii)
        if plain.isascii():
            return Cells(pa.StringArray.from_buffers(len(raw), offsets, pa.py_buffer(plain)))
        return self._each_decoded(cells)

    def _each_decoded(self, cells: list[bytes]) -> Cells:
        return _marked([cell.decode(self.encoding, MARK) for cell in cells])

    @cached_property
    def _to_ascii(self) -> bytes:
        """Each byte's ASCII character; something else for what has none."""
        if self.encoding == "utf-8":
            return bytes(range(256))
        text = bytes(range(256)).decode(self.encoding, "replace")
        return bytes(ord(each) if each.isascii() else _NOT_ASCII for each in text)

    @cached_property
    def _to_zoned(self) -> bytes:
        """Like `_to_ascii`, signed digits of EBCDIC taken by their halves, whatever the page."""
        table = bytearray(self._to_ascii)
        if is_ebcdic(self.encoding):
            table[0xC0:0xCA] = b"{ABCDEFGHI"
            table[0xD0:0xDA] = b"}JKLMNOPQR"
        return bytes(each if each < _NOT_ASCII else ord("?") for each in table)

    def _zoned(self, raw: pa.Array, place: FixedField) -> Cells:
        if self.is_wide:
            text = self._untrimmed(raw).text
        else:
            plain = bytes_of(raw).translate(self._to_zoned)
            text = fixed_size(plain, raw.type.byte_width).cast(pa.string())
        cells = pc.ascii_trim(text, BLANK)
        first = pc.utf8_slice_codeunits(cells, 0, 1)
        last = pc.utf8_slice_codeunits(cells, start=-1)
        head = pc.utf8_slice_codeunits(cells, 0, stop=-1)
        is_signed_behind = pc.is_in(last, value_set=_SIGNS)
        is_signed_before = pc.is_in(first, value_set=_SIGNS)
        last_digit = _DIGIT_OF.take(pc.index_in(last, value_set=_SIGNED_DIGITS))
        digits = pc.if_else(
            is_signed_behind, head, pc.binary_join_element_wise(head, last_digit, "")
        )
        digits = pc.if_else(is_signed_before, pc.utf8_slice_codeunits(digits, 1), digits)
        is_negative = pc.or_(
            pc.is_in(last, value_set=_NEGATIVE),
            pc.or_(
                pc.and_(is_signed_before, pc.equal(first, "-")),
                pc.and_(is_signed_behind, pc.equal(last, "-")),
            ),
        )
        is_right = pc.and_(
            pc.is_valid(digits),
            pc.and_(
                pc.ascii_is_decimal(pc.fill_null(digits, "")),
                pc.invert(pc.and_(is_signed_before, is_signed_behind)),
            ),
        )
        digits = pc.ascii_lpad(pc.fill_null(digits, ""), place.length, "0")
        is_blank = pc.equal(cells, "")
        return _number(digits, place.length, is_negative, is_right, is_blank, place, raw)


def _packed(raw: pa.Array, place: FixedField) -> Cells:
    width = 2 * place.length
    halves = fixed_size(bytes_of(raw).hex().encode(), width)
    digits = pc.binary_slice(halves, 0, width - 1).cast(pa.string())
    sign = pc.binary_slice(halves, width - 1, width).cast(pa.string())
    is_right = pc.and_(pc.ascii_is_decimal(digits), pc.is_in(sign, value_set=_SIGN_NIBBLES))
    is_blank = _is_filled(raw, place.length, b"\x40", b"\x20", b"\x00")
    is_negative = pc.is_in(sign, value_set=_MINUS_NIBBLES)
    return _number(digits, width - 1, is_negative, is_right, is_blank, place, raw)


def _bcd(raw: pa.Array) -> Cells:
    width = 2 * raw.type.byte_width
    digits = pc.ascii_trim(fixed_size(bytes_of(raw).hex().encode(), width).cast(pa.string()), "f")
    is_right = pc.or_(pc.ascii_is_decimal(digits), pc.equal(digits, ""))
    return _checked(digits, is_right, raw)


def _binary(raw: pa.Array, place: FixedField) -> Cells:
    width = raw.type.byte_width
    backwards = pa.py_buffer(bytes_of(raw)[::-1])
    numbers = pa.Array.from_buffers(_INTEGERS[width], len(raw), [None, backwards])
    numbers = numbers.take(pa.array(range(len(raw) - 1, -1, -1), pa.int64()))
    text = numbers.cast(pa.string())
    digits = pc.ascii_lpad(pc.ascii_ltrim(text, "-"), _INTEGER_DIGITS, "0")
    is_right = pc.is_valid(digits)
    none = pc.invert(is_right)
    return _number(digits, _INTEGER_DIGITS, pc.less(numbers, 0), is_right, none, place, raw)


def _number(
    digits: pa.Array,
    width: int,
    is_negative: pa.Array,
    is_right: pa.Array,
    is_blank: pa.Array,
    place: FixedField,
    raw: pa.Array,
) -> Cells:
    """Text of numbers from `width` digits each: sign, digits, decimals behind a point."""
    if width <= place.decimals:
        digits, width = pc.ascii_lpad(digits, place.decimals + 1, "0"), place.decimals + 1
    point = width - place.decimals
    whole = pc.utf8_slice_codeunits(digits, 0, point)
    if place.digits:
        excess = max(point - place.digits, 0)
        is_right = pc.and_(
            is_right, pc.equal(pc.ascii_ltrim(pc.utf8_slice_codeunits(digits, 0, excess), "0"), "")
        )
        whole = pc.ascii_lpad(pc.utf8_slice_codeunits(digits, excess), place.digits, "0")
    else:
        whole = pc.ascii_ltrim(whole, "0")
        whole = pc.if_else(pc.equal(whole, ""), "0", whole)
    parts = [pc.if_else(is_negative, "-", ""), whole]
    if place.decimals:
        parts += [pa.scalar("."), pc.utf8_slice_codeunits(digits, point)]
    text = pc.binary_join_element_wise(*parts, "")
    text = pc.if_else(is_blank, "", text)
    return _checked(text, pc.or_(is_right, is_blank), raw)


def _checked(text: pa.Array, is_right: pa.Array, raw: pa.Array) -> Cells:
    if pc.all(is_right, min_count=0).as_py():
        return Cells(text)
    wrong = pc.invert(is_right)
    shown = [f"X'{cell.hex().upper()}'" for cell in raw.filter(wrong).to_pylist()]
    return Cells(pc.replace_with_mask(text, wrong, pa.array(shown, pa.string())), wrong)


def _marked(texts: list[str]) -> Cells:
    cells = pa.array(texts, pa.string())
    wrong = pc.match_substring(cells, UNDECODABLE)
    return Cells(cells, wrong if pc.any(wrong, min_count=0).as_py() else None)


def _is_filled(raw: pa.Array, length: int, *fillings: bytes) -> pa.Array:
    filled = pa.array([each * length for each in fillings], raw.type)
    return pc.is_in(raw, value_set=filled)


def bytes_of(raw: pa.Array) -> bytes:
    """The bytes of a `fixed_size_binary` array, one cell behind the other."""
    width = raw.type.byte_width
    content: bytes = raw.buffers()[1].to_pybytes() if len(raw) else b""
    return content[raw.offset * width : (raw.offset + len(raw)) * width]


def fixed_size(content: bytes, width: int) -> pa.FixedSizeBinaryArray:
    """Consecutive cells of `width` bytes, without a copy."""
    count = len(content) // width
    return pa.FixedSizeBinaryArray.from_buffers(
        pa.binary(width), count, [None, pa.py_buffer(content)]
    )
