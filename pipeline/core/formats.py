"""The formats that a layout can name, each a model of its settings.

A format's model is named by its `type`; its reader is registered in `pipeline.readers.registry`.
"""

from __future__ import annotations

import codecs
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

_ESCAPING_CODECS = frozenset({"idna", "punycode", "raw-unicode-escape", "unicode-escape"})


class Strict(BaseModel):
    """A part of a layout: unknown settings are mistakes, and mistakes never show their values."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, hide_input_in_errors=True, use_attribute_docstrings=True
    )


class FormatSettings(Strict):
    """What all formats have in common."""

    null_values: tuple[str, ...] = ("",)
    """The cells that stand for no value."""
    fields: tuple[str, ...] = ()
    """The names of the columns, if the layout gives them; else the file does."""

    @property
    def has_lines(self) -> bool:
        """Whether each record is a line of text, so that record types can be told by prefixes."""
        return False

    def of_records(self, columns: tuple[str, ...]) -> Delimited:
        """How the records of rejects files are written, each alone: those of a file of columns."""
        return Delimited(header=False, fields=columns, null_values=self.null_values)


class Delimited(FormatSettings):
    """Delimited text: how bytes become records and fields."""

    type: Literal["delimited"] = "delimited"
    """Delimited text."""
    delimiter: str = Field(default=",", min_length=1, max_length=8)
    """What stands between fields; several characters, or one outside ASCII, need quote = ''."""
    quote: str = '"'
    """What fields may stand in; empty for no quoting."""
    escape: str = ""
    """A character that takes the next one as it is; empty for none."""
    header: bool = True
    """Whether the first record names the columns; otherwise `fields` does."""
    encoding: str = "utf-8"
    """Any encoding of text that Python knows."""
    embedded_newlines: bool = False
    """Whether a quoted field may hold line ends."""

    @field_validator("quote", "escape")
    @classmethod
    def _is_one_ascii_character_or_none(cls, text: str) -> str:
        if len(text) > 1 or not text.isascii() or text in ("\0", "\r", "\n"):
            raise ValueError("must be one ASCII character, or empty for none")
        return text

    @field_validator("delimiter")
    @classmethod
    def _is_not_a_line_end(cls, text: str) -> str:
        if set(text) & {"\0", "\r", "\n"}:
            raise ValueError("cannot hold a line end or a null character")
        return text

    @field_validator("encoding")
    @classmethod
    def _is_known(cls, name: str) -> str:
        try:
            info = codecs.lookup(name)
        except (LookupError, ValueError):
            raise ValueError("is not an encoding that Python knows") from None
        if not info._is_text_encoding or info.name in _ESCAPING_CODECS:
            raise ValueError("is not an encoding of text files")
        return info.name

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if not self.header and not self.fields:
            raise ValueError("fields must name the columns when header = false")
        if self.header and self.fields:
            raise ValueError("fields can only be set when header = false")
        if len(set(self.fields)) < len(self.fields):
            raise ValueError("fields names a column twice")
        if self.quote and self.quote in self.delimiter:
            raise ValueError("quote and delimiter must differ")
        if self.escape and self.escape in (self.quote, *self.delimiter):
            raise ValueError("escape must differ from quote and delimiter")
        if self.embedded_newlines and not self.quote:
            raise ValueError("embedded_newlines needs a quote character")
        if (self.quote or self.escape) and not self.has_plain_delimiter:
            raise ValueError(
                "a delimiter that is not one ASCII character needs quote = '' and no escape"
            )
        return self

    @property
    def has_plain_delimiter(self) -> bool:
        """Whether the delimiter is one byte, which is what the fast parser takes."""
        return len(self.delimiter) == 1 and self.delimiter.isascii()

    @property
    def has_lines(self) -> bool:
        """Unless line ends may stand inside of quotes."""
        return not self.embedded_newlines

    def of_records(self, columns: tuple[str, ...]) -> Delimited:
        """As they stood in the file, in UTF-8."""
        dialect = {"header": False, "fields": columns, "encoding": "utf-8"}
        return self.model_copy(update=dialect)


FORMATS: dict[str, type[FormatSettings]] = {"delimited": Delimited}


def _with_type(unverified: Any) -> Any:
    """A format without a type is delimited."""
    if isinstance(unverified, dict) and "type" not in unverified:
        return {"type": "delimited", **unverified}
    return unverified


Format = Annotated[Delimited, BeforeValidator(_with_type)]
