"""Numbers as they are written, with marks that the layout names."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.layout_documents import parse_layout
from pipeline.core.written_numbers import NumberMarks
from pipeline.errors import LayoutError, PermanentError
from tests.unit.test_tokenize import PANS, Bench

GERMAN = 'decimal_mark = ","\ngroup_mark = "."'


def amounts(settings: str, *cells: str, kind: str = "decimal(12,2)") -> tuple[list[Any], Any]:
    bench = Bench(
        'name = "x"\n[format]\ndelimiter = ";"\n[columns.card]\nrole = "pan"\n'
        f'[columns.amount]\nrole = "keep"\ntype = "{kind}"\n{settings}'
    )
    lines = [f"{pan};{cell}" for pan, cell in zip(PANS, cells, strict=False)]
    receipt = bench.run("\n".join(["card;amount", *lines]) + "\n")
    table = bench.table(receipt) if receipt["outputs"] else pa.table({"amount": []})
    return table["amount"].to_pylist(), receipt["rejects_by_reason"]


@pytest.mark.parametrize(
    ("settings", "cells", "expected"),
    [
        (
            GERMAN,
            ["1.234,50", "-12,5", "12,50-", "7", ""],
            ["1234.50", "-12.5", "-12.5", "7", None],
        ),
        ('decimal_mark = ","', ["1234,50", "+3,1"], ["1234.50", "3.1"]),
        ('group_mark = ","', ["1,234,567.89", "12.5"], ["1234567.89", "12.5"]),
        ('group_mark = "\'"', ["1'234.50", "1’234.50"], ["1234.50", "1234.50"]),
        ('group_mark = " "', ["1 234.50", "1\u202f234.50"], ["1234.50", "1234.50"]),
        ("", ["12.50-", "12.50", "-3"], ["-12.50", "12.50", "-3"]),
    ],
)
def test_amounts_become_decimals(settings: str, cells: list[str], expected: list[str]) -> None:
    found, rejects = amounts(settings, *cells)
    assert found == [None if each is None else Decimal(each) for each in expected]
    assert rejects == {}


@pytest.mark.parametrize(
    ("settings", "cell"),
    [
        (GERMAN, "1,234.50"),
        (GERMAN, "12.50"),
        (GERMAN, "1.23,40"),
        (GERMAN, "-1,00-"),
        ('decimal_mark = ","', "1.234,50"),
        ('group_mark = ","', "12,50"),
        ("", "12,50"),
        ("", "-12.50-"),
    ],
)
def test_a_number_whose_marks_stand_elsewhere_is_never_read_as_another(
    settings: str, cell: str
) -> None:
    found, rejects = amounts(settings, cell, "7")
    assert found == [7]
    assert rejects == {"invalid_decimal": 1}


def test_integers_can_have_their_thousands_parted() -> None:
    found, rejects = amounts('group_mark = "."', "1.234.567", "12-", "1.5", kind="integer")
    assert found == [1234567, -12]
    assert rejects == {"invalid_integer": 1}


TOTALS = """name = "x"
[format]
delimiter = ";"
header = false
fields = ["t", "card", "amount"]
[records.types.d]
match = "D;"
[records.types.t]
match = "T;"
role = "trailer"
totals = { count_field = 2, sum_field = 3, sum_column = "amount" }
[columns.card]
role = "pan"
[columns.amount]
role = "keep"
type = "decimal(12,2)"
decimal_mark = ","
group_mark = "."
"""


@pytest.mark.parametrize("block", ["1.236,75", "1236,75"])
def test_the_sum_of_a_trailer_is_written_like_its_column(block: str) -> None:
    body = f"D;{PANS[0]};1.234,50\nD;{PANS[1]};2,25\nT;2;{{}}\n"
    assert Bench(TOTALS).run(body.format(block))["rows_written"] == 2
    with pytest.raises(PermanentError, match="trailer_mismatch"):
        Bench(TOTALS).run(body.format("1.236,76"))


@pytest.mark.parametrize(
    ("settings", "mistake"),
    [
        ('type = "string"\ndecimal_mark = ","', "cannot be set for type string"),
        ('type = "integer"\ndecimal_mark = ","', "cannot be set for type integer"),
        ('type = "decimal(5,2)"\ngroup_mark = "."', "must differ"),
        ('type = "decimal(5,2)"\ndecimal_mark = ";"', "decimal_mark"),
    ],
)
def test_marks_that_make_no_sense_are_mistakes(settings: str, mistake: str) -> None:
    document = f'name = "x"\n[columns.a]\nrole = "pan"\n[columns.b]\nrole = "keep"\n{settings}'
    with pytest.raises(LayoutError) as error:
        parse_layout(document.encode())
    assert mistake in " ".join(error.value.mistakes)


@given(
    number=st.decimals(-(10**9), 10**9, places=2),
    marks=st.sampled_from([(",", "."), (",", ""), (".", ","), (".", "'"), (",", " "), (".", "")]),
    behind=st.booleans(),
)
def test_any_number_comes_back_from_how_it_is_written(
    number: Decimal, marks: tuple[str, str], behind: bool
) -> None:
    decimal, group = marks
    digits = f"{abs(number):,}".replace(",", "G").replace(".", decimal).replace("G", group)
    text = (digits + "-" if behind else "-" + digits) if number < 0 else digits
    plain = NumberMarks(decimal, group).plain(pa.array([text], pa.string()))
    assert Decimal(plain[0].as_py()) == number
