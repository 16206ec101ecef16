"""Each PAN of a record batch once, and where each of them stands."""

from __future__ import annotations

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.core.gather import GatheredPans, MetPans, gather
from pipeline.core.rows import CheckedRows

A, B, C = "4111111111111111", "5555555555554444", "378282246310005"


def checked(**columns: list[str | None]) -> CheckedRows:
    rows = len(next(iter(columns.values())))
    pans = {name: pa.array(cells, pa.string()) for name, cells in columns.items()}
    return CheckedRows(
        index=pa.array(range(rows), pa.int64()),
        pans=pans,
        encoded=pa.concat_arrays(list(pans.values())).dictionary_encode(),
        kept={},
        customer_ids=None,
        known_pans=pa.array([], pa.string()),
        faults=(),
    )


def pans_of(gathered: GatheredPans) -> list[bytes]:
    return [pan.encode() for pan in gathered.digits.to_pylist()]


def test_a_pan_is_gathered_once_however_often_it_stands() -> None:
    gathered = gather(checked(x=[A, B, A, None], y=[B, None, C, A]), [], one_time=False)
    assert sorted(pans_of(gathered)) == sorted(each.encode() for each in (A, B, C))
    digits = pans_of(gathered)
    for name, cells in {"x": [A, B, A, None], "y": [B, None, C, A]}.items():
        found = [
            None if at is None else digits[at].decode() for at in gathered.indices[name].to_pylist()
        ]
        assert found == cells


def test_a_pan_in_text_shares_the_place_of_the_same_pan_in_a_column() -> None:
    gathered = gather(checked(x=[A]), [C.encode(), A.encode(), C.encode()], one_time=False)
    assert pans_of(gathered) == [A.encode(), C.encode()]
    assert gathered.in_text == {A.encode(): 0, C.encode(): 1}


def test_one_time_takes_every_cell_by_itself() -> None:
    gathered = gather(checked(x=[A, None, A], y=[A, B, None]), [A.encode()], one_time=True)
    assert pans_of(gathered) == [each.encode() for each in (A, A, A, B, A)]
    assert gathered.indices["x"].to_pylist() == [0, None, 1]
    assert gathered.indices["y"].to_pylist() == [2, 3, None]
    assert gathered.in_text == {A.encode(): 4}


def test_a_pan_is_first_where_its_row_is_first_whatever_the_column() -> None:
    gathered = gather(checked(x=[A, B, C], y=[B, C, A]), [b"6011000990139424"], one_time=False)
    digits = [pan.decode() for pan in pans_of(gathered)]
    wanted = [digits.index(A), digits.index(B), digits.index(C), 3]
    assert gathered.first_rows(pa.array(wanted)).to_pylist() == [0, 0, 1, None]
    assert gathered.first_rows(pa.array([], pa.int64())).to_pylist() == []


def test_no_rows_hold_no_pans() -> None:
    for one_time in (False, True):
        gathered = gather(checked(x=[], y=[]), [], one_time=one_time)
        assert len(gathered.digits) == 0
        assert gathered.first_rows(pa.array([], pa.int64())).to_pylist() == []
        only_text = gather(checked(x=[]), [A.encode()], one_time=one_time)
        assert only_text.first_rows(pa.array([0])).to_pylist() == [None]


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
    digits = pans_of(gathered)
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
    for at, row in enumerate(gathered.first_rows(pa.arange(0, len(digits))).to_pylist()):
        rows = [
            number
            for number in range(len(cells))
            if any(places[number].as_py() == at for places in gathered.indices.values())
        ]
        assert row == min(rows, default=None)


def test_a_pan_that_was_met_is_known_by_its_token_and_no_other_one_is() -> None:
    met = MetPans()
    met.meet(pa.array([A, B]), pa.array(["tok_a", "tok_b"]))
    met.meet(pa.array([C]), pa.array(["tok_c"]))
    assert met.tokens(pa.array([B, C, "6011000990139424", A])).to_pylist() == [
        "tok_b",
        "tok_c",
        None,
        "tok_a",
    ]


def test_what_was_met_is_forgotten_when_it_grows_too_much() -> None:
    met = MetPans(most=2)
    met.meet(pa.array([A, B]), pa.array(["tok_a", "tok_b"]))
    assert met.tokens(pa.array([A, B])).to_pylist() == ["tok_a", "tok_b"]
    met.meet(pa.array([C]), pa.array(["tok_c"]))
    assert met.tokens(pa.array([A, B, C])).to_pylist() == [None, None, "tok_c"]
