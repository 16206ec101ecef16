"""Clearing files of Visa and Mastercard: the settings of the formats `ctf` and `ipm`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from pipeline.core.ipm_elements import IPM_COLUMNS, LENGTHS, is_ipm_column
from pipeline.core.record_formats import FixedField, RecordSettings, known_encoding

CTF_RECORD_BYTES = 168  # Visa BASE II, clearing transaction format
CTF_COMPONENTS = "0123456789ABCDEF"  # a transaction component record's sequence number

_CODE = re.compile(r"\d{2}")


def _single_byte_encoding(name: str) -> str:
    name = known_encoding(name)
    if name == "utf-8":
        raise ValueError("must be an encoding of one byte a character: latin-1 for ASCII")
    return name


class CtfField(FixedField):
    """A field of the transaction component record `tcr`; positions as in the CTF."""

    tcr: str = "0"
    """The transaction component record that it stands in: 0 to 9, A to F."""

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


class Ctf(RecordSettings):
    """Visa BASE II clearing files: CTF (168 characters) and ITF (170 bytes)."""

    type: Literal["ctf"] = "ctf"
    """Visa BASE II clearing files."""
    variant: Literal["ctf", "itf"] = "ctf"
    """`ctf`: records of 168 characters. `itf`: 170 bytes, usually EBCDIC."""
    encoding: str = ""
    """An encoding of one byte a character; latin-1, for ITF cp037, if it is not set."""
    short_lines: Literal["reject", "pad"] = "reject"
    """What becomes of a line that is too short; `pad` fills it up with spaces."""
    fields: dict[str, CtfField] = Field(default_factory=dict)  # type: ignore[assignment]
    """Columns beside those that every file has: where they stand, by their names."""
    accounts: dict[str, int] = Field(default_factory=dict)
    """Where TCR 0 of further transaction codes has its account number, by code."""
    skip: tuple[str, ...] = ()
    """Transaction codes to leave out."""
    trailer: Literal["optional", "required"] = "optional"
    """Whether a file must end with its trailer: TC 92."""

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


class Ipm(RecordSettings):
    """Mastercard IPM clearing files: ISO 8583 messages, each behind its length."""

    type: Literal["ipm"] = "ipm"
    """Mastercard IPM clearing files."""
    encoding: str = "latin-1"
    """An encoding of one byte a character: latin-1 for ASCII, cp500 or cp037 for EBCDIC."""
    blocked: bool = False
    """Whether the file is in blocks of 1,014 bytes."""
    trailer: Literal["optional", "required"] = "optional"
    """Whether a file must have a header and a trailer."""
    trailer_counts: Literal["messages", "data", "nothing"] = "messages"
    """What PDS 0306 of the trailer counts: `messages` with header and trailer, `data` without them,
    `nothing`: it is not verified."""
    elements: dict[str, str] = Field(default_factory=dict)
    """The lengths of elements that differ from the manual: `LL`, `LLL`, `16`, `16b`."""

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
