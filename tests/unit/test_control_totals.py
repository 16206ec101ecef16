"""What a trailer claims has to be what the file holds."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import PermanentError
from tests.unit.reading import Reading, headerless, line_types, read

COUNT: dict[str, object] = {"count_field": 2}
SUM: dict[str, object] = {"sum_field": 3, "sum_column": "amount"}


def read_lines(
    *lines: str, totals: dict[str, object] | None = None, quote: str = '"', block_bytes: int = 4096
) -> Reading:
    records = line_types(header="H|", detail="D|", trailer="T|", totals=totals or COUNT | SUM)
    layout = headerless("kind", "pan", "amount", delimiter="|", quote=quote, records=records)
    return read("\n".join(lines).encode(), layout, block_bytes)


def refusal(*lines: str, totals: dict[str, object] | None = None) -> PermanentError:
    with pytest.raises(PermanentError) as caught:
        read_lines(*lines, totals=totals)
    return caught.value


@pytest.mark.parametrize(
    "trailer", ["T|2|3.50", "T|2|3.5|", "T|02|+3.500000", "T| 2 | 3.50 ", "T|2.0|03.5", 'T|"2"|3.5']
)
def test_a_trailer_that_agrees_is_no_row(trailer: str) -> None:
    reading = read_lines("H|x", "D|1|1.25", "D|2|2.25", trailer, "")
    assert len(reading.rows) == 2


@pytest.mark.parametrize("block_bytes", [16, 20, 4096])
def test_totals_add_up_over_blocks(block_bytes: int) -> None:
    lines = [f"D|{at}|0.01" for at in range(100)]
    assert len(read_lines(*lines, "T|100|1.00", block_bytes=block_bytes).rows) == 100


def test_a_missing_trailer_is_a_cut_file() -> None:
    assert refusal("D|1|1.00").code == "trailer_missing"


@pytest.mark.parametrize(
    "trailer",
    [
        "T|3|3.50",
        "T|1|3.50",
        "T|2|3.51",
        "T|2|-3.50",
        "T|2|",
        "T|2",
        "T|",
        "T||3.50",
        "T|two|3.50",
        "T|2|3,50",
        "T|2|NaN",
        "T|2|Infinity",
        "T|2E0|3.50",
        "T|2|35E-1",
        "T|2|0_3.50",
        "T|\N{ARABIC-INDIC DIGIT TWO}|3.50",
        "T|2|3.5000000",
        "T|-2|3.50",
    ],
)
def test_a_trailer_that_disagrees_or_cannot_be_read_refuses_the_file(trailer: str) -> None:
    error = refusal("D|1|1.25", "D|2|2.25", trailer)
    assert error.code == "trailer_mismatch"
    assert "3.5" not in error.detail


@pytest.mark.parametrize("after", ["D|2|1.00", "T|1|1.00"])
@pytest.mark.parametrize("block_bytes", [10, 4096])
def test_a_file_that_goes_on_after_its_trailer_is_refused(after: str, block_bytes: int) -> None:
    with pytest.raises(PermanentError, match="records_after_trailer"):
        read_lines("D|1|1.00", "T|1|1.00", after, block_bytes=block_bytes)


def test_blank_lines_after_the_trailer_are_nothing() -> None:
    assert len(read_lines("D|1|1.00", "T|1|1.00", "", "", "").rows) == 1


def test_blank_lines_after_the_trailer_are_nothing_without_a_detail_prefix_either() -> None:
    records = line_types(trailer="T|", totals=COUNT)
    layout = headerless("kind", "pan", "amount", delimiter="|", records=records)
    assert len(read(b"D|1|1.00\nT|1|\n\n\r\n", layout).rows) == 1


def test_a_trailer_may_confirm_that_there_are_no_rows() -> None:
    assert read_lines("H|", "T|0|0").rows == {}
    assert refusal("H|", "T|0|1").code == "trailer_mismatch"
    assert refusal("H|", "T|1|0").code == "trailer_mismatch"


def test_a_sum_of_nothing_does_not_confirm_that_there_are_no_rows() -> None:
    assert refusal("H|", "T|0|0", totals=SUM).code == "no_rows"


@pytest.mark.parametrize("bad", ["D|9", "D|9|1.00|x", 'D|"9|1.00'])
def test_a_detail_that_cannot_be_split_counts_and_its_amount_is_missing(bad: str) -> None:
    assert len(read_lines("D|1|1.00", bad, "T|2|", totals=COUNT).rows) == 1
    error = refusal("D|1|1.00", bad, "T|2|1.00")
    assert error.detail == "1 records hold no amount that could be added up"


@pytest.mark.parametrize("amount", ["", "1,00", "1E2", "abc", "1.0000001", "0x10", "--1", "1 0"])
def test_an_amount_that_cannot_be_read_refuses_the_file_when_a_sum_is_stated(amount: str) -> None:
    lines = ["D|1|1.00", f"D|2|{amount}"]
    assert refusal(*lines, "T|2|1.00").code == "trailer_mismatch"
    assert len(read_lines(*lines, "T|2|1.00", totals=COUNT).rows) == 2


def test_amounts_may_be_negative_padded_and_signed() -> None:
    lines = ["D|1|-5.00", "D|2| 1.50 ", "D|3|+0.25", "D|4|0001.00", "D|5|-0"]
    assert len(read_lines(*lines, "T|5|-2.25").rows) == 5


def test_a_line_of_no_known_type_does_not_count() -> None:
    reading = read_lines("D|1|1.00", "X|2|9.00", "T|1|1.00")
    assert reading.malformed == {2: "unknown_record_type"}


def test_a_row_with_undecodable_bytes_counts() -> None:
    records = line_types(detail="D|", trailer="T|", totals=COUNT | SUM)
    layout = headerless("kind", "pan", "amount", delimiter="|", records=records)
    reading = read(b"D|1|1.00\nD|\xff|2.00\nT|2|3.00\n", layout)
    assert reading.malformed == {2: "invalid_encoding"}


def test_sums_of_long_amounts_are_exact() -> None:
    lines = ["D|1|" + "9" * 26 + ".999999", "D|2|0.000001", "D|3|0.000001"]
    assert read_lines(*lines, "T|3|1" + "0" * 26 + ".000001").rows
    error = refusal(*lines, "T|3|1" + "0" * 26 + ".000002")
    assert error.code == "trailer_mismatch"


@settings(max_examples=60)
@given(
    amounts=st.lists(
        st.decimals(-(10**9), 10**9, places=2, allow_nan=False), min_size=1, max_size=20
    ),
    error=st.sampled_from([Decimal(0), Decimal("0.01"), Decimal("-0.01")]),
)
def test_the_sum_is_that_of_the_amounts_and_no_other(
    amounts: list[Decimal], error: Decimal
) -> None:
    lines = [f"D|{at}|{amount:f}" for at, amount in enumerate(amounts)]
    trailer = f"T|{len(amounts)}|{sum(amounts) + error:f}"
    if error:
        assert refusal(*lines, trailer).code == "trailer_mismatch"
    else:
        assert len(read_lines(*lines, trailer).rows) == len(amounts)
