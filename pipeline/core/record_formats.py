"""Formats of records with fields in fixed places: fixed-width files, Visa CTF, Mastercard IPM."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator, Mapping
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from pipeline.core.codepages import is_single_byte
from pipeline.core.formats import Delimited, FormatSettings, Strict
from pipeline.core.ipm_elements import IPM_COLUMNS, LENGTHS, is_ipm_column

MAX_RECORD_BYTES = 1 << 20
MAX_FIELDS = 10_000
CTF_RECORD_BYTES = 168  # Visa BASE II, clearing transaction format
CTF_COMPONENTS = "0123456789ABCDEF"  # a transaction component record's sequence number

_INTEGER_BYTES = (2, 4, 8)
_CODE = re.compile(r"\d{2}")


class Place(Strict):
    """Where something stands in a record: from `start`, counted from 1, `length` characters."""

    start: int = Field(ge=1, le=MAX_RECORD_BYTES)
    length: int = Field(ge=1, le=MAX_RECORD_BYTES)

    @property
    def end(self) -> int:
        """The last character of it, counted from 1."""
        return self.start + self.length - 1


class FixedField(Place):
    """A field of a fixed-width record and how its characters become text.

    `zoned` has a digit in each byte and perhaps a sign in the last, `packed` (COMP-3) two digits in
    a byte and the sign in the last half, `bcd` two digits in a byte and no sign, `binary` (COMP) is
    a signed big-endian integer. `decimals` are implied. `digits` keeps that many digits, leading
    zeros included. `padding` fills the field up at its left and is taken away.
    """

    type: Literal["text", "zoned", "packed", "bcd", "binary"] = "text"
    decimals: int = Field(default=0, ge=0, le=18)
    digits: int | None = Field(default=None, ge=1, le=38)
    padding: str = Field(default="", max_length=1)

    @model_validator(mode="after")
    def _settings_belong_to_the_type(self) -> Self:
        if self.type == "text" and (self.decimals or self.digits):
            raise ValueError("decimals and digits need a numeric type, zoned for plain digits")
        if self.decimals and self.digits:
            raise ValueError("digits cannot be set beside decimals")
        if self.type == "binary" and self.length not in _INTEGER_BYTES:
            raise ValueError("a binary field is 2, 4 or 8 bytes long")
        if self.type in ("zoned", "packed") and self.length > 31:
            raise ValueError("a number of more than 31 bytes is none")
        return self

    @property
    def is_text(self) -> bool:
        """Whether it can stand on a line of text; the other types may hold any byte."""
        return self.type in ("text", "zoned")


class RecordType(Strict):
    """Records that have one of `values` at `start`.

    `kind` says what becomes of them: `data` records are rows, with `fields` beside or instead of
    those that all have. A `trailer` ends the file, a `section` ends a part of it; in both, `count`
    is where they state how many records of the types `counts` there were (all data records if none
    are named).
    """

    start: int = Field(default=1, ge=1, le=MAX_RECORD_BYTES)
    values: tuple[str, ...] = Field(min_length=1)
    kind: Literal["data", "header", "section", "trailer", "skip"] = "data"
    fields: dict[str, FixedField] = Field(default_factory=dict)
    count: Place | None = None
    counts: tuple[str, ...] = ()

    @field_validator("values")
    @classmethod
    def _are_alike(cls, values: tuple[str, ...]) -> tuple[str, ...]:
        if not all(values) or len({len(value) for value in values}) > 1:
            raise ValueError("must all have the same length, at least 1")
        return values

    @model_validator(mode="after")
    def _settings_belong_to_the_kind(self) -> Self:
        if self.fields and self.kind != "data":
            raise ValueError("fields belong to the kind data")
        if self.count and self.kind not in ("section", "trailer"):
            raise ValueError("count belongs to the kinds section and trailer")
        if self.counts and not self.count:
            raise ValueError("counts needs count")
        return self

    @property
    def key(self) -> Place:
        """Where the values stand."""
        return Place(start=self.start, length=len(self.values[0]))


class _Records(FormatSettings):
    """What formats have in common whose rejected rows are kept as delimited text."""

    def of_records(self, columns: tuple[str, ...]) -> Delimited:
        """Comma-delimited, quoted as needed, each cell as the reader made text of it."""
        return Delimited(
            header=False, fields=columns, null_values=self.null_values, embedded_newlines=True
        )


def _known_encoding(name: str) -> str:
    try:
        name = codecs.lookup(name).name
    except (LookupError, ValueError):
        raise ValueError("is not an encoding that Python knows") from None
    if name != "utf-8" and not is_single_byte(name):
        raise ValueError("must be utf-8 or an encoding of one byte a character")
    return name


def _single_byte_encoding(name: str) -> str:
    name = _known_encoding(name)
    if name == "utf-8":
        raise ValueError("must be an encoding of one byte a character: latin-1 for ASCII")
    return name


class Fixed(_Records):
    """Fixed-width lines, or records of a fixed length that nothing separates."""

    type: Literal["fixed"] = "fixed"
    encoding: str = "utf-8"
    record_bytes: int | None = Field(default=None, ge=1, le=MAX_RECORD_BYTES)
    line_ends: Literal["required", "optional", "none"] | None = None
    short_lines: Literal["reject", "pad"] = "reject"
    fields: dict[str, FixedField] = Field(default_factory=dict)  # type: ignore[assignment]
    types: dict[str, RecordType] = Field(default_factory=dict)

    _encoding_is_known = field_validator("encoding")(_known_encoding)

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if not self.columns:
            raise ValueError("fields must say where the columns are")
        if len(self.columns) > MAX_FIELDS:
            raise ValueError(f"more than {MAX_FIELDS} fields")
        if self.line_ends in ("optional", "none") and self.record_bytes is None:
            raise ValueError("record_bytes must be set unless every record is a line")
        self._refuse_unfit_places()
        self._refuse_unfit_types()
        return self

    @property
    def has_line_ends(self) -> bool:
        """Whether each record is a line for certain."""
        return self.record_bytes is None or self.line_ends == "required"

    @property
    def may_have_line_ends(self) -> bool:
        """Whether each record may be a line."""
        return self.has_line_ends or self.line_ends == "optional"

    def _refuse_unfit_places(self) -> None:
        places: list[Place] = [*self._all_fields(), *(each.key for each in self.types.values())]
        places += [each.count for each in self.types.values() if each.count]
        if self.record_bytes is not None and any(each.end > self.record_bytes for each in places):
            raise ValueError("a field ends behind record_bytes")
        if self.may_have_line_ends and not all(each.is_text for each in self._all_fields()):
            raise ValueError(
                "packed, bcd and binary fields need record_bytes and line_ends = 'none'"
            )

    def _refuse_unfit_types(self) -> None:
        for name, each in self.types.items():
            unknown = [other for other in each.counts if other not in self.types]
            if unknown:
                raise ValueError(f"types.{name}.counts names types that are not there")
            try:
                lengths = {len(value.encode(self.encoding)) for value in each.values}
            except UnicodeEncodeError:
                raise ValueError(f"types.{name}.values are not in the encoding") from None
            if lengths != {each.key.length}:
                raise ValueError(f"types.{name}.values must be ASCII in an encoding like utf-8")
            if each.kind == "data" and not (self.fields or each.fields):
                raise ValueError(f"types.{name} has no fields")
        if sum(each.kind == "trailer" for each in self.types.values()) > 1:
            raise ValueError("types: only one of them can be the trailer")

    def _all_fields(self) -> Iterator[FixedField]:
        yield from self.fields.values()
        for each in self.types.values():
            yield from each.fields.values()

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of the file: the fields of all its data records."""
        names = [*self.fields, *(name for each in self.types.values() for name in each.fields)]
        return tuple(dict.fromkeys(names))

    @property
    def has_data_types(self) -> bool:
        """Whether data records are told by their type; else all others are data records."""
        return any(each.kind == "data" for each in self.types.values())

    def fields_of(self, type_name: str | None) -> Mapping[str, FixedField]:
        """The fields of a data record of that type; of one without a type when None."""
        own = self.types[type_name].fields if type_name is not None else {}
        return {**self.fields, **own}

    def lacks(self, column: str) -> bool:
        """Whether the column is none of the fields."""
        return column not in self.columns


