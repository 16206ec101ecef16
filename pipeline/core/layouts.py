"""The layout grammar: how a file is read, and what becomes of each of its columns.

A layout is a TOML document. What it does not name is dropped. The docstrings of the settings are
their descriptions in the JSON Schema and in the advice of `pantok layouts check`.
"""

from __future__ import annotations

import difflib
import hashlib
import re
import tomllib
from collections.abc import Sequence
from typing import Annotated, Any, Literal, Self, get_args, get_origin

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import (
    BaseModel,
    BeforeValidator,
    Field,
    PrivateAttr,
    ValidationError,
    WithJsonSchema,
    field_validator,
    model_validator,
)
from pydantic_core import ErrorDetails

from pipeline.core.formats import Delimited
from pipeline.core.guard import could_hold_pan
from pipeline.core.known_formats import FORMATS, Format
from pipeline.core.pans import MAX_PAN_DIGITS, MIN_PAN_DIGITS
from pipeline.core.record_types import Records
from pipeline.core.sensitive import is_sensitive_name
from pipeline.core.strict import Strict
from pipeline.core.written_numbers import NumberMarks
from pipeline.errors import LayoutError

MAX_LAYOUT_BYTES = 1 << 20
MAX_DECIMAL_PRECISION = 38  # Arrow decimal128

RESERVED_NAMES = frozenset({"auto", "folders"})  # the layout without a document; `folders.toml`

NAME = r"^[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?$"
_DECIMAL = re.compile(r"decimal\(\s*(\d{1,2})\s*,\s*(\d{1,2})\s*\)")
_SIMPLE_TYPES = ("string", "integer", "date", "timestamp", "boolean")
_VERSION = r"^(?:[A-Za-z0-9][A-Za-z0-9._+-]{0,31})?$"
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


class Options(Strict):
    """Choices that hold for the whole file."""

    token_mode: Literal["per_pan", "one_time"] = "per_pan"
    """One token for each card, or one for each row."""
    guard_action: Literal["reject", "redact", "tokenize"] = "reject"
    """What happens to a kept cell with a PAN: the row is rejected, the cell redacted, or the PAN
    tokenized."""
    customer_id: str | None = Field(default=None, min_length=1)
    """The column whose value becomes `metadata.customer_id` of the vault row."""
    duplicates: Literal["report", "refuse"] = "report"
    """What happens to a file with the content of another one."""


def _as_text(version: object) -> object:
    """A version may be an integer."""
    return str(version) if isinstance(version, int) and not isinstance(version, bool) else version


_VERSION_SCHEMA = {"type": ["string", "integer"], "pattern": _VERSION}


class Decryption(Strict):
    """Where the private key is that opens encrypted uploads."""

    key: str = Field(
        pattern=r"^(?:secretsmanager:[A-Za-z0-9/_+=.@:-]{1,512}|s3\+kms:s3://\S{3,1100})$"
    )
    """`secretsmanager:<name>`, or `s3+kms:s3://<bucket>/<key>` for an object that KMS wrapped."""


