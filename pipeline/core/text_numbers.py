"""What the first digits, the length and the check digit of a number say for its being a card's."""

from __future__ import annotations

from pipeline.core.pans import MAX_PAN_DIGITS, MIN_PAN_DIGITS, passes_luhn, scheme_of

# Lengths that a scheme issues: those that say card by themselves, and those that other systems
# use more often (RRN 12, GTIN 13, IMEI 15, tracking numbers 12 to 18), which need a word beside.
_NONE: frozenset[int] = frozenset()
_LENGTHS = {
    "visa": (frozenset({13, 16, 19}), _NONE),
    "mastercard": (frozenset({16}), _NONE),
    "amex": (frozenset({15}), _NONE),
    "diners": (frozenset({14, 16}), frozenset({19})),
    "discover": (frozenset({16, 19}), frozenset({17, 18})),
    "jcb": (frozenset({16, 19}), frozenset({17, 18})),
    "unionpay": (frozenset({16, 19}), frozenset({17, 18})),
    "maestro": (frozenset({16, 19}), frozenset({12, 13, 14, 15, 17, 18})),
    "rupay": (frozenset({16}), frozenset({19})),
    "mir": (frozenset({16, 19}), frozenset({17, 18})),
    "troy": (frozenset({16}), _NONE),
    "verve": (frozenset({16, 19}), frozenset({18})),
    "uatp": (_NONE, frozenset({15})),
}
# No prefixes for the strict guard: Humo and UzCard, JCB's 2131 of old, 35 as test data has it for
# JCB, enRoute of old, and Maestro's 0604.
_RARE: dict[int, tuple[str, ...]] = {
    12: ("0604",),
    15: ("2131", "2014", "2149"),
    16: ("9860", "8600", "35"),
}
# ISO/IEC 7812-1 leaves 9 to national schemes (Prostir, NAPAS, Belkart, Korea's); parcels begin so.
_NATIONAL = {16: ("9",), 19: ("9",)}

OWN_LENGTH = 2
_OTHER_LENGTH = -1
_NATIONAL_PREFIX = -3
_NO_CHECK_DIGIT = -5  # some UnionPay cards; only a word right beside makes up for it


def weight_of_number(digits: str) -> int | None:
    """What a number says by itself; None if no scheme issues such a number."""
    if not MIN_PAN_DIGITS <= len(digits) <= MAX_PAN_DIGITS:
        return None
    pan = digits.encode("ascii")
    scheme = scheme_of(pan)
    weight = _weight_of_prefix(digits) if scheme == "unknown" else _weight_of_length(scheme, digits)
    if weight is None or passes_luhn(pan):
        return weight
    return weight + _NO_CHECK_DIGIT if scheme == "unionpay" else None


def is_rare(digits: str) -> bool:
    """Whether a number is of a scheme that the strict guard does not know."""
    return digits.startswith(_RARE.get(len(digits), ()))


def _weight_of_length(scheme: str, digits: str) -> int | None:
    own, others = _LENGTHS[scheme]
    if len(digits) in own:
        return OWN_LENGTH
    return _OTHER_LENGTH if len(digits) in others else None


def _weight_of_prefix(digits: str) -> int | None:
    if is_rare(digits):
        return _OTHER_LENGTH
    is_national = digits.startswith(_NATIONAL.get(len(digits), ()))
    return _NATIONAL_PREFIX if is_national else None
