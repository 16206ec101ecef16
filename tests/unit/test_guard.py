"""The guard finds PANs where none may be."""

from __future__ import annotations

from decimal import Decimal

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core import guard
from pipeline.core.guard import find_pans, redacted, replaced
from pipeline.core.guard_columns import find_in_column, windows
from pipeline.core.known_pans import KnownPans, beginnings_of
from pipeline.core.pans import has_issuer_prefix, passes_luhn
from pipeline.core.text_pans import find_pans_in_text
from pipeline.samples.cards import synthetic_pans

PAN = "4111111111111111"
FAILS_LUHN = "4111111111111112"
PANS = synthetic_pans(121, seed=5)


def known_pans(pans: list[bytes]) -> KnownPans:
    return KnownPans(pa.array([pan.decode() for pan in pans], pa.string()))


@pytest.mark.parametrize(
    "text",
    [
        PAN,
        f"paid with {PAN}, thanks",
        "4111 1111 1111 1111",
        "4111-1111-1111-1111",
        "4111.1111.1111.1111",
        "4111  1111  1111  1111",
        f"id{PAN}x",
        f";{PAN}=25121011234567890?",
        f"000{PAN}",
        f"2026 {PAN}",
        f"{PAN} 12",
        "４１１１１１１１１１１１１１１１",
        "٤١١١ ١١١١ ١١١١ ١١١١",
        "4111\u200b1111\u200b1111\u200b1111",
        "4111–1111–1111–1111",
        "4111\t1111\t1111\t1111",
    ],
)
def test_a_card_number_is_found_in(text: str) -> None:
    hits = find_pans(text)
    assert [hit.digits for hit in hits] == [PAN.encode()]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1.197.201.2",
        "192.168.100.200",
        "2016-02-03T07:55:29Z",
        "20260302101500",
        "1764000000000",
        "606100000001",
        FAILS_LUHN,
        "41111111111111111111",
        "tok_f52jhzrikflpf3q74jjzl5mylk",
        "+1 (555) 010-9999",
        "1E+02",
    ],
)
def test_no_card_number_is_seen_in(text: str) -> None:
    assert find_pans(text) == []


MARKED = [
    "4111|1111|1111|1111",
    "4111,1111,1111,1111",
    "4111 * 1111 * 1111 * 1111",
    "4111</b><b>1111</b><b>1111</b><b>1111",
    "4111&nbsp;1111&nbsp;1111&nbsp;1111",
    "4111x1111x1111x1111",
    "٤١١١|١١١١|١١١١|١١١١",
]


@pytest.mark.parametrize("card", MARKED)
def test_a_kept_cell_shows_no_card_whose_groups_are_parted_by_marks(card: str) -> None:
    column = pa.array(["nothing", f"card {card}, thanks", None, PAN])
    hits = find_in_column(column).hits
    assert {at: [hit.digits for hit in found] for at, found in hits.items()} == {
        1: [PAN.encode()],
        3: [PAN.encode()],
    }


@pytest.mark.parametrize("card", MARKED)
def test_a_mistyped_card_of_the_file_is_seen_between_marks_too(card: str) -> None:
    mistyped = card[:-1] + "2"
    assert find_in_column(pa.array([mistyped])).hits == {}
    assert find_in_column(pa.array([mistyped]), known_pans([FAILS_LUHN.encode()])).hits


@pytest.mark.parametrize("list_of_groups", ["{0}|1234|5678|9012", "7|4321|{0}|1234|5678|9012"])
def test_a_card_of_the_file_is_seen_in_a_list_of_numbers(list_of_groups: str) -> None:
    known = known_pans([PAN.encode()])
    cell = list_of_groups.format("4111|1111|1111|1111")

    column = pa.array([cell])

    assert not find_in_column(column).hits
    assert [hit.digits for hit in find_in_column(column, known).hits[0]] == [PAN.encode()]
    assert [hit.digits for hit in find_pans_in_text(cell, known)] == [PAN.encode()]


DIGIT_BY_DIGIT = "|".join(PAN)


