"""PANs in free text are told from other numbers by their shape and the words beside them."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.free_text import scores, total
from benchmarks.free_text_corpus import DECOYS, corpus
from pipeline.core.guard import find_pans, replaced
from pipeline.core.known_pans import KnownPans
from pipeline.core.text_pans import find_in_text_column, find_pans_in_text
from pipeline.core.text_surroundings import is_iban
from pipeline.samples.cards import synthetic_pans

PAN = "4111111111111111"
PANS = synthetic_pans(121, seed=5)
FAILS_LUHN = "4111111111111112"


def found(text: str) -> list[str]:
    return [hit.digits.decode() for hit in find_pans_in_text(text)]


@pytest.mark.parametrize(
    "text",
    [
        PAN,
        f"[{PAN}]",
        f"refund to {PAN}.",
        f"call me on my mobile, card {PAN}",
        f"customer gave it over the phone: {PAN}",
        f"a question about my order. {PAN} was charged",
        f"re my order, {PAN} was charged twice",
        f"order 123456789 card {PAN}",
        f"transaction for {PAN} was declined",
        f"{PAN} (order 55)",
        f"client {PAN} called",
        f"message: {PAN}",
        f"cardNumber={PAN}",
        f"card_no:{PAN},amt:100",
        f"PAN{PAN}",
        f"{PAN}F",
        f"{PAN}/1227/123",
        f"{PAN}|12|27|123",
        f"{PAN}exp1227cvv123",
        f"1. {PAN}",
        f"batch 7 - {PAN}",
        f"card/{PAN}",
        f"3,{PAN},100.00",
        f"2026-11-23 10:15 {PAN}",
        f"https://pay.example/?card={PAN}&x=1",
        f"0004{PAN[1:]}",
        "4111 1111 1111 1111",
        "4111 - 1111 - 1111 - 1111",
        "4111_1111_1111_1111",
        "4111.1111.1111.1111",
        "ref 4111 1111 1111 1111",
        "4111 1111 1111 1111 12/25 123",
        "4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1",
        "４１１１１１１１１１１１１１１１",
        f"номер карты {PAN}",
        "card 4111\n1111\n1111\n1111",
        "it is 41111111\r\n11111111",
        f"1234\n{PAN}\n5678",
        f"POS {PAN} DUBLIN IE",
        f"PURCHASE {PAN} 12.00",
        f"auth {PAN} declined",
        f"merchant {PAN}",
        f"declined (05) {PAN}",
        "4111\u00ad1111\u00ad1111\u00ad1111",
        "card \u202a4111\u202c \u202a1111\u202c \u202a1111\u202c \u202a1111\u202c",
        "4111\u200e1111\u200f1111\u20661111",
        f"body=card+{PAN}+exp",
        f"%22number%22%3A%22{PAN}%22",
        "card%204111%201111%201111%201111",
        f"account number {PAN} (credit card)",
        f"acct={PAN}",
        f"retrieval request {PAN} 6321",
        "room 214 4111 1111 1111 1111",
        "conf# 12345678 4111 1111 1111 1111",
        f"Guest: Smith / VI{PAN} / 1128",
        f"FP CC/VI{PAN}/1128",
        f"Kreditkarte:{PAN}",
        f"我的卡号是{PAN}",
        f"número do cartão {PAN}",
    ],
)
def test_a_card_number_is_found_in(text: str) -> None:
    assert found(text) in ([PAN], ["000" + PAN])


@pytest.mark.parametrize(
    "text",
    [
        "",
        f"ref {PAN}",
        f"reference number: {PAN}",
        f"processor ref. {PAN}",
        f"network_transaction_id={PAN}",
        f'{{"orderId": "{PAN}"}}',
        f"payment id {PAN}",
        f"Bestellnummer {PAN}",
        f"purchase order {PAN}",
        "merchant 378282246310005",
        "account 378282246310005",
        f"Vorgangsnummer {PAN}",
        f"commande n° {PAN}",
        f"заказ № {PAN}",
        f"订单号{PAN}",
        f"{PAN} is my tracking number",
        f"INV{PAN}",
        f"ORDER-{PAN}",
        f"JIRA-{PAN}",
        f"S/N {PAN}",
        f"Ordernr. {PAN}",
        f"1Z{PAN}",
        f"a{PAN}1b",
        f"https://shop.example/item/{PAN}",
        "+378282246310005",
        f"0.{PAN}",
        f"CA{PAN}",
        f"membership number {PAN}",
        "NIR 1 30 05 78 400 070 03",
        "20260302\n41111111\n11111111\n20260303",
        f"0,{PAN}",
        "lat 4.111111111111111",
        "phone 4915112345678",
        "0049 151 12345678",
        "41111111-1111-1111-4111-111111111111",
        "RRN 606100000001",
        "606100000001",
        "20260302101500",
        "1764000000000",
        FAILS_LUHN,
        f"card {FAILS_LUHN}",
        f"{PAN}{PAN}",
    ],
)
def test_no_card_number_is_seen_in(text: str) -> None:
    assert found(text) == []


def test_a_number_that_other_systems_use_more_often_needs_a_word_beside_it() -> None:
    maestro, uatp = "500000000009", "100000000000008"
    for number in (maestro, uatp):
        pan = number[:-1] + next(
            digit for digit in "0123456789" if find_pans_in_text(f"card {number[:-1]}{digit}")
        )
        assert found(pan) == []
        assert found(f"card {pan}") == [pan]


@pytest.mark.parametrize(
    "before", ["1234", "94105", "555-123-4567", "+1 555 123 4567", "30.11.2026"]
)
@pytest.mark.parametrize("card", ["4111 1111 1111 1111", "3782 822463 10005", "3056 930902 5904"])
def test_a_card_right_behind_another_number_is_found(before: str, card: str) -> None:
    assert found(f"{before} {card}") == [card.replace(" ", "")]


@pytest.mark.parametrize("behind", [" 12/27 123", " 1227 123", "\t12.50", "-12-27"])
def test_a_card_of_nineteen_digits_is_found_whatever_follows(behind: str) -> None:
    card = "4539 1488 0343 6467 123".replace(" ", behind[0] if behind[0] != "\t" else " ")
    assert found(card + behind) == ["4539148803436467123"]


@pytest.mark.parametrize("opening", ["(1) ", "Sent from my iPhone\n"])
def test_what_only_looks_like_a_telephone_does_not_hide_a_card(opening: str) -> None:
    assert found(opening + "378282246310005") == ["378282246310005"]


def test_a_number_of_a_national_scheme_is_found_where_it_is_called_a_card() -> None:
    national = "9112345678901237"
    assert found(f"card number {national}") == [national]
    assert found("card accepted; 9112 3456 7890 1237") == [national]
    assert found(national) == found("9112 3456 7890 1237") == []
    assert found("card 351234567890124") == []  # fifteen digits are no national card's


@pytest.mark.parametrize(
    "text",
    [
        "5551 2345 6755 57 65",
        "41111111.11111111",
        "41111111 - 11111111",
        "394 167 423 00430",
        "12.391197 - 1971-03-06",
    ],
)
def test_decimals_ranges_and_ids_in_threes_are_no_card(text: str) -> None:
    assert found(text) == []


@pytest.mark.parametrize("mark", [", ", " - ", ". ", "... ", "; "])
def test_a_card_dictated_digit_by_digit_is_found_where_it_is_called_a_card(mark: str) -> None:
    by_fours = mark.join(" ".join(PAN[at : at + 4]) for at in range(0, 16, 4))
    for spelt in (mark.join(PAN), by_fours):
        assert found(f"the card number is {spelt}") == [PAN]
    assert found("seats 4, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1") == []


@pytest.mark.parametrize(
    "text",
    [
        "sure it's "
        + "four one one one, "
        + "one one one one, " * 2
        + "one one one one, thank you",
        "Four-one-" + "double one " * 7,
        "vier " + "eins " * 15 + "bitte",
        "cuatro, " + "uno, " * 14 + "uno",
        "quatre un un un " + "un un un un " * 3,
    ],
)
def test_a_card_whose_digits_are_words_is_found(text: str) -> None:
    hits = find_pans_in_text(text)
    assert [hit.digits.decode() for hit in hits] == [PAN]
    assert find_in_text_column(pa.array(["", text])) == {1: hits}
    assert "one" not in replaced(text, hits, lambda _: "x").lower()


@pytest.mark.parametrize(
    "text",
    [
        "four " + "one " * 14 + "two",
        "tracking number four " + "one " * 15,
        "call four " + "one " * 12,
        "one or two of the seven",
    ],
)
def test_other_numbers_whose_digits_are_words_are_no_card(text: str) -> None:
    assert found(text) == []


@pytest.mark.parametrize("escape", ["\\u0020", "\\u00a0", "\\n", "\\t"])
def test_groups_that_escapes_part_are_a_card(escape: str) -> None:
    assert found('{"note": "' + escape.join(["4111", "1111", "1111", "1111"]) + '"}') == [PAN]


@pytest.mark.parametrize("card", ["305-6930-9025-904", "378 2822 46310 005"])
def test_a_card_grouped_in_threes_and_fours_is_found(card: str) -> None:
    assert found(card) == [card.replace("-", "").replace(" ", "")]


@pytest.mark.parametrize(
    "numbers",
    ["(555) 123-4567 1234-5678-9012", "555.123.4567 123456789012", "2345 6789 0123, 1111 2222"],
)
def test_two_other_numbers_in_a_row_are_no_card(numbers: str) -> None:
    assert found(numbers) == []


def test_two_cards_in_a_row_are_two_cards() -> None:
    assert found("4111 1111 1111 1111 5555 5555 5555 4444") == [PAN, "5555555555554444"]
    assert found(f"{PAN},5555555555554444") == [PAN, "5555555555554444"]


def test_a_unionpay_card_without_a_check_digit_is_found_where_it_is_called_a_card() -> None:
    assert found("card number 6212345678901230") == ["6212345678901230"]
    assert found("6212345678901230") == []


def test_an_account_number_is_known_by_its_check_digits() -> None:
    assert is_iban("DE89 3704 0044 0532 0130 00")
    assert not is_iban("DE88 3704 0044 0532 0130 00")


@pytest.mark.parametrize("seed", [1, 29, 4711, 90210])
def test_few_pans_are_missed_and_few_other_numbers_taken_for_one(seed: int) -> None:
    by_kind = scores(corpus(seed, each=200))
    assert total(by_kind).recall >= 0.99
    assert total(by_kind).precision >= 0.95
    for kind in by_kind.keys() & DECOYS.keys():
        most = 0.10 if kind == "16-digit numbers without a word" else 0.02
        assert by_kind[kind].mistaken <= most * by_kind[kind].samples, kind


@given(st.sampled_from(PANS), st.text(max_size=60), st.text(max_size=60))
def test_a_pan_of_the_file_is_found_whatever_stands_around_it(
    pan: str, before: str, after: str
) -> None:
    known = KnownPans(pa.array([pan]))
    text = before + pan + after
    left = replaced(text, find_pans_in_text(text, known), lambda _: "x")
    assert find_pans(left, known, full=False) == []


@given(st.sampled_from(["ref ", "IMEI ", "0.", "1Z", "https://x.y/", "tel +", "UUID "]))
def test_a_pan_of_the_file_is_found_behind_any_label(label: str) -> None:
    known = KnownPans(pa.array([FAILS_LUHN]))
    assert len(find_pans_in_text(f"{label}{FAILS_LUHN}", known)) == 1


@given(st.text())
def test_any_text_is_searched_without_an_error(text: str) -> None:
    assert isinstance(find_pans_in_text(text), list)


@given(
    st.lists(
        st.sampled_from([*PANS, "12", "4111", "card", "ref", " ", "-", ".", "000", "+", "(", "e"]),
        max_size=12,
    )
)
def test_hits_do_not_overlap_and_are_where_they_say(pieces: list[str]) -> None:
    text = "".join(pieces)
    end = 0
    for hit in find_pans_in_text(text, KnownPans(pa.array(PANS[:9]))):
        assert hit.start >= end
        end = hit.end
        digits = "".join(filter(str.isdigit, text[hit.start : hit.end]))
        assert digits.encode() == hit.digits


def test_a_column_is_searched_cell_by_cell() -> None:
    column = pa.array([None, "x", f"card {PAN}", f"ref {PAN}", "４１１１ 1111 1111 1111"])
    assert find_in_text_column(column).keys() == {2, 4}


@pytest.mark.parametrize("sign", ["", "é"])
def test_a_column_holds_what_its_cells_hold(sign: str) -> None:
    texts = [sample.text for sample in corpus(77, each=30)]
    texts += [f"card 4111{mark}1111{mark}1111{mark}1111" for mark in ("|", "·", "<b>", "&nbsp;")]
    column = pa.array([sign + text for text in texts])
    by_cell = [find_pans_in_text(cell) for cell in column.to_pylist()]
    expected = {at: hits for at, hits in enumerate(by_cell) if hits}
    assert find_in_text_column(column) == expected
    assert expected.keys() >= {len(texts) - 1, len(texts) - 4}


def test_a_long_text_of_digits_takes_time_in_proportion() -> None:
    digits = ("4 ", "4111 ", "4111-", f"{PAN} ", "card 41111 ")
    for piece in (*digits, "4, ", "4111|", "4111<b>", "four ", "double one "):
        assert isinstance(find_pans_in_text(piece * (40_000 // len(piece))), list)
