import csv
import io
import re
from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.core.layout_documents import parse_layout
from pipeline.samples import GENERATED_LAYOUTS, generate
from pipeline.samples.acquirer import ACQUIRER_FIELDS, write_acquirer_file
from pipeline.samples.cards import MAX_CARDS, luhn_check_digit, synthetic_pans
from pipeline.samples.randomness import draw_indexes, draw_skewed_indexes, seeded_random
from pipeline.samples.settlement import SETTLEMENT_COLUMNS, write_settlement_csv
from pipeline.samples.transactions import BLOCK_ROWS

BUILTIN = Path(__file__).parents[2] / "pipeline" / "layouts_builtin"
ISSUER_PREFIX = re.compile(r"[1456]|22(?:0[0-4]|2[1-9]|[3-9])|2[3-7]|3[05-9]|34|8[12]|9792")
few = settings(max_examples=12, deadline=None)
rows_of_a_file = st.integers(min_value=0, max_value=400)
cards_of_a_file = st.integers(min_value=1, max_value=400)
seeds = st.integers(min_value=0, max_value=2**32)


def settlement(rows: int, cards: int, seed: int, **options: Any) -> list[dict[str, str]]:
    stream = io.BytesIO()
    write_settlement_csv(stream, rows, cards, seed, **options)
    text = io.StringIO(stream.getvalue().decode(), newline="")
    return list(csv.DictReader(text, delimiter=options.get("delimiter", ","), strict=True))


def acquirer(rows: int, cards: int, seed: int, **options: Any) -> list[list[str]]:
    stream = io.BytesIO()
    write_acquirer_file(stream, rows, cards, seed, **options)
    return [line.split("|") for line in stream.getvalue().decode().splitlines()]


def could_be_a_pan(cell: str) -> bool:
    """Whether any 13 to 19 digits of the cell, separators ignored, would pass as a PAN."""
    digits = re.sub(r"[^0-9]", "", cell)
    windows = (
        digits[at : at + n] for n in range(13, 20) for at in range(max(0, len(digits) - n + 1))
    )
    return any(
        ISSUER_PREFIX.match(window) and luhn_check_digit(window[:-1]) == window[-1]
        for window in windows
    )


@few
@given(rows_of_a_file, cards_of_a_file, seeds)
def test_a_settlement_file_has_the_rows_asked_for(rows: int, cards: int, seed: int) -> None:
    read = settlement(rows, cards, seed)
    assert len(read) == rows
    assert all(tuple(row) == SETTLEMENT_COLUMNS for row in read)
    assert len({row["transaction_id"] for row in read}) == rows


@few
@given(rows_of_a_file, cards_of_a_file, seeds)
def test_every_card_pays_when_rows_suffice(rows: int, cards: int, seed: int) -> None:
    used = {row["card_number"] for row in settlement(rows, cards, seed)}
    known = set(synthetic_pans(cards, seed))
    assert used <= known
    assert rows < cards or used == known


@pytest.mark.parametrize("cards", [1, 17_000, 20_000])
def test_every_card_pays_in_a_file_of_several_blocks(cards: int) -> None:
    read = settlement(20_000, cards, 3)
    assert {row["card_number"] for row in read} == set(synthetic_pans(cards, 3))


def test_some_cards_pay_far_more_often_than_others() -> None:
    payments = Counter(row["card_number"] for row in settlement(20_000, 1_000, 5))
    tenth = sum(count for _, count in payments.most_common(100))
    assert tenth > 5_000
    assert min(payments.values()) < 15


def test_nothing_but_the_card_column_looks_like_a_pan() -> None:
    read = settlement(10_000, 500, 11)
    pans = {row["card_number"] for row in read}
    others = {cell for row in read for name, cell in row.items() if name != "card_number"}
    assert others.isdisjoint(pans)
    texts = {cell for cell in others if not re.fullmatch(r"[\d-]+T[\d:]+Z", cell)}
    assert [cell for cell in texts if could_be_a_pan(cell)] == []


def test_kept_columns_of_an_acquirer_file_do_not_look_like_a_pan() -> None:
    details = acquirer(5_000, 200, 11)[1:-1]
    not_scanned = {"card_number", "transaction_time"}
    scanned = [at for at, name in enumerate(ACQUIRER_FIELDS) if name not in not_scanned]
    assert not any(could_be_a_pan(fields[at]) for fields in details for at in scanned)


def test_rows_run_through_the_day_in_order_and_refer_to_its_hours() -> None:
    read = settlement(2_000, 10, 1)
    times = [row["transaction_time"] for row in read]
    assert times == sorted(times)
    assert (times[0][:10], times[-1][:16]) == ("2026-03-02", "2026-03-02T23:59")
    assert all(row["reference"][:6] == "6061" + row["transaction_time"][11:13] for row in read)
    assert {row["settlement_date"] for row in read} == {"2026-03-03", "2026-03-04"}


@pytest.mark.parametrize("delimiter", [";", "\t", "|", " ", "&"])
def test_any_delimiter_reads_back_to_the_same_cells(delimiter: str) -> None:
    assert settlement(500, 50, 9, delimiter=delimiter) == settlement(500, 50, 9)


