"""Record types: which lines of a file are rows, and what the others are for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from pipeline.core.strict import Strict

TypeName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,31}$")]


def _as_list(unverified: Any) -> Any:
    return [unverified] if isinstance(unverified, str) else unverified


class TrailerTotals(Strict):
    """What a trailer states about the records of its file or section; fields count from 1."""

    count_field: int | None = Field(default=None, ge=1)
    """Which field of the trailer holds the number of records."""
    sum_field: int | None = Field(default=None, ge=1)
    """Which field of the trailer holds the sum of `sum_column`."""
    sum_column: str | None = Field(default=None, min_length=1)
    """The column that is added up; never one of PANs."""
    of: tuple[str, ...] = ()
    """The record types that are counted and added up: all of role detail if it is empty."""

    @model_validator(mode="after")
    def _sum_has_its_column(self) -> Self:
        if (self.sum_field is None) != (self.sum_column is None):
            raise ValueError("sum_field and sum_column belong together")
        if self.count_field is None and self.sum_field is None:
            raise ValueError("needs count_field or sum_field")
        return self


class RecordType(Strict):
    """One kind of record."""

    match: Annotated[
        tuple[Annotated[str, Field(min_length=1)], ...], BeforeValidator(_as_list)
    ] = ()
    """What its lines begin with, or what the field that tells types holds; a text or several."""
    role: Literal["detail", "skip", "section_header", "section_trailer", "trailer"] = "detail"
    """`detail`: rows. `skip`: known and left out. `section_header`, `section_trailer`: the first
    and last record of a section. `trailer`: the last record of the file."""
    fields: tuple[str, ...] = ()
    """The names of its fields, if types differ; else those of the file."""
    totals: TrailerTotals | None = None
    """What a trailer states about the records of its file or section."""

    @model_validator(mode="after")
    def _settings_belong_to_the_role(self) -> Self:
        if self.role != "detail" and self.fields:
            raise ValueError("fields can only be set for role detail")
        if self.role != "detail" and not self.match:
            raise ValueError("match is required, except for one type of role detail")
        if self.totals and self.role not in ("trailer", "section_trailer"):
            raise ValueError("totals can only be set for the roles trailer and section_trailer")
        if len(set(self.fields)) < len(self.fields):
            raise ValueError("fields names a column twice")
        return self


class Records(Strict):
    """The record types of a file, told apart by how a line begins, or by what `field` holds."""

    field: int | None = Field(default=None, ge=1)
    """Which field says what type a record is; without it, how the line begins does."""
    types: dict[TypeName, RecordType] = Field(min_length=1)
    """The record types, by a name of your choice."""

    @model_validator(mode="after")
    def _types_can_be_told_apart(self) -> Self:
        marks = [mark for each in self.types.values() for mark in each.match]
        if any(set(mark) & {"\r", "\n"} for mark in marks):
            raise ValueError("no match may hold a line end")
        if len(set(marks)) < len(marks):
            raise ValueError("two types have the same match")
        if self.field is None and any(a != b and a.startswith(b) for a in marks for b in marks):
            raise ValueError("no match may begin with another one")
        if sum(not each.match for each in self.types.values()) > 1:
            raise ValueError("only one type can be without match: it is all other lines")
        if not marks:
            raise ValueError("needs a type with match")
        return self

    @model_validator(mode="after")
    def _types_go_together(self) -> Self:
        details = list(self.detail_types.values())
        if not details:
            raise ValueError("needs a type of role detail")
        if len({bool(each.fields) for each in details}) > 1:
            raise ValueError("either all types of role detail have fields, or none has")
        for role in ("trailer", "section_header", "section_trailer"):
            if len(self.of_role(role)) > 1:
                raise ValueError(f"only one type can have the role {role}")
        for name, totals in self.totals.items():
            unknown = [each for each in totals.of if each not in self.types]
            if unknown:
                raise ValueError(f"types.{name}.totals.of: names a type that is not there")
        return self

    def of_role(self, role: str) -> Mapping[str, RecordType]:
        """The types of one role, by name."""
        return {name: each for name, each in self.types.items() if each.role == role}

    @property
    def detail_types(self) -> Mapping[str, RecordType]:
        """The types whose records are rows."""
        return self.of_role("detail")

    @property
    def totals(self) -> Mapping[str, TrailerTotals]:
        """What trailers state, by the name of their type."""
        return {name: each.totals for name, each in self.types.items() if each.totals}

    @property
    def fields(self) -> tuple[str, ...]:
        """The names of all fields that types have of their own, each once."""
        return tuple(_once(name for each in self.types.values() for name in each.fields))

    def of_repairs(self) -> Records:
        """The types of rows that stand alone, without what was around them."""
        return self.model_copy(update={"types": dict(self.detail_types)})


def _once(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(names))