@pytest.mark.parametrize(
    "cell",
    [f"7|{DIGIT_BY_DIGIT}", f"{DIGIT_BY_DIGIT}|1|2|2|9", f"7|8|{DIGIT_BY_DIGIT}|1|2|2|9|3|2|1"],
)
def test_a_card_of_the_file_is_seen_digit_by_digit_in_a_longer_list(cell: str) -> None:
    hits = find_in_column(pa.array([cell]), known_pans([PAN.encode()])).hits
    assert [(hit.digits, cell[hit.start : hit.end]) for hit in hits[0]] == [
        (PAN.encode(), DIGIT_BY_DIGIT)
    ]


@pytest.mark.parametrize("digits", [17, 18, 19])
@pytest.mark.parametrize("mark", ["|", " | ", "&nbsp;", "</b><b>"])
def test_groups_of_a_long_card_of_the_file_may_be_parted_by_marks(digits: int, mark: str) -> None:
    pan = next(pan for pan in PANS if len(pan) == digits)
    groups = [pan[at : at + 4] for at in range(0, digits, 4)]

    hits = find_in_column(pa.array([mark.join(groups)]), known_pans([pan.encode()])).hits

    assert [hit.digits for hit in hits[0]] == [pan.encode()]


@pytest.mark.parametrize("known", [[], [PAN.encode()]])
def test_a_code_behind_a_card_is_no_part_of_it(known: list[bytes]) -> None:
    cells = [f"card {MARKED[0]}|{code:03d}" for code in range(1000)]

    scan = find_in_column(pa.array(cells), known_pans(known))

    assert [scan.hits[at][0].digits for at in range(1000)] == [PAN.encode()] * 1000
    in_text = [find_pans_in_text(cell, known_pans(known)) for cell in cells]
    assert [[hit.digits for hit in hits] for hits in in_text] == [[PAN.encode()]] * 1000


@pytest.mark.parametrize(
    "text", ["4 3836 5412 3016 6131 8603", "3_5_4_1_2_3_0_1_6_6_1_3_1_8_6_0_3"]
)
def test_a_card_of_the_file_is_found_rather_than_one_by_chance(text: str) -> None:
    pan = b"5412301661318603"
    hits = find_in_column(pa.array([text]), known_pans([pan])).hits
    assert [hit.digits for hit in hits[0]] == [pan]


@pytest.mark.parametrize("card", ["5000|5586|3467", "4222|2222|2222|2", "3056|9309|0259|04"])
def test_short_groups_between_marks_are_seen_where_they_are_a_card_of_the_file(card: str) -> None:
    digits = card.replace("|", "").encode()
    for cell in (card, f"{card}|7777|8888"):
        column = pa.array([cell])
        assert not find_in_column(column).hits
        hits = find_in_column(column, known_pans([digits])).hits
        assert [hit.digits for hit in hits[0]] == [digits]


def test_what_may_be_a_card_of_the_file_is_looked_for_between_marks() -> None:
    column = pa.array(
        ["4111|1111|1111|1111|1234|5678", "5111|1111|1111|1111", f"1|{DIGIT_BY_DIGIT}"]
    )
    assert set(windows(column, {16}, pa.array([PAN[:6]]))) == {PAN.encode()}
    assert find_in_column(column).longest == len(column[2].as_py())


def test_an_exempted_column_shows_no_card_of_the_file_between_marks() -> None:
    column = pa.array([MARKED[0]])
    assert find_in_column(column, known_pans([PAN.encode()]), full=False).hits


@pytest.mark.parametrize(
    "text",
    [
        "4111|1111|1111|1112",
        "0111|1111|1111|1111",
        "2019, 4111, 1111, 1111, 1111, 2020",
        "4111|1111\n1111|1111",
        "id-4111-abcd-1111-1111",
    ],
)
def test_other_numbers_that_marks_part_are_no_card(text: str) -> None:
    assert find_in_column(pa.array([text])).hits == {}


def test_an_exempted_column_is_not_searched_for_groups_between_marks() -> None:
    assert find_in_column(pa.array(MARKED), full=False).hits == {}


@pytest.mark.parametrize("pan", [pan for pan in PANS if len(pan) >= 13])
def test_every_scheme_is_known(pan: str) -> None:
    assert [hit.digits for hit in find_pans(f"<{pan}>")] == [pan.encode()]


