"""The layout grammar: how a file is read, and what becomes of each of its columns.

A layout is a TOML document. What it does not name is dropped.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from typing import Annotated, Any, Literal, Self

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import (
    BaseModel,
    BeforeValidator,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_core import ErrorDetails

from pipeline.core.formats import Delimited, Strict
from pipeline.core.guard import could_hold_pan
from pipeline.core.known_formats import FORMATS, Format
from pipeline.core.pans import MAX_PAN_DIGITS, MIN_PAN_DIGITS
from pipeline.core.record_types import Records, RecordType, TrailerTotals
from pipeline.core.sensitive import is_sensitive_name
from pipeline.errors import LayoutError

MAX_LAYOUT_BYTES = 1 << 20
MAX_DECIMAL_PRECISION = 38  # Arrow decimal128

_NAME = r"^[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?$"
_DECIMAL = re.compile(r"decimal\(\s*(\d{1,2})\s*,\s*(\d{1,2})\s*\)")
_SIMPLE_TYPES = ("string", "integer", "date", "timestamp", "boolean")
_DIRECTIVE = re.compile(r"%(.?)", re.DOTALL)
_DAY_DIRECTIVES = frozenset("YymbBdjaA%")  # those that Arrow and Python read alike
_TIME_DIRECTIVES = _DAY_DIRECTIVES | frozenset("HIMSpz")


class ColumnType(Strict):
    """The type of a kept column: `string`, `integer`, `decimal(P,S)`, `date`, …."""

    kind: Literal["string", "integer", "decimal", "date", "timestamp", "boolean"] = "string"
    precision: int = 0
    scale: int = 0


def _parse_type(text: object) -> object:
    if isinstance(text, ColumnType):
        return text
    if isinstance(text, str) and text in _SIMPLE_TYPES:
        return {"kind": text}
    match = _DECIMAL.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        raise ValueError(f"must be one of {', '.join(_SIMPLE_TYPES)} or decimal(P,S)")
    precision, scale = int(match[1]), int(match[2])
    if not 1 <= precision <= MAX_DECIMAL_PRECISION or scale > precision:
        raise ValueError(f"decimal(P,S) needs 1 <= P <= {MAX_DECIMAL_PRECISION} and S <= P")
    return {"kind": "decimal", "precision": precision, "scale": scale}


class Column(Strict):
    """What becomes of one column.

    `digits` is how many a PAN has that the file holds as a number: without it, nobody can say
    whether zeros went before it.
    """

    role: Literal["pan", "keep", "text", "drop"]
    type: Annotated[ColumnType, BeforeValidator(_parse_type)] = ColumnType()
    format: str = ""
    guard: Literal["full", "exact"] = "full"
    empty: Literal["reject", "keep"] = "reject"
    luhn: Literal["count", "require"] = "count"
    pad: Literal["", "0"] = ""
    digits: int | None = Field(default=None, ge=MIN_PAN_DIGITS, le=MAX_PAN_DIGITS)
    extract: str = Field(default="", max_length=500)

    @field_validator("extract")
    @classmethod
    def _is_an_expression_with_a_pan(cls, text: str) -> str:
        if text and not _has_group_of_pan(text):
            raise ValueError("must be a regular expression (RE2) with one group, (?P<pan>...)")
        return text

    @model_validator(mode="after")
    def _settings_belong_to_the_role(self) -> Self:
        allowed = {
            "pan": {"role", "empty", "luhn", "pad", "digits", "extract"},
            "keep": {"role", "type", "format", "guard"},
            "text": {"role"},
            "drop": {"role"},
        }[self.role]
        stray = sorted(self.model_fields_set - allowed)
        if stray:
            raise ValueError(f"{', '.join(stray)} cannot be set for role {self.role}")
        if self.format:
            _check_date_format(self.format, self.type.kind)
        return self


def _has_group_of_pan(pattern: str) -> bool:
    try:
        found = pc.extract_regex(pa.array([], pa.string()), pattern)
    except (pa.ArrowInvalid, UnicodeError):
        return False
    return [field.name for field in found.type] == ["pan"]


def _check_date_format(text: str, kind: str) -> None:
    if kind not in ("date", "timestamp"):
        raise ValueError("format belongs to the types date and timestamp")
    directives = set(_DIRECTIVE.findall(text))
    allowed = _DAY_DIRECTIVES if kind == "date" else _TIME_DIRECTIVES
    if not directives <= allowed:
        raise ValueError(f"format of a {kind} can only hold %{' %'.join(sorted(allowed))}")
    has_day = "j" in directives or ("d" in directives and directives & {"m", "b", "B"})
    if not (has_day and directives & {"Y", "y"}):
        raise ValueError("format needs a year, a month and a day")


class Options(Strict):
    """Choices that hold for the whole file."""

    token_mode: Literal["per_pan", "one_time"] = "per_pan"
    guard_action: Literal["reject", "redact", "tokenize"] = "reject"
    customer_id: str | None = Field(default=None, min_length=1)
    duplicates: Literal["report", "refuse"] = "report"


class Decryption(Strict):
    """Where the private key is that opens encrypted uploads."""

    key: str = Field(
        pattern=r"^(?:secretsmanager:[A-Za-z0-9/_+=.@:-]{1,512}|s3\+kms:s3://\S{3,1100})$"
    )


class Layout(Strict):
    """A checked layout."""

    name: str = Field(pattern=_NAME)
    description: str = ""
    scope: str = Field(default="default", pattern=_NAME)
    format: Format = Field(default_factory=Delimited)
    decryption: Decryption | None = None
    records: Records | None = None
    columns: dict[str, Column]
    options: Options = Options()

    @model_validator(mode="after")
    def _tokenizes_something_and_keeps_nothing_sensitive(self) -> Self:
        if not self.pan_columns:
            raise ValueError("columns: at least one column needs role = 'pan'")
        for name, column in self.columns.items():
            if column.role != "drop" and is_sensitive_name(name):
                raise ValueError(
                    f"columns.{name}: sensitive authentication data may only be dropped "
                    "(PCI DSS 3.3.1)"
                )
        self._refuse_unfit_records()
        self._refuse_unfit_customer_id()
        self._refuse_columns_that_the_file_has_not()
        self._refuse_colliding_outputs()
        return self

    def _refuse_unfit_customer_id(self) -> None:
        """It is stored in clear: neither a PAN nor sensitive authentication data will do."""
        name = self.options.customer_id
        if name is not None and (name in self.pan_columns or is_sensitive_name(name)):
            raise ValueError("options.customer_id: cannot be a column of PANs or sensitive data")

    def _refuse_unfit_records(self) -> None:
        if self.records is None:
            return
        if not self.format.has_lines:
            raise ValueError("records: can only be told apart where each record is a line")
        if self.records.fields and (self.format.fields or self.format.names_are_in_file):
            raise ValueError(
                "records: types with fields of their own need format.header = false, "
                "and no format.fields"
            )
        for name, totals in self.records.totals.items():
            if totals.sum_column in self.pan_columns:
                raise ValueError(f"records.types.{name}.totals: a sum of PANs may be a PAN")

    def _refuse_columns_that_the_file_has_not(self) -> None:
        record_fields = self.records.fields if self.records else ()
        if not self.stated_fields and not self.format.names_are_in_file:
            raise ValueError("format: fields must name the columns when header = false")
        places = {f"columns.{name}": name for name in self.columns} | self._columns_of_settings
        for place, name in places.items():
            if self.format.lacks(name) or (record_fields and name not in record_fields):
                raise ValueError(f"{place}: is not among format.fields")

    def _refuse_colliding_outputs(self) -> None:
        outputs = [name for name, column in self.columns.items() if column.role in ("keep", "text")]
        for name in self.pan_columns:
            outputs += [f"{name}_token", f"{name}_last4"]
        if len(set(outputs)) < len(outputs):
            raise ValueError("columns: a kept column has the name of a token or last4 column")

    @property
    def pan_columns(self) -> tuple[str, ...]:
        """The columns that hold PANs, in the layout's order."""
        return tuple(name for name, column in self.columns.items() if column.role == "pan")

    @property
    def stated_fields(self) -> tuple[str, ...]:
        """The names of all columns that a file has; empty if the file itself names them."""
        return tuple(self.format.fields) or (self.records.fields if self.records else ())

    @property
    def named_columns(self) -> tuple[str, ...]:
        """Every column that a file must have for this layout to fit it."""
        return tuple(dict.fromkeys([*self.columns, *self._columns_of_settings.values()]))

    @property
    def _columns_of_settings(self) -> dict[str, str]:
        """The columns that other settings name, by the place of the setting."""
        totals = self.records.totals if self.records else {}
        named = {"options.customer_id": self.options.customer_id} | {
            f"records.types.{name}.totals.sum_column": each.sum_column
            for name, each in totals.items()
        }
        return {place: name for place, name in named.items() if name is not None}


