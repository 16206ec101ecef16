"""Fixed-width lines and fixed-length records: the settings of the format `fixed`."""

from __future__ import annotations

import codecs
from collections.abc import Iterator, Mapping
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from pipeline.core.codepages import is_single_byte
from pipeline.core.formats import Delimited, FormatSettings
from pipeline.core.strict import Strict

MAX_RECORD_BYTES = 1 << 20
MAX_FIELDS = 10_000

_INTEGER_BYTES = (2, 4, 8)


class Place(Strict):
    """Where something stands in a record: from `start`, counted from 1, `length` characters."""

    start: int = Field(ge=1, le=MAX_RECORD_BYTES)
    """The first position, counted from 1."""
    length: int = Field(ge=1, le=MAX_RECORD_BYTES)
    """How many positions; bytes for numbers."""

    @property
    def end(self) -> int:
        """The last character of it, counted from 1."""
        return self.start + self.length - 1


class FixedField(Place):
    """A field of a fixed-width record and how its characters become text."""

    type: Literal["text", "zoned", "packed", "bcd", "binary"] = "text"
    """`zoned`: digits, perhaps with a sign (DISPLAY). `packed`: two digits a byte and a
    sign (COMP-3). `bcd`: two digits a byte. `binary`: a big-endian integer (COMP)."""
    decimals: int = Field(default=0, ge=0, le=18)
    """Implied decimals of a number: 12345 with 2 is 123.45."""
    digits: int | None = Field(default=None, ge=1, le=38)
    """How many digits of a number are kept, leading zeros included."""
    padding: str = Field(default="", max_length=1)
    """A character that fills the field up at the left, and is taken away."""

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


class FixedType(Strict):
    """Records that have one of `values` at `start`."""

    start: int = Field(default=1, ge=1, le=MAX_RECORD_BYTES)
    """Where the values stand, counted from 1."""
    values: tuple[str, ...] = Field(min_length=1)
    """What records of this type have there, all of one length."""
    kind: Literal["data", "header", "section", "trailer", "skip"] = "data"
    """`data`: rows. `header`, `skip`: left out. `section`: ends a part of the file. `trailer`: ends
    the file."""
    fields: dict[str, FixedField] = Field(default_factory=dict)
    """Of data: its fields, beside or instead of those that all records have."""
    count: Place | None = None
    """Of a section or trailer: where it states the number of records."""
    counts: tuple[str, ...] = ()
    """The types that are counted: all data records if it is empty."""

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


class RecordSettings(FormatSettings):
    """What formats have in common whose rejected rows are kept as delimited text."""

    def of_records(self, columns: tuple[str, ...]) -> Delimited:
        """Comma-delimited, quoted as needed, each cell as the reader made text of it."""
        return Delimited(
            header=False, fields=columns, null_values=self.null_values, embedded_newlines=True
        )


def known_encoding(name: str) -> str:
    """Python's name of the encoding; raises `ValueError` when records cannot be in it."""
    try:
        name = codecs.lookup(name).name
    except (LookupError, ValueError):
        raise ValueError("is not an encoding that Python knows") from None
    if name != "utf-8" and not is_single_byte(name):
        raise ValueError("must be utf-8 or an encoding of one byte a character")
    return name


class Fixed(RecordSettings):
    """Fixed-width lines, or records of a fixed length that nothing separates."""

    type: Literal["fixed"] = "fixed"
    """Fixed-width lines, or records of a fixed length."""
    encoding: str = "utf-8"
    """`utf-8`, or any encoding of one byte a character: `latin-1`, `cp037`."""
    record_bytes: int | None = Field(default=None, ge=1, le=MAX_RECORD_BYTES)
    """The length of a record; without it, each record is a line."""
    line_ends: Literal["required", "optional", "none"] | None = None
    """With `record_bytes`: whether each record is a line; `optional` is looked up in each file."""
    length_prefix: Literal["none", "rdw"] = "none"
    """`rdw`: records of variable length, each behind a record descriptor word (RECFM=V)."""
    short_lines: Literal["reject", "pad"] = "reject"
    """What becomes of a line that ends before its last field; `pad` fills it up with spaces."""
    fields: dict[str, FixedField] = Field(default_factory=dict)  # type: ignore[assignment]
    """Where the columns are, by their names."""
    types: dict[str, FixedType] = Field(default_factory=dict)
    """Record types, tried in their order; without any, all records are data."""

    _encoding_is_known = field_validator("encoding")(known_encoding)

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if not self.columns:
            raise ValueError("fields must say where the columns are")
        if len(self.columns) > MAX_FIELDS:
            raise ValueError(f"more than {MAX_FIELDS} fields")
        if self.line_ends in ("optional", "none") and self.record_bytes is None:
            raise ValueError("record_bytes must be set unless every record is a line")
        if self.is_prefixed and (self.record_bytes is not None or self.line_ends is not None):
            raise ValueError("length_prefix stands instead of record_bytes and line_ends")
        self._refuse_unfit_places()
        self._refuse_unfit_types()
        return self

    @property
    def is_prefixed(self) -> bool:
        """Whether each record stands behind its length."""
        return self.length_prefix != "none"

    @property
    def has_line_ends(self) -> bool:
        """Whether each record is a line for certain."""
        is_line = self.record_bytes is None or self.line_ends == "required"
        return is_line and not self.is_prefixed

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
                "packed, bcd and binary fields need record_bytes and line_ends = 'none', "
                "or length_prefix"
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