@pytest.mark.parametrize("delimiter", ["", "7", "T", "-", '"', "\n", ";x"])
def test_a_delimiter_that_cells_are_made_of_is_refused(delimiter: str) -> None:
    with pytest.raises(ValueError, match="delimiter"):
        write_settlement_csv(io.BytesIO(), 1, 1, 1, delimiter=delimiter)


@few
@given(rows_of_a_file, cards_of_a_file, seeds)
def test_control_totals_agree_with_the_details(rows: int, cards: int, seed: int) -> None:
    header, *details, trailer = acquirer(rows, cards, seed)
    amount = ACQUIRER_FIELDS.index("amount")
    assert header[0] == "H"
    assert all(fields[0] == "D" and len(fields) == len(ACQUIRER_FIELDS) for fields in details)
    assert trailer[:2] == ["T", str(rows)]
    assert Decimal(trailer[2]) == sum(Decimal(fields[amount]) for fields in details)


def test_a_wrong_trailer_is_wrong_in_one_place_only() -> None:
    right, count, total = (
        acquirer(50, 5, 1, trailer=trailer) for trailer in ("right", "wrong_count", "wrong_sum")
    )
    assert right[:-1] == count[:-1] == total[:-1]
    assert (count[-1][1], count[-1][2]) == ("51", right[-1][2])
    assert total[-1][1] == "50"
    assert Decimal(total[-1][2]) - Decimal(right[-1][2]) == Decimal("0.01")


def test_refunds_are_negative_and_purchases_are_not() -> None:
    details = acquirer(2_000, 50, 1)[1:-1]
    assert {(f[6], f[7].startswith("-")) for f in details} == {("P", False), ("R", True)}


@pytest.mark.parametrize("layout", GENERATED_LAYOUTS)
def test_the_same_arguments_give_the_same_bytes_on_a_path_and_on_a_stream(
    layout: str, tmp_path: Path
) -> None:
    stream = io.BytesIO()
    generate(stream, layout=layout, rows=300, cards=40, seed=8)
    generate(tmp_path / "file", layout=layout, rows=300, cards=40, seed=8)
    assert (tmp_path / "file").read_bytes() == stream.getvalue()


@pytest.mark.parametrize("layout", GENERATED_LAYOUTS)
def test_progress_tells_the_rows_written_after_each_block(layout: str) -> None:
    told: list[int] = []
    rows = 2 * BLOCK_ROWS + 1
    generate(io.BytesIO(), layout=layout, rows=rows, cards=5, seed=1, progress=told.append)
    assert told == [BLOCK_ROWS, 2 * BLOCK_ROWS, rows]


class WriteSizes(io.BytesIO):
    def __init__(self) -> None:
        super().__init__()
        self.sizes: list[int] = []

    def write(self, data: Any) -> int:
        self.sizes.append(len(data))
        return len(data)


@pytest.mark.parametrize("layout", GENERATED_LAYOUTS)
def test_a_large_file_is_written_in_pieces_of_bounded_size(layout: str) -> None:
    stream = WriteSizes()
    generate(stream, layout=layout, rows=40_000, cards=10, seed=1)
    assert max(stream.sizes) < 200 * BLOCK_ROWS


@pytest.mark.parametrize(
    ("layout", "rows", "cards"),
    [
        ("unknown", 1, 1),
        ("card-present", -1, 1),
        ("card-present", 1, 0),
        ("card-present", 1, -1),
        ("acquirer-pipe", 1, MAX_CARDS + 1),
    ],
)
def test_refused_arguments_leave_an_existing_file_alone(
    layout: str, rows: int, cards: int, tmp_path: Path
) -> None:
    (tmp_path / "file").write_bytes(b"mine")
    with pytest.raises(ValueError, match=r"layout|rows"):
        generate(tmp_path / "file", layout=layout, rows=rows, cards=cards, seed=1)
    assert (tmp_path / "file").read_bytes() == b"mine"


def test_files_have_the_columns_of_their_layout() -> None:
    card_present = parse_layout((BUILTIN / "card-present.toml").read_bytes(), "card-present")
    pipe = parse_layout((BUILTIN / "acquirer-pipe.toml").read_bytes(), "acquirer-pipe")
    assert set(card_present.columns) == set(SETTLEMENT_COLUMNS)
    assert pipe.format.fields == ACQUIRER_FIELDS
    assert set(pipe.columns) == set(ACQUIRER_FIELDS)


class LargestDraw:
    def random(self) -> float:
        return 1 - 2.0**-53


@given(st.integers(min_value=1, max_value=MAX_CARDS))
def test_the_largest_draw_is_still_an_index(size: int) -> None:
    for draw in (draw_indexes, draw_skewed_indexes):
        assert draw(LargestDraw(), size, 1) == [size - 1]  # type: ignore[arg-type]


def test_draws_for_one_purpose_do_not_repeat_those_for_another() -> None:
    assert seeded_random(1, "cards").random() != seeded_random(1, "amounts").random()