class CtfField(FixedField):
    """A field of the transaction component record `tcr`; positions as in the CTF."""

    tcr: str = "0"

    @field_validator("tcr", mode="before")
    @classmethod
    def _is_a_component(cls, unverified: object) -> str:
        text = str(unverified).upper()
        if len(text) != 1 or text not in CTF_COMPONENTS:
            raise ValueError("must be one of 0 to 9 and A to F")
        return text

    @model_validator(mode="after")
    def _is_text_within_the_record(self) -> Self:
        if not self.is_text:
            raise ValueError("fields of a CTF are text or zoned")
        if self.end > CTF_RECORD_BYTES:
            raise ValueError(f"ends behind position {CTF_RECORD_BYTES}")
        return self


def _field(start: int, end: int) -> CtfField:
    return CtfField(start=start, length=end - start + 1)


# Visa BASE II, TCR 0 of draft data (transaction codes 05 to 07, 15 to 17, 25 to 27, 35 to 37).
CTF_FIELDS: Mapping[str, CtfField] = {
    "transaction_code": _field(1, 2),
    "transaction_code_qualifier": _field(3, 3),
    "acquirer_reference_number": _field(27, 49),
    "destination_amount": _field(62, 73),
    "destination_currency": _field(74, 76),
    "source_amount": _field(77, 88),
    "source_currency": _field(89, 91),
    "merchant_category_code": _field(133, 136),
}
CTF_ACCOUNT = "account_number"
CTF_ACCOUNT_START = 5
CTF_ACCOUNT_DIGITS = 16
CTF_EXTENSION_DIGITS = 3  # behind the account number
CTF_DRAFTS = tuple(f"{tens}{ones}" for tens in "0123" for ones in "567")
CTF_CONTROL = ("90", "91", "92")  # file header, batch trailer, file trailer


