"""What the formats that a layout can name have in common, and delimited text.

A format's model is named by its `type` in `pipeline.core.known_formats`; its reader is registered
in `pipeline.readers.registry`.
"""

from __future__ import annotations

import codecs
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from pipeline.core.strict import Strict

MAX_EXTRA_LINES = 1000  # before or behind the records

_ESCAPING_CODECS = frozenset({"idna", "punycode", "raw-unicode-escape", "unicode-escape"})


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

    @property
    def is_splittable(self) -> bool:
        """Whether reading can begin at any position of a file, at no more cost than elsewhere."""
        return True

    @property
    def names_are_in_file(self) -> bool:
        """Whether the file itself names its columns."""
        return not self.fields

    def lacks(self, column: str) -> bool:
        """Whether, as far as the settings tell, no file has a column of this name."""
        return bool(self.fields) and column not in self.fields

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
    preamble_lines: int = Field(default=0, ge=0, le=MAX_EXTRA_LINES)
    """How many lines come before the records."""
    preamble_until: str = ""
    """How the first line behind the preamble begins."""
    comments: tuple[Annotated[str, Field(min_length=1)], ...] = ()
    """Lines that begin with one of these are no records, wherever they stand."""
    footer_lines: int = Field(default=0, ge=0, le=MAX_EXTRA_LINES)
    """How many lines at the end are no records."""
    trim: bool = False
    """Whether spaces around cells are taken away."""
    short_rows: Literal["reject", "pad"] = "reject"
    """What becomes of records with too few fields."""
    long_rows: Literal["reject", "cut_empty", "cut"] = "reject"
    """What becomes of records with too many fields."""

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
        if self.embedded_newlines and (self.comments or self.footer_lines):
            raise ValueError("comments and footer_lines need embedded_newlines = false")
        if self.preamble_lines and self.preamble_until:
            raise ValueError("preamble_lines and preamble_until exclude each other")
        if any(set(text) & {"\r", "\n"} for text in (self.preamble_until, *self.comments)):
            raise ValueError("preamble_until and comments are beginnings of lines, without ends")
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
    def is_splittable(self) -> bool:
        """Positions count bytes of the text in UTF-8: in another encoding they are to be found."""
        return self.encoding == "utf-8"

    @property
    def has_lines(self) -> bool:
        """Unless line ends may stand inside of quotes."""
        return not self.embedded_newlines

    @property
    def names_are_in_file(self) -> bool:
        """Unless it has no header line."""
        return self.header

    def of_records(self, columns: tuple[str, ...]) -> Delimited:
        """As they stood in the file, in UTF-8, without what was around them."""
        dialect = {"header": False, "fields": columns, "encoding": "utf-8"}
        bare = {"preamble_lines": 0, "preamble_until": "", "comments": (), "footer_lines": 0}
        return self.model_copy(update=dialect | bare)


def as_delimited(settings: FormatSettings) -> Delimited:
    """The settings, which are those of delimited text."""
    if not isinstance(settings, Delimited):
        raise TypeError("not the settings of delimited text")
    return settings
