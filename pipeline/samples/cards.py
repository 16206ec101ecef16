"""Synthetic card numbers of every scheme and length, none of them anybody's.

Where payment service providers, gateways or schemes publish test card numbers (the public
testing pages of Stripe, Adyen, Braintree, PayPal, Authorize.Net, Mastercard Gateway, iyzico,
Interswitch), the issuer prefix is that of a published number. Elsewhere it is the scheme's
prefix followed by zeros: plainly made up. Every number ends in a Luhn check digit
(ISO/IEC 7812-1, annex B).
"""

from itertools import islice
from math import gcd
from typing import NamedTuple

from pipeline.samples.randomness import seeded_random, shuffled


class CardRange(NamedTuple):
    """Numbers of one scheme that begin alike.

    `weight` says how common each length is: cards of this range per turn of the schedule.
    """

    scheme: str
    prefix: str
    lengths: tuple[int, ...]
    weight: int = 1


class CardKind(NamedTuple):
    """One prefix at one length, with the number of bodies that fit between prefix and check."""

    prefix: str
    length: int
    weight: int

    @property
    def body_digits(self) -> int:
        """Digits between the prefix and the check digit."""
        return self.length - len(self.prefix) - 1


CARD_RANGES = (
    CardRange("visa", "411111", (16,), 10),
    CardRange("visa", "424242", (16,), 10),
    CardRange("visa", "400000", (16,), 10),
    CardRange("visa", "401288", (16,), 10),
    CardRange("visa", "422222", (13,)),
    CardRange("visa", "400000", (19,)),
    CardRange("mastercard", "555555", (16,), 8),
    CardRange("mastercard", "510510", (16,), 8),
    CardRange("mastercard", "520082", (16,), 8),
    CardRange("mastercard", "222300", (16,), 8),
    CardRange("amex", "378282", (15,), 4),
    CardRange("amex", "371449", (15,), 4),
    CardRange("amex", "340353", (15,)),
    CardRange("diners", "305693", (14,)),
    CardRange("diners", "362272", (14,)),
    CardRange("diners", "385200", (14,)),
    CardRange("discover", "601111", (16,), 3),
    CardRange("discover", "601100", (16, 19)),
    CardRange("jcb", "353011", (16, 17, 18, 19)),
    CardRange("jcb", "356600", (16,)),
    CardRange("unionpay", "620000", (16, 17, 18)),
    CardRange("unionpay", "620550", (19,)),
    CardRange("maestro", "5000", (12, 13, 14, 15, 16, 17, 18, 19)),
    CardRange("maestro", "630400", (16,)),
    CardRange("rupay", "60800000", (16,)),
    CardRange("rupay", "50800000", (16,)),
    CardRange("rupay", "81700000", (16,)),
    CardRange("mir", "22000000", (16, 17, 18, 19)),
    CardRange("troy", "979203", (16,)),
    CardRange("verve", "50609900", (16, 18, 19)),
    CardRange("uatp", "10000000", (15,)),
)

_KINDS = [
    CardKind(card_range.prefix, length, card_range.weight)
    for card_range in CARD_RANGES
    for length in card_range.lengths
]
SCHEDULE_CARDS = sum(kind.weight for kind in _KINDS)
"""Cards per turn of the schedule: so many cards or more hold every scheme and every length."""

MAX_CARDS = min(10**kind.body_digits // kind.weight for kind in _KINDS) * SCHEDULE_CARDS
"""Cards that exist before the shortest range runs out of distinct bodies."""

_SINGLE = bytes.maketrans(b"0123456789", bytes((0, 1, 2, 3, 4, 5, 6, 7, 8, 9)))
_DOUBLED = bytes.maketrans(b"0123456789", bytes((0, 2, 4, 6, 8, 1, 3, 5, 7, 9)))


def luhn_check_digit(digits: str) -> str:
    """Return the digit that makes `digits` followed by it pass Luhn (ISO/IEC 7812-1, annex B)."""
    raw = digits.encode("ascii")
    total = sum(raw[-1::-2].translate(_DOUBLED)) + sum(raw[-2::-2].translate(_SINGLE))
    return "0987654321"[total % 10]


class _Bodies:
    """Walks every body of one kind once, in an order that looks random.

    The step has no factor in common with the number of bodies, so none repeats before all
    have been seen: distinct numbers without remembering them.
    """

    def __init__(self, kind: CardKind, start: float, step: float) -> None:
        self.prefix = kind.prefix
        self.digits = kind.body_digits
        self.size = 10**kind.body_digits
        self.next_body = int(start * self.size)
        self.step = int(step * self.size)
        while gcd(self.step, self.size) != 1:
            self.step += 1

    def next_pan(self) -> str:
        body = f"{self.prefix}{self.next_body:0{self.digits}d}"
        self.next_body = (self.next_body + self.step) % self.size
        return body + luhn_check_digit(body)


def synthetic_pans(count: int, seed: int) -> list[str]:
    """Return `count` distinct Luhn-valid card numbers, the same ones for the same seed.

    A longer list begins with the shorter one, so files of one seed share their cards. From
    `SCHEDULE_CARDS` cards on, every scheme and length of `CARD_RANGES` is among them.

    Raises ValueError below zero or beyond `MAX_CARDS`.
    """
    if not 0 <= count <= MAX_CARDS:
        raise ValueError(f"the number of cards must be 0 to {MAX_CARDS}")
    random = seeded_random(seed, "cards")
    walks = [(_Bodies(kind, random.random(), random.random()), kind.weight) for kind in _KINDS]
    schedule = shuffled(random, [walk for walk, weight in walks for _ in range(weight)])
    pans: list[str] = []
    while len(pans) < count:
        pans.extend(bodies.next_pan() for bodies in islice(schedule, count - len(pans)))
    return pans
