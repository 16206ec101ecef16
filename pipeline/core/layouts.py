"""The layout grammar: how a file is read, and which columns it has.

A layout is a TOML document. What it does not name is dropped. The docstrings of the settings are
their descriptions in the JSON Schema and in the advice of `pantok layouts check`.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import (
    BeforeValidator,
    Field,
    PrivateAttr,
    WithJsonSchema,
    field_validator,
    model_validator,
)

from pipeline.core.columns import Column
from pipeline.core.formats import Delimited
from pipeline.core.guard import could_hold_pan
from pipeline.core.known_formats import Format
from pipeline.core.record_types import Records
from pipeline.core.sensitive import is_sensitive_name
from pipeline.core.strict import Strict

RESERVED_NAMES = frozenset({"auto", "folders"})  # the layout without a document; `folders.toml`
NAME = r"^[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?$"
_VERSION = r"^(?:[A-Za-z0-9][A-Za-z0-9._+-]{0,31})?$"


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