def test_a_pan_of_the_file_is_found_whatever_its_check_digit() -> None:
    known = known_pans([FAILS_LUHN.encode()])
    assert [hit.digits for hit in find_pans(FAILS_LUHN, known, full=False)] == [FAILS_LUHN.encode()]


def test_a_pan_of_the_file_is_found_inside_a_longer_number() -> None:
    known = known_pans([FAILS_LUHN.encode(), b"500000000009"])
    for text in (f"99{FAILS_LUHN}7", "x500000000009", f"0{FAILS_LUHN[:8]}-{FAILS_LUHN[8:]}5"):
        assert len(find_pans(text, known, full=False)) == 1


def test_an_exempted_column_is_still_searched_for_pans_of_the_file() -> None:
    column = pa.array([PAN, FAILS_LUHN, "x"])
    assert find_in_column(column, known_pans([FAILS_LUHN.encode()]), full=False).hits.keys() == {1}


@pytest.mark.parametrize("full", [True, False])
@pytest.mark.parametrize(
    "column",
    [
        pa.array([7, 100000000000], pa.int64()),
        pa.array([None, -100000000000], pa.int64()),
        pa.array([Decimal("7.00"), Decimal("1000000000.00")], pa.decimal128(20, 2)),
        pa.array([Decimal("7.00"), Decimal("100000000000.00")], pa.decimal128(20, 2)),
        pa.array([Decimal(7), Decimal("0.100000000000")], pa.decimal128(20, 12)),
    ],
    ids=["integer", "negative", "decimals included", "before the point", "behind the point"],
)
def test_the_smallest_number_that_can_be_a_pan_is_searched(column: pa.Array, full: bool) -> None:
    known = known_pans([b"100000000000"])
    assert find_in_column(column, known, full=full).hits.keys() == {1}


def test_the_smallest_number_that_can_look_like_a_card_is_searched() -> None:
    column = pa.array([4000000000006, 400000000000], pa.int64())
    assert find_in_column(column).hits.keys() == {0}


@pytest.mark.parametrize("before", ["", "9", "9876543"])
def test_the_shortest_pan_is_found_at_the_very_end_of_a_cell(before: str) -> None:
    column, pan = pa.array(["x", before + "500000000009"]), b"500000000009"
    assert find_in_column(column, known_pans([pan]), full=False).hits.keys() == {1}
    assert windows(column, {12}, beginnings_of(pa.array([pan.decode()]))) == [pan]


def test_two_pans_are_two_although_a_number_across_both_is_like_a_card() -> None:
    pans = [b"373663101184327", b"30577411599005"]
    cell = "3736 631011 84327 3057 741159 9005"
    hits = find_in_column(pa.array([cell]), known_pans(pans)).hits[0]
    assert [hit.digits for hit in hits] == pans


def test_pans_that_touch_are_both_found() -> None:
    known = known_pans([FAILS_LUHN.encode(), b"500000000009"])
    for text in (f"{FAILS_LUHN}500000000009", f"500000000009{FAILS_LUHN}500000000009"):
        assert replaced(text, find_pans(text, known), lambda _: "") == ""


@given(st.sampled_from(PANS), st.text(max_size=20), st.text(max_size=20))
def test_a_pan_of_the_file_never_gets_through(pan: str, before: str, after: str) -> None:
    text = before + pan + after
    hits = find_pans(text, known_pans([pan.encode()]))
    assert pan not in replaced(text, hits, lambda _: "")


@given(st.text())
def test_any_text_is_searched_without_an_error(text: str) -> None:
    assert redacted(text) is not None


@given(st.lists(st.sampled_from([*PANS, "12", "ab", " ", "-", "000"]), max_size=8))
def test_hits_do_not_overlap_and_are_where_they_say(pieces: list[str]) -> None:
    text = "".join(pieces)
    end = 0
    for hit in find_pans(text, known_pans([pan.encode() for pan in PANS])):
        assert hit.start >= end
        end = hit.end
        digits = "".join(filter(str.isdigit, text[hit.start : hit.end]))
        assert digits.encode() == hit.digits