class Ctf(_Records):
    """Visa BASE II clearing files: CTF (168 characters) and ITF (170 bytes)."""

    type: Literal["ctf"] = "ctf"
    variant: Literal["ctf", "itf"] = "ctf"
    encoding: str = ""
    short_lines: Literal["reject", "pad"] = "reject"
    fields: dict[str, CtfField] = Field(default_factory=dict)  # type: ignore[assignment]
    accounts: dict[str, int] = Field(default_factory=dict)
    skip: tuple[str, ...] = ()
    trailer: Literal["optional", "required"] = "optional"

    @field_validator("encoding")
    @classmethod
    def _encoding_is_known(cls, name: str) -> str:
        return _single_byte_encoding(name) if name else name

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        taken = [name for name in self.fields if name in (CTF_ACCOUNT, *_CTF_COLUMNS_OF_RECORDS)]
        if taken:
            raise ValueError("fields cannot have the name of a column that is there already")
        codes = [*self.accounts, *self.skip]
        if not all(_CODE.fullmatch(code) for code in codes):
            raise ValueError("accounts and skip name transaction codes of two digits")
        if any(code in CTF_CONTROL for code in codes):
            raise ValueError(f"{', '.join(CTF_CONTROL)} are headers and trailers")
        last = CTF_RECORD_BYTES - CTF_ACCOUNT_DIGITS - CTF_EXTENSION_DIGITS + 1
        if not all(CTF_ACCOUNT_START <= start <= last for start in self.accounts.values()):
            raise ValueError(f"accounts must begin at {CTF_ACCOUNT_START} to {last}")
        return self

    @property
    def codec(self) -> str:
        """The encoding; unless it is set, that which the variant usually has."""
        return self.encoding or ("cp037" if self.variant == "itf" else "iso8859-1")

    @property
    def record_bytes(self) -> int:
        """The length of a record."""
        return CTF_RECORD_BYTES + (2 if self.variant == "itf" else 0)

    @property
    def account_starts(self) -> Mapping[str, int]:
        """Where the account number begins in TCR 0, by transaction code."""
        return {**dict.fromkeys(CTF_DRAFTS, CTF_ACCOUNT_START), **self.accounts}

    @property
    def all_fields(self) -> Mapping[str, CtfField]:
        """The fields that every CTF has, and the layout's own."""
        return {**CTF_FIELDS, **self.fields}

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns: account number, fields, and each component record as a whole."""
        return (CTF_ACCOUNT, *self.all_fields, *_CTF_COLUMNS_OF_RECORDS)

    def lacks(self, column: str) -> bool:
        """Whether the column is none of them."""
        return column not in self.columns


_CTF_COLUMNS_OF_RECORDS = tuple(f"tcr{component}" for component in CTF_COMPONENTS)


class Ipm(_Records):
    """Mastercard IPM clearing files: ISO 8583 messages, each behind its length."""

    type: Literal["ipm"] = "ipm"
    encoding: str = "latin-1"
    blocked: bool = False
    trailer: Literal["optional", "required"] = "optional"
    trailer_counts: Literal["messages", "data", "nothing"] = "messages"
    elements: dict[str, str] = Field(default_factory=dict)

    _encoding_is_known = field_validator("encoding")(_single_byte_encoding)

    @field_validator("elements")
    @classmethod
    def _have_lengths(cls, elements: dict[str, str]) -> dict[str, str]:
        for name, length in elements.items():
            if not re.fullmatch(r"DE([2-9]|[1-9]\d|1[01]\d|12[0-8])", name) or name == "DE65":
                raise ValueError("must be named DE2 to DE128")
            if not LENGTHS.fullmatch(length):
                raise ValueError(
                    "must be LL, LLL or a number of bytes, with b behind it for binary"
                )
        return elements

    @property
    def columns(self) -> tuple[str, ...]:
        """Type and elements of a message, in order; layouts may name `PDS…` and `TAG…` besides."""
        elements = {*IPM_COLUMNS[1:], *self.elements}
        return (IPM_COLUMNS[0], *sorted(elements, key=lambda name: int(name[2:])))

    def lacks(self, column: str) -> bool:
        """Whether the column is no element, private data subelement or chip data tag."""
        return column not in self.columns and not is_ipm_column(column)
