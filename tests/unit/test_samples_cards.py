import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.samples.cards import (
    CARD_RANGES,
    MAX_CARDS,
    SCHEDULE_CARDS,
    luhn_check_digit,
    synthetic_pans,
)

seeds = st.integers(min_value=0, max_value=2**64)
counts = st.integers(min_value=0, max_value=3 * SCHEDULE_CARDS)

# Prefixes as the schemes publish them, apart from the ranges under test.
ISSUER_PREFIX = re.compile(
    r"4|5[0-9]|6|3[0-9]|81|82|9792|1|22(?:2[1-9]|[3-9])|2[3-6]|27[01]|2720|220[0-4]"
)
SCHEME_PREFIX = {
    "visa": r"4",
    "mastercard": r"5[1-5]|222[1-9]|22[3-9]|2[3-6]|27[01]|2720",
    "amex": r"3[47]",
    "diners": r"30[0-5]|36|38|39",
    "discover": r"6011|64[4-9]|65",
    "jcb": r"35(?:2[89]|[3-8])",
    "unionpay": r"62|81",
    "maestro": r"50|5[6-9]|6",
    "rupay": r"60|65|81|82|508|353|356",
    "mir": r"220[0-4]",
    "troy": r"9792",
    "verve": r"5060[0-9]{2}|5061|50786|50787|5079",
    "uatp": r"1",
}
SCHEME_LENGTHS = {
    "visa": {13, 16, 19},
    "mastercard": {16},
    "amex": {15},
    "diners": {14},
    "discover": {16, 19},
    "jcb": {16, 17, 18, 19},
    "unionpay": {16, 17, 18, 19},
    "maestro": set(range(12, 20)),
    "rupay": {16},
    "mir": {16, 17, 18, 19},
    "troy": {16},
    "verve": {16, 18, 19},
    "uatp": {15},
}


def passes_luhn(digits: str) -> bool:
    doubled = [int(d) * (1 + at % 2) for at, d in enumerate(reversed(digits))]
    return sum(value - 9 * (value > 9) for value in doubled) % 10 == 0


@given(counts, seeds)
def test_every_number_is_a_luhn_valid_pan_with_an_issuer_prefix(count: int, seed: int) -> None:
    for pan in synthetic_pans(count, seed):
        assert re.fullmatch(r"[0-9]{12,19}", pan)
        assert ISSUER_PREFIX.match(pan)
        assert passes_luhn(pan)


@given(counts, seeds)
def test_numbers_are_distinct_and_as_many_as_asked_for(count: int, seed: int) -> None:
    pans = synthetic_pans(count, seed)
    assert len(pans) == count
    assert len(set(pans)) == count


@given(counts, counts, seeds)
def test_a_longer_list_of_the_same_seed_begins_with_the_shorter(a: int, b: int, seed: int) -> None:
    short, long = sorted((a, b))
    assert synthetic_pans(long, seed)[:short] == synthetic_pans(short, seed)


def test_another_seed_gives_other_numbers() -> None:
    assert set(synthetic_pans(200, 1)).isdisjoint(synthetic_pans(200, 2))


def test_numbers_stay_distinct_over_many_turns_of_the_schedule() -> None:
    assert len(set(synthetic_pans(100_000, 7))) == 100_000


@given(seeds)
def test_one_turn_of_the_schedule_holds_every_range_at_every_length(seed: int) -> None:
    pans = synthetic_pans(SCHEDULE_CARDS, seed)
    for card_range in CARD_RANGES:
        own = [len(pan) for pan in pans if pan.startswith(card_range.prefix)]
        assert set(card_range.lengths) <= set(own)


def test_ranges_keep_to_the_prefixes_of_their_scheme() -> None:
    for card_range in CARD_RANGES:
        assert re.match(SCHEME_PREFIX[card_range.scheme], card_range.prefix)


def test_ranges_cover_the_lengths_of_every_scheme() -> None:
    covered: dict[str, set[int]] = {}
    for card_range in CARD_RANGES:
        covered.setdefault(card_range.scheme, set()).update(card_range.lengths)
    assert covered == SCHEME_LENGTHS


def test_no_two_ranges_of_a_length_can_give_the_same_number() -> None:
    kinds = [(length, r.prefix) for r in CARD_RANGES for length in r.lengths]
    for at, (length, prefix) in enumerate(kinds):
        for other_length, other in kinds[at + 1 :]:
            assert length != other_length or not (
                prefix.startswith(other) or other.startswith(prefix)
            )


def test_check_digits_agree_with_published_test_numbers() -> None:
    for pan in ("4111111111111111", "378282246310005", "30569309025904", "6205500000000000004"):
        assert luhn_check_digit(pan[:-1]) == pan[-1]


@pytest.mark.parametrize("count", [-1, MAX_CARDS + 1])
def test_more_cards_than_there_are_is_refused(count: int) -> None:
    with pytest.raises(ValueError, match="number of cards"):
        synthetic_pans(count, 1)
