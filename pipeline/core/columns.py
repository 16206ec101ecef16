"""What becomes of each column of a file: the part of the layout grammar for columns."""

from __future__ import annotations

import re
from typing import Annotated, Literal, Self

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import (
    BeforeValidator,
    Field,
    WithJsonSchema,
    field_validator,
    model_validator,
)

from pipeline.core.pans import MAX_PAN_DIGITS, MIN_PAN_DIGITS
from pipeline.core.strict import Strict
from pipeline.core.written_numbers import NumberMarks

MAX_DECIMAL_PRECISION = 38  # Arrow decimal128
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


_TYPE_SCHEMA = {
    "type": "string",
    "pattern": rf"^(?:{'|'.join(_SIMPLE_TYPES)}|{_DECIMAL.pattern})$",
    "examples": [*_SIMPLE_TYPES, "decimal(12,2)"],
}


class Column(Strict):
    """What becomes of one column."""

    role: Literal["pan", "keep", "text", "drop"]
    """`pan`: replaced by token and last4. `keep`: kept with its type. `text`: kept as text, PANs
    inside replaced by their tokens. `drop`: dropped, like every column that is not named."""
    type: Annotated[ColumnType, BeforeValidator(_parse_type), WithJsonSchema(_TYPE_SCHEMA)] = (
        ColumnType()
    )
    """Of a kept column: string, integer, decimal(P,S), date, timestamp or boolean."""
    format: str = ""
    """Of a kept date or timestamp that is not ISO 8601: a strptime pattern, `%d.%m.%Y` say."""
    decimal_mark: Literal[".", ","] = "."
    """Of a kept decimal: what stands before the decimals."""
    group_mark: Literal["", ".", ",", "'", " "] = ""
    """Of a kept decimal or integer: what stands between the thousands."""
    guard: Literal["full", "exact"] = "full"
    """Of a kept column. `full`: searched for all that looks like a PAN. `exact`: only for PANs of
    the same file, which is for reference numbers."""
    empty: Literal["reject", "keep"] = "reject"
    """Of a PAN column: what becomes of a row whose cell is empty."""
    luhn: Literal["count", "require"] = "count"
    """Of a PAN column: whether wrong check digits are counted, or reject the row."""
    pad: Literal["", "0"] = ""
    """Of a PAN column: `0` if leading zeros are padding, which goes."""
    digits: int | None = Field(default=None, ge=MIN_PAN_DIGITS, le=MAX_PAN_DIGITS)
    """Of a PAN column: how many digits each PAN has; leading zeros that got lost come back."""
    extract: str = Field(default="", max_length=500)
    """Of a PAN column: a regular expression (RE2) whose group `pan` is the PAN in the cell."""

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
            "keep": {"role", "type", "format", "decimal_mark", "group_mark", "guard"},
            "text": {"role"},
            "drop": {"role"},
        }[self.role]
        stray = sorted(self.model_fields_set - allowed)
        if stray:
            raise ValueError(f"{', '.join(stray)} cannot be set for role {self.role}")
        if self.format:
            _check_date_format(self.format, self.type.kind)
        self._refuse_unfit_marks()
        return self

    def _refuse_unfit_marks(self) -> None:
        set_marks = self.model_fields_set & {"decimal_mark", "group_mark"}
        fitting = {"decimal": {"decimal_mark", "group_mark"}, "integer": {"group_mark"}}
        stray = sorted(set_marks - fitting.get(self.type.kind, set()))
        if stray:
            raise ValueError(f"{', '.join(stray)} cannot be set for type {self.type.kind}")
        if self.group_mark == self.decimal_mark and self.type.kind == "decimal":
            raise ValueError("decimal_mark and group_mark must differ")

    @property
    def number_marks(self) -> NumberMarks:
        """How its numbers are written."""
        decimal = "," if self.type.kind == "integer" and self.group_mark == "." else None
        return NumberMarks(decimal or self.decimal_mark, self.group_mark)


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