@pytest.mark.parametrize(
    "column",
    [
        pa.array([1, int(PAN)], pa.int64()),
        pa.array([None, -int(PAN)], pa.int64()),
        pa.array([Decimal("1.00"), Decimal(PAN + ".00")], pa.decimal128(20, 2)),
        pa.array([None, PAN], pa.string()),
    ],
)
def test_numbers_are_searched_like_text(column: pa.Array) -> None:
    assert find_in_column(column).hits.keys() == {1}


@pytest.mark.parametrize(
    "column",
    [
        pa.array([], pa.string()),
        pa.array([None, None], pa.string()),
        pa.array([1, 2], pa.int64()),
        pa.array([None], pa.decimal128(20, 2)),
        pa.array([True]),
        pa.array(["short"]),
    ],
)
def test_a_column_without_room_for_a_pan_has_no_suspects(column: pa.Array) -> None:
    scan = find_in_column(column)
    assert (scan.hits, scan.longest) == ({}, 0)


def test_digits_of_other_scripts_are_digits_in_a_column_too() -> None:
    column = pa.array(["x", None, "４１１１１１１１１１１１１１１１", "é"])
    assert find_in_column(column).hits.keys() == {2}


def test_redaction_leaves_the_rest_of_the_text() -> None:
    assert redacted(f"card {PAN} declined") == "card [PAN removed] declined"


def test_windows_are_all_runs_of_digits_that_begin_like_one_of_the_pans() -> None:
    begins = beginnings_of(pa.array([FAILS_LUHN]))
    other = "5" + FAILS_LUHN[1:]
    column = pa.array(
        [f"ref {FAILS_LUHN}", f"7{FAILS_LUHN}9", other, None, f"{other}x{FAILS_LUHN}"]
    )
    assert windows(column, {16}, begins) == [FAILS_LUHN.encode()] * 3
    assert windows(column, {17}, begins) == [f"{FAILS_LUHN}9".encode()]
    assert windows(column, {16}, beginnings_of(pa.array([], pa.string()))) == []


@given(
    digits=st.text("0123456789", max_size=30), pan=st.text("0123456789", min_size=12, max_size=19)
)
def test_no_pan_escapes_the_windows(digits: str, pan: str) -> None:
    column = pa.array([f"{digits}{pan}{digits}", f"x{pan} ", pan])
    found = windows(column, {len(pan)}, beginnings_of(pa.array([pan])))
    assert found.count(pan.encode()) >= 3


def test_a_hit_does_not_show_its_digits() -> None:
    assert PAN not in repr(find_pans(PAN))
    assert not passes_luhn(FAILS_LUHN.encode())


def spans_of_all_groups(text: str) -> set[tuple[int, int]]:
    """Every pair of edges between groups looked at: what the guard must find, only slower."""
    groups = text.split()
    edges = [sum(map(len, groups[:at])) for at in range(len(groups) + 1)]
    digits = "".join(groups)
    found = set()
    for first, start in enumerate(edges):
        for end in edges[first + 1 :]:
            bare = digits[start:end].lstrip("0").encode()
            is_short = end - start <= 38 and 13 <= len(bare) <= 19
            if is_short and has_issuer_prefix(bare) and passes_luhn(bare):
                found.add((end - len(bare), end))
    return found


GROUPS = st.lists(
    st.one_of(
        st.sampled_from(["0", "00000", "4", "1", "4111", "1111", PAN, "0" * 20, "378282246310005"]),
        st.text("0123456789", min_size=1, max_size=20),
    ),
    min_size=1,
    max_size=40,
)


@given(GROUPS)
def test_no_span_of_groups_is_left_out(groups: list[str]) -> None:
    text = " ".join(groups)
    found = guard._card_like_spans(text, "".join(groups))
    assert set(found) == spans_of_all_groups(text)


@pytest.mark.parametrize("groups", ["4 1 ", "0 ", "4111 1", "00000000000004 ", PAN + " "])
def test_what_a_digit_costs_does_not_grow_with_the_cell(
    groups: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = 0

    def counted(digits: bytes) -> bool:
        nonlocal looks
        looks += 1
        return False

    monkeypatch.setattr(guard, "is_card_like", counted)
    text = groups * (1_000_000 // len(groups))
    assert find_pans(text) == []
    assert looks <= 7 * len(text.split())
