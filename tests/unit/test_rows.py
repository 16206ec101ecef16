"""Which rows go on to be tokenized, and why the others do not."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.core.layouts import Layout
from pipeline.core.rows import MAX_CUSTOMER_ID_BYTES, CheckedRows, Fault, check_rows

GOOD, OTHER, BAD_LUHN = "4111111111111111", "5555555555554444", "4111111111111112"


def layout(columns: dict[str, Any], **options: Any) -> Layout:
    given = {"pan": {"role": "pan"}} | columns
    return Layout.model_validate({"name": "x", "columns": given, "options": options})


def check(columns: dict[str, list[str]], checked_by: Layout) -> CheckedRows:
    arrays = {name: pa.array(cells, pa.string()) for name, cells in columns.items()}
    return check_rows(pa.RecordBatch.from_pydict(arrays), checked_by)


def test_good_rows_stay_in_order_and_know_where_they_stood() -> None:
    checked = check(
        {"pan": [GOOD, "x", "4111 1111", OTHER], "n": ["1", "2", "3", "4"]},
        layout({"n": {"role": "keep", "type": "integer"}}),
    )
    assert checked.index.to_pylist() == [0, 3]
    assert checked.index.type == pa.int64()
    assert checked.pans["pan"].to_pylist() == [GOOD, OTHER]
    assert checked.kept["n"].to_pylist() == [1, 4]
    assert checked.faults == (Fault(1, "pan_masked", "pan"), Fault(2, "pan_too_short", "pan"))
    assert checked.customer_ids is None


def test_a_row_with_several_faults_is_rejected_for_the_first_column_of_the_file() -> None:
    by = layout({"n": {"role": "keep", "type": "integer"}, "on": {"role": "keep", "type": "date"}})
    columns = {"on": ["x", "2024-01-01"], "pan": ["", ""], "n": ["x", "x"]}
    checked = check(columns, by)
    assert checked.faults == (Fault(0, "invalid_date", "on"), Fault(1, "pan_empty", "pan"))
    assert len(checked.index) == 0


@pytest.mark.parametrize("kind", ["integer", "decimal(5,2)", "date", "timestamp", "boolean"])
def test_a_cell_that_is_not_of_its_type_rejects_its_row(kind: str) -> None:
    by = layout({"c": {"role": "keep", "type": kind}})
    checked = check({"pan": [GOOD, GOOD], "c": ["?", ""]}, by)
    assert checked.faults == (Fault(0, f"invalid_{kind.partition('(')[0]}", "c"),)
    assert checked.kept["c"].to_pylist() == [None]


def test_a_failed_check_digit_rejects_only_where_the_layout_requires_it() -> None:
    columns = {"pan": [GOOD, BAD_LUHN, ""]}
    counting = layout({"pan": {"role": "pan", "luhn": "count", "empty": "keep"}})
    requiring = layout({"pan": {"role": "pan", "luhn": "require", "empty": "keep"}})
    assert check(columns, counting).pans["pan"].to_pylist() == [GOOD, BAD_LUHN, None]
    checked = check(columns, requiring)
    assert checked.pans["pan"].to_pylist() == [GOOD, None]
    assert checked.faults == (Fault(1, "pan_luhn", "pan"),)


def test_every_pan_is_known_those_of_rejected_rows_too() -> None:
    by = layout({"b": {"role": "pan", "luhn": "require"}, "n": {"role": "keep", "type": "integer"}})
    columns = {"pan": [GOOD, GOOD, OTHER], "b": [OTHER, BAD_LUHN, OTHER], "n": ["1", "1", "x"]}
    checked = check(columns, by)
    assert checked.index.to_pylist() == [0]
    assert sorted(checked.known_pans.to_pylist()) == sorted((GOOD, OTHER, BAD_LUHN))


def test_text_and_dropped_columns() -> None:
    by = layout({"note": {"role": "text"}, "gone": {"role": "drop"}})
    checked = check({"pan": [GOOD], "note": [f"see {GOOD}"], "gone": ["x"], "other": ["y"]}, by)
    assert list(checked.kept) == ["note"]
    assert checked.kept["note"].to_pylist() == [f"see {GOOD}"]


def test_customer_ids_follow_their_rows() -> None:
    by = layout({}, customer_id="who")
    checked = check({"pan": [GOOD, "x", OTHER], "who": ["a", "b", ""]}, by)
    assert checked.customer_ids is not None
    assert checked.customer_ids.to_pylist() == ["a", ""]


@pytest.mark.parametrize("who", [GOOD, f"id {BAD_LUHN}", "4111-1111-1111-1111", "378282246310005"])
def test_a_customer_id_with_a_card_number_rejects_its_row(who: str) -> None:
    by = layout({}, customer_id="who")
    checked = check({"pan": [GOOD, BAD_LUHN], "who": [who, "b"]}, by)
    assert checked.faults == (Fault(0, "guard_hit", "who"),)


def test_a_customer_id_that_is_too_long_for_the_vault_rejects_its_row() -> None:
    by = layout({}, customer_id="who")
    longest = "x" * MAX_CUSTOMER_ID_BYTES
    cells = [longest, longest + "x", "é" * MAX_CUSTOMER_ID_BYTES]
    checked = check({"pan": [GOOD] * 3, "who": cells}, by)
    assert checked.index.to_pylist() == [0]
    assert {fault.reason for fault in checked.faults} == {"customer_id_too_long"}


def test_a_record_batch_without_rows_is_checked() -> None:
    by = layout({"n": {"role": "keep", "type": "date"}}, customer_id="who")
    checked = check({"pan": [], "n": [], "who": []}, by)
    assert len(checked.index) == 0
    assert checked.faults == ()
    assert len(checked.known_pans) == 0


CELLS = st.sampled_from([GOOD, BAD_LUHN, OTHER, "", "x", "4111", " ", "1E5", "2024-01-01", "12.5"])


@settings(max_examples=150)
@given(st.lists(st.tuples(CELLS, CELLS, CELLS, CELLS), max_size=8))
def test_every_row_is_either_good_or_has_one_fault(rows: list[tuple[str, ...]]) -> None:
    names = ("pan", "b", "on", "amount")
    by = layout(
        {
            "b": {"role": "pan", "empty": "keep", "luhn": "require"},
            "on": {"role": "keep", "type": "date"},
            "amount": {"role": "keep", "type": "decimal(5,2)"},
        }
    )
    checked = check({name: [row[at] for row in rows] for at, name in enumerate(names)}, by)
    good, bad = checked.index.to_pylist(), [fault.index for fault in checked.faults]
    assert good == sorted(good)
    assert bad == sorted(bad)
    assert sorted([*good, *bad]) == list(range(len(rows)))
    for array in (*checked.pans.values(), *checked.kept.values()):
        assert len(array) == len(good)
    assert checked.pans["pan"].null_count == 0