def parse_layout(document: bytes, expected_name: str | None = None) -> Layout:
    """The layout that a TOML document describes.

    `expected_name` is the stem of the document's file name, which the layout must repeat.
    Raises `LayoutError` with every mistake found, each with its place; never with a value.
    """
    if len(document) > MAX_LAYOUT_BYTES:
        raise LayoutError((f"the document is larger than {MAX_LAYOUT_BYTES} bytes",))
    try:
        unverified = tomllib.loads(document.decode("utf-8"))
    except UnicodeDecodeError:
        raise LayoutError(("the document is not UTF-8",)) from None
    except (ValueError, RecursionError) as error:  # ValueError: an integer of too many digits
        raise LayoutError((_place_of_syntax_error(error),)) from None
    try:
        layout = Layout.model_validate(unverified)
    except ValidationError as error:
        raise LayoutError(tuple(_mistake(item) for item in error.errors())) from None
    if expected_name is not None and layout.name != expected_name:
        raise LayoutError(("name: must equal the layout's file name without .toml",))
    return layout


def _place_of_syntax_error(error: Exception) -> str:
    place = re.search(r"line \d+, column \d+|end of document", str(error))
    return f"not valid TOML at {place[0]}" if place else "not valid TOML"


def _mistake(item: ErrorDetails) -> str:
    loc, format_model = item["loc"], FORMATS["delimited"]
    if loc[:1] == ("format",) and len(loc) > 1 and loc[1] in FORMATS:
        format_model = FORMATS[str(loc[1])]
        loc = (loc[0], *loc[2:])  # the type by which the model was chosen is no setting
    place = ".".join(map(_printable, loc))
    message = item["msg"].removeprefix("Value error, ")
    if item["type"] == "union_tag_invalid":
        place, message = "format.type", f"must be one of {', '.join(FORMATS)}"
    if item["type"] == "extra_forbidden":
        message = "unknown setting" + _suggestion(loc, format_model)
    return f"{place}: {message}" if place else message


def _printable(part: int | str) -> str:
    """A part of a place; it may be a name out of the document, which may be anything."""
    return "[long number]" if could_hold_pan(str(part)) else str(part)


def _suggestion(loc: tuple[int | str, ...], format_model: type[BaseModel]) -> str:
    models: dict[str, type[BaseModel]] = {
        "": Layout,
        "format": format_model,
        "records": Records,
        "totals": TrailerTotals,
        "options": Options,
        "decryption": Decryption,
    }
    parent = str(loc[-2]) if len(loc) > 1 else ""
    by_name = RecordType if loc[0] == "records" else Column
    model: Any = models.get(parent, by_name)
    close = difflib.get_close_matches(str(loc[-1]), model.model_fields, n=1)
    return f"; did you mean {close[0]}?" if close else ""
