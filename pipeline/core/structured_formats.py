"""Formats whose records are no lines of text: values with names, perhaps with types."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from pipeline.core.formats import Delimited, FormatSettings


class Structured(FormatSettings):
    """A format whose records are no lines of text: values with names, perhaps with types."""

    def of_records(self, columns: tuple[str, ...]) -> Delimited:
        """Comma-separated, as all fields of such a record are rendered."""
        dialect = super().of_records(columns)
        return dialect.model_copy(update={"embedded_newlines": True})


class _NamedByFile(Structured):
    """A format in which every file names its columns."""

    @field_validator("fields")
    @classmethod
    def _are_not_given(cls, fields: tuple[str, ...]) -> tuple[str, ...]:
        if fields:
            raise ValueError("cannot be set: the file names its columns")
        return fields


class JsonLines(_NamedByFile):
    """A JSON object on each line."""

    type: Literal["jsonl"]
    """JSON Lines."""


class Json(_NamedByFile):
    """One array of JSON objects: the whole document, or what stands at `path` in it."""

    type: Literal["json"]
    """One JSON document."""
    path: str = ""
    """Where the array stands in the document, with dots; empty if it is the document."""

    @property
    def is_splittable(self) -> bool:
        """False: it is one document."""
        return False


class Parquet(_NamedByFile):
    """Apache Parquet."""

    type: Literal["parquet"]
    """Apache Parquet."""


class Orc(_NamedByFile):
    """Apache ORC."""

    type: Literal["orc"]
    """Apache ORC."""


class Avro(_NamedByFile):
    """An Avro object container file."""

    type: Literal["avro"]
    """An Avro object container file."""


class Xlsx(Structured):
    """A worksheet: the named one, or the only one with cells; `header_row` counts from 1."""

    type: Literal["xlsx"]
    """A workbook of Excel 2007 or newer."""
    sheet: str = ""
    """The sheet's name; empty for the only one with cells."""
    header: bool = True
    """Whether a row names the columns; otherwise `fields` does."""
    header_row: int = Field(default=1, ge=1, le=1000)
    """Which row of the sheet names the columns, counted from 1; those above it are skipped."""

    @property
    def is_splittable(self) -> bool:
        """False: a worksheet is one document."""
        return False

    @model_validator(mode="after")
    def _has_names(self) -> Self:
        if self.header == bool(self.fields):
            raise ValueError("needs either a header or fields, which name the columns")
        if len(set(self.fields)) < len(self.fields):
            raise ValueError("fields names a column twice")
        return self
