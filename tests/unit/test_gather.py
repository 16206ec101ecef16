"""Each PAN of a record batch once, and where each of them stands."""

from __future__ import annotations

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.core.gather import gather
from pipeline.core.rows import CheckedRows

A, B, C = "4111111111111111", "5555555555554444", "378282246310005"


def checked(**columns: list[str | None]) -> CheckedRows:
    rows = len(next(iter(columns.values())))
    return CheckedRows(
        index=pa.array(range(rows), pa.int64()),
        pans={name: pa.array(cells, pa.string()) for name, cells in columns.items()},
        passed_on={},
        kept={},
        customer_ids=None,
        known_pans=[],
        faults=(),
    )


def test_a_pan_is_gathered_once_however_often_it_stands() -> None:
    gathered = gather(checked(x=[A, B, A, None], y=[B, None, C, A]), [], one_time=False)
    assert sorted(gathered.pans.digits) == sorted(each.encode() for each in (A, B, C))
    digits = gathered.pans.digits
    for name, cells in {"x": [A, B, A, None], "y": [B, None, C, A]}.items():
        found = [
            None if at is None else digits[at].decode() for at in gathered.indices[name].to_pylist()
        ]
        assert found == cells


def test_a_pan_in_text_shares_the_place_of_the_same_pan_in_a_column() -> None:
    gathered = gather(checked(x=[A]), [C.encode(), A.encode(), C.encode()], one_time=False)
    assert gathered.pans.digits == [A.encode(), C.encode()]
    assert gathered.in_text == {A.encode(): 0, C.encode(): 1}


def test_one_time_takes_every_cell_by_itself() -> None:
    gathered = gather(checked(x=[A, None, A], y=[A, B, None]), [A.encode()], one_time=True)
    assert gathered.pans.digits == [each.encode() for each in (A, A, A, B, A)]
    assert gathered.indices["x"].to_pylist() == [0, None, 1]
    assert gathered.indices["y"].to_pylist() == [2, 3, None]
    assert gathered.in_text == {A.encode(): 4}


def test_a_pan_is_first_where_its_row_is_first_whatever_the_column() -> None:
    gathered = gather(checked(x=[A, B, C], y=[B, C, A]), [b"6011000990139424"], one_time=False)
    digits = [pan.decode() for pan in gathered.pans.digits]
    wanted = [digits.index(A), digits.index(B), digits.index(C), 3]
    assert gathered.first_rows(wanted) == [0, 0, 1, None]
    assert gathered.first_rows([]) == []


def test_no_rows_hold_no_pans() -> None:
    for one_time in (False, True):
        gathered = gather(checked(x=[], y=[]), [], one_time=one_time)
        assert len(gathered.pans) == 0
        assert gathered.first_rows([]) == []
        only_text = gather(checked(x=[]), [A.encode()], one_time=one_time)
        assert only_text.first_rows([0]) == [None]


@settings(max_examples=150)
@given(
    cells=st.lists(st.tuples(*[st.sampled_from([A, B, C, None])] * 2), max_size=8),
    text=st.lists(st.sampled_from([A.encode(), C.encode(), b"6011000990139424"]), max_size=4),
    one_time=st.booleans(),
)
def test_every_cell_finds_its_pan_again(
    cells: list[tuple[str | None, str | None]], text: list[bytes], one_time: bool
) -> None:
    columns = {"x": [first for first, _ in cells], "y": [second for _, second in cells]}
    gathered = gather(checked(**columns), text, one_time=one_time)
    digits = gathered.pans.digits
    used: list[int] = list(gathered.in_text.values())
    for name, column in columns.items():
        places = gathered.indices[name].to_pylist()
        assert [None if at is None else digits[at].decode() for at in places] == column
        used += [at for at in places if at is not None]
    assert {digits[at] for at in gathered.in_text.values()} == set(text)
    assert set(used) == set(range(len(digits)))
    if one_time:
        assert len(used) == len(digits)
    else:
        assert len(set(digits)) == len(digits)
    for at, row in enumerate(gathered.first_rows(range(len(digits)))):
        rows = [
            number
            for number in range(len(cells))
            if any(places[number].as_py() == at for places in gathered.indices.values())
        ]
        assert row == min(rows, default=None)
