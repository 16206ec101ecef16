"""ISO 8583 messages as Mastercard IPM has them, taken apart as far as somebody asks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache

from pipeline.core.clearing_formats import Ipm
from pipeline.core.ipm_elements import (
    CHIP_DATA,
    ELEMENTS,
    PDS_LENGTH_DIGITS,
    PDS_TAG_DIGITS,
    PRIVATE_DATA,
    SENSITIVE_ELEMENTS,
    length_of,
)
from pipeline.readers.chip_data import MalformedChipDataError, chip_tags, chip_text

TYPE_BYTES = 4
BITMAP_END = 20  # type 4, bitmaps 16
MALFORMED = "malformed_message"

_TERTIARY = 65
_Step = tuple[int, int, int]  # digits of the length before it, else its bytes; slot or -1


class MalformedMessageError(Exception):
    """A message that cannot be taken apart, with the reason for its row; never with a value."""

    def __init__(self, reason: str = MALFORMED) -> None:
        super().__init__(reason)
        self.reason = reason


class MessageParser:
    """Takes the wanted elements out of messages.

    How to walk through a message depends on its bitmap alone, and files have few of those.
    Sensitive elements are stepped over, whoever wants them.
    """

    def __init__(self, settings: Ipm, wanted: Iterable[int]) -> None:
        own = {int(name[2:]): length for name, length in settings.elements.items()}
        self._lengths = {number: length_of(text) for number, text in (ELEMENTS | own).items()}
        self._slots = {
            number: slot
            for slot, number in enumerate(n for n in wanted if n not in SENSITIVE_ELEMENTS)
        }
        self._plans: dict[bytes, list[_Step] | None] = {}
        self._sizes = _sizes(settings.encoding)

    @property
    def slots(self) -> Mapping[int, int]:
        """Where in a row of elements each number stands."""
        return self._slots

    def elements(self, message: bytes) -> list[bytes]:
        """The wanted elements; empty where the message has none.

        Raises `MalformedMessageError` unless the message ends where its elements end.
        """
        found = [b""] * len(self._slots)
        if self.walk(message, found) != len(message):
            raise MalformedMessageError
        return found

    def walk(self, message: bytes, found: list[bytes]) -> int:
        """Fills in what is found and returns where the elements should end."""
        bitmap = message[TYPE_BYTES:BITMAP_END]
        plan = self._plans.get(bitmap)
        if plan is None:
            plan = self._plan(bitmap)
        at, sizes = BITMAP_END, self._sizes
        for digits, size, slot in plan:
            if digits:
                known = sizes.get(message[at : at + digits])
                if known is None:
                    raise MalformedMessageError
                start = at + digits
                at = start + known
            else:
                start = at
                at = start + size
            if slot >= 0:
                found[slot] = message[start:at]
        return at

    def _plan(self, bitmap: bytes) -> list[_Step]:
        if len(bitmap) < BITMAP_END - TYPE_BYTES:
            raise MalformedMessageError
        bits = int.from_bytes(bitmap, "big")
        numbers = [at for at in range(2, 129) if bits >> (128 - at) & 1]
        if any(number not in self._lengths for number in numbers) or _TERTIARY in numbers:
            raise MalformedMessageError("unknown_element")
        if len(self._plans) > MAX_PLANS:
            self._plans.clear()
        plan: list[_Step] = []
        for number in numbers:
            digits, size, _ = self._lengths[number]
            slot = self._slots.get(number, -1)
            if plan and not digits and slot < 0 and plan[-1][0] == 0 and plan[-1][2] < 0:
                plan[-1] = (0, plan[-1][1] + size, -1)
            else:
                plan.append((digits, size, slot))
        self._plans[bitmap] = plan
        return plan

    def may_hold_sensitive_data(self, message: bytes) -> bool:
        """Whether, by its bitmap, the message has tracks, a PIN block or chip data."""
        bits = int.from_bytes(message[TYPE_BYTES:BITMAP_END], "big")
        return any(bits >> (128 - number) & 1 for number in (*SENSITIVE_ELEMENTS, CHIP_DATA))

    def is_padded(self, number: int) -> bool:
        """Whether the element always has the same length, and so spaces behind what is shorter."""
        return not self._lengths[number][0]

    def is_binary(self, number: int) -> bool:
        """Whether the element holds bytes and not characters."""
        return self._lengths[number][2]


MAX_PLANS = 10_000  # a file made to do harm has a bitmap of its own in every message


@cache
def _sizes(encoding: str) -> Mapping[bytes, int]:
    """What the digits of a length mean."""
    sizes = {f"{size:03d}".encode(encoding): size for size in range(1000)}
    return sizes | {f"{size:02d}".encode(encoding): size for size in range(100)}


@dataclass(frozen=True)
class PrivateData:
    """Finds private data subelements (PDS): a tag of four digits, a length of three, a value."""

    encoding: str
    sizes: Mapping[bytes, int] = field(repr=False)

    @classmethod
    def of(cls, encoding: str) -> PrivateData:
        """In files of that encoding."""
        return cls(encoding, _sizes(encoding))

    def find(self, elements: Iterable[bytes], wanted: Mapping[bytes, int]) -> list[bytes]:
        """The wanted ones, by the slot of their tag, from all elements that hold such data.

        Raises `MalformedMessageError` `malformed_private_data`, for one that occurs twice too.
        """
        found = [b""] * len(wanted)
        for element in elements:
            at = 0
            while at < len(element):
                tag_end = at + PDS_TAG_DIGITS
                start = tag_end + PDS_LENGTH_DIGITS
                size = self.sizes.get(element[tag_end:start])
                if size is None or start - tag_end != PDS_LENGTH_DIGITS:
                    raise MalformedMessageError("malformed_private_data")
                slot = wanted.get(element[at:tag_end])
                at = start + size
                if at > len(element) or (slot is not None and found[slot]):
                    raise MalformedMessageError("malformed_private_data")
                if slot is not None:
                    found[slot] = element[start:at]
        return found

    def tag(self, name: str) -> bytes:
        """How `PDS0158` stands in a message."""
        return name.removeprefix("PDS").encode(self.encoding)


def without_sensitive_tags(chip_data: bytes) -> str:
    """Chip data as hexadecimal digits, full tracks left out; raises `MalformedMessageError`."""
    return _of_tags(chip_data, chip_text)


def one_tag(chip_data: bytes, tag: str) -> str:
    """The value of a tag as hexadecimal digits, empty where there is none."""
    return _of_tags(chip_data, lambda tags: dict(tags).get(tag, b"").hex().upper())


def _of_tags(chip_data: bytes, text: Callable[[list[tuple[str, bytes]]], str]) -> str:
    try:
        return text(chip_tags(chip_data))
    except MalformedChipDataError:
        raise MalformedMessageError("malformed_chip_data") from None


def private_elements(slots: Mapping[int, int], found: Sequence[bytes]) -> list[bytes]:
    """The elements of a message that hold private data subelements."""
    places = [slots[number] for number in PRIVATE_DATA if number in slots]
    return [found[place] for place in places if found[place]]


def needed_elements(columns: Iterable[str]) -> set[int]:
    """The elements that these columns are made of."""
    numbers: set[int] = set()
    for name in columns:
        if name.startswith("DE"):
            numbers.add(int(name[2:]))
        elif name.startswith("PDS"):
            numbers.update(PRIVATE_DATA)
        elif name.startswith("TAG"):
            numbers.add(CHIP_DATA)
    return numbers