class Layout(Strict):
    """How files of one kind are read, and what becomes of each of their columns."""

    name: str = Field(pattern=NAME)
    """The layout's name: the file's name without .toml."""
    version: Annotated[
        str, BeforeValidator(_as_text), WithJsonSchema(_VERSION_SCHEMA), Field(pattern=_VERSION)
    ] = ""
    """The layout's version, for people: the receipt repeats it."""
    description: str = ""
    """What the files are, in a sentence."""
    scope: str = Field(default="default", pattern=NAME)
    """A card has one token in each scope."""
    format: Format = Field(default_factory=Delimited)
    """How bytes become records and fields."""
    decryption: Decryption | None = None
    """Where the private key is that opens encrypted uploads."""
    records: Records | None = None
    """Record types, told apart by how a line begins, or by what a field holds."""
    columns: dict[str, Column]
    """What becomes of each column, by its name; what is not named is dropped."""
    options: Options = Options()
    """Choices that hold for the whole file."""

    _sha256: str = PrivateAttr(default="")

    @field_validator("version")
    @classmethod
    def _is_no_long_number(cls, version: str) -> str:
        """Receipts repeat it."""
        if could_hold_pan(version):
            raise ValueError("cannot hold a long number")
        return version

    @model_validator(mode="after")
    def _tokenizes_something_and_keeps_nothing_sensitive(self) -> Self:
        if not any(column.role in ("pan", "text") for column in self.columns.values()):
            raise ValueError("columns: at least one column needs role = 'pan' or 'text'")
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
    def sha256(self) -> str:
        """Of the document that the layout was read from, in hexadecimal; empty for `auto`."""
        return self._sha256

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
    unverified = parse_toml(document)
    try:
        layout = Layout.model_validate(unverified)
    except ValidationError as error:
        raise LayoutError(tuple(mistake_in_words(item) for item in error.errors())) from None
    if layout.name in RESERVED_NAMES:
        raise LayoutError((f"name: {layout.name} is reserved",))
    if expected_name is not None and layout.name != expected_name:
        raise LayoutError(("name: must equal the layout's file name without .toml",))
    layout._sha256 = hashlib.sha256(document).hexdigest()
    return layout


def parse_toml(document: bytes) -> dict[str, Any]:
    """What a TOML document holds; raises `LayoutError` with the place of its mistake."""
    if len(document) > MAX_LAYOUT_BYTES:
        raise LayoutError((f"the document is larger than {MAX_LAYOUT_BYTES} bytes",))
    try:
        return tomllib.loads(document.decode("utf-8"))
    except UnicodeDecodeError:
        raise LayoutError(("the document is not UTF-8",)) from None
    except (ValueError, RecursionError) as error:  # ValueError: an integer of too many digits
        raise LayoutError((_place_of_syntax_error(error),)) from None


def _place_of_syntax_error(error: Exception) -> str:
    place = re.search(r"line \d+, column \d+|end of document", str(error))
    return f"not valid TOML at {place[0]}" if place else "not valid TOML"


def mistake_in_words(item: ErrorDetails) -> str:
    """A mistake with its place in front, as far as pydantic knows it; never with a value."""
    place = ".".join(map(_printable, place_of(item)))
    message = item["msg"].removeprefix("Value error, ")
    if item["type"] == "union_tag_invalid":
        message = f"must be one of {', '.join(FORMATS)}"
    if item["type"] == "extra_forbidden":
        close = difflib.get_close_matches(str(place_of(item)[-1]), settings_beside(item), n=1)
        message = "unknown setting" + (f"; did you mean {close[0]}?" if close else "")
    return f"{place}: {message}" if place else message


def place_of(item: ErrorDetails) -> tuple[int | str, ...]:
    """The path of tables and settings to a mistake."""
    loc = item["loc"]
    if item["type"] == "union_tag_invalid":
        return (*loc, "type")
    if loc[:1] == ("format",) and len(loc) > 1 and loc[1] in FORMATS:
        return (loc[0], *loc[2:])  # the type by which the model was chosen is no setting
    return loc


def _printable(part: int | str) -> str:
    """A part of a place; it may be a name out of the document, which may be anything."""
    return "[long number]" if could_hold_pan(str(part)) else str(part)


def settings_beside(item: ErrorDetails) -> list[str]:
    """The settings that the table of a mistake has."""
    return list(model_of_table(item["loc"][:-1]).model_fields)


def model_of_table(loc: Sequence[int | str]) -> type[BaseModel]:
    """The model of the table at that place, as pydantic names places."""
    models: list[type[BaseModel]] = [Layout]
    is_named_freely = False
    for part in loc:
        if is_named_freely:
            is_named_freely = False
        elif FORMATS.get(str(part)) in models:
            models = [FORMATS[str(part)]]
        else:
            fields = [each.model_fields[str(part)] for each in models if part in each.model_fields]
            models = [model for field in fields for model in _models_in(field.annotation)] or models
            is_named_freely = any(get_origin(each.annotation) in (dict, tuple) for each in fields)
    return models[0]


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for inner in get_args(annotation) for model in _models_in(inner)]
