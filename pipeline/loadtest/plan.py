"""What a load test puts on a deployment: the same plan gives the same files, byte for byte.

The plan is kept nowhere. Whoever writes a file and whoever checks what became of it both draw it
anew from the seed, a block of rows at a time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from pipeline.core.jobs import INTAKE_PREFIX
from pipeline.core.receipts import MAX_LISTED_ROWS
from pipeline.loadtest.poison import POISONS, Poison
from pipeline.samples.randomness import draw_skewed_indexes, seeded_random, shuffled
from pipeline.samples.transactions import BLOCK_ROWS

LAYOUT = "card-present"
PAN_COLUMN = "card_number"
ROW_COLUMN = "transaction_id"


@dataclass(frozen=True, slots=True)
class Load:
    """How much, and of what.

    `rows` are those of each file; all files share a pool of `cards`, some of which pay far more
    often than others. `reject_rate` is the share of rows with a fault, 0 to 1. The run's id stands
    in the name of everything that is uploaded.
    """

    run_id: str
    files: int
    rows: int
    cards: int
    reject_rate: float
    poison: int
    duplicate_events: int
    seed: int


@dataclass(frozen=True, slots=True)
class PlannedFile:
    """A file to upload: a settlement file, or one that must be refused as a whole.

    `number` counts the settlement files from 0, and the poisoned ones from 0.
    """

    number: int
    key: str
    poison: Poison | None = None

    @property
    def name(self) -> str:
        """Its name without the folders that all files of the run have."""
        return self.key.rsplit("/", 1)[-1]


class Fault(NamedTuple):
    """What is wrong with a row: the reason it must be rejected for.

    `raw_pan` stands in the card's place; None where the fault is in another column.
    """

    reason: str
    raw_pan: str | None = None


WRONG_FIELD_COUNT = Fault("wrong_field_count")
INVALID_DATE = Fault("invalid_date")
FAULTS = (
    Fault("pan_empty", ""),
    Fault("pan_masked", "411111******1111"),
    Fault("pan_scientific_notation", "5.54563E+15"),
    Fault("pan_too_short", "41111111111"),
    Fault("pan_too_long", "41111111111111111111"),
    Fault("pan_not_digits", "declined"),
    WRONG_FIELD_COUNT,
    INVALID_DATE,
)


class Rows(NamedTuple):
    """Consecutive rows of a settlement file, the first of them number `first` (from 0).

    `cards` says for each row which card of the pool pays, `faults` what is wrong with it.
    """

    first: int
    cards: list[int]
    faults: list[Fault | None]


def planned_files(load: Load) -> list[PlannedFile]:
    """All files, the poisoned ones somewhere among the others."""
    files = [PlannedFile(number, _key(load, f"{number:05d}.csv")) for number in range(load.files)]
    files += [_poisoned(load, number) for number in range(load.poison)]
    return list(shuffled(seeded_random(load.seed, "load files"), files))


def _poisoned(load: Load, number: int) -> PlannedFile:
    poison = POISONS[number % len(POISONS)]
    name = f"poison-{number:05d}-{poison.name}"
    return PlannedFile(number, _key(load, name, poison.layout), poison)


def _key(load: Load, name: str, layout: str | None = LAYOUT) -> str:
    if layout is None:  # no folder: the layout is found by content
        return f"{INTAKE_PREFIX}loadtest-{load.run_id}-{name}"
    return f"{INTAKE_PREFIX}{layout}/loadtest-{load.run_id}/{name}"


def planned_rows(load: Load, file_number: int) -> Iterator[Rows]:
    """The rows of a settlement file, in blocks."""
    cards = seeded_random(load.seed, f"load cards {file_number}")
    faults = seeded_random(load.seed, f"load faults {file_number}")
    for first in range(0, load.rows, BLOCK_ROWS):
        count = min(BLOCK_ROWS, load.rows - first)
        drawn = [
            FAULTS[int(len(FAULTS) * faults.random())]
            if faults.random() < load.reject_rate
            else None
            for _ in range(count)
        ]
        yield Rows(first, draw_skewed_indexes(cards, load.cards, count), drawn)


def row_number(load: Load, file_number: int, row: int) -> int:
    """What tells a row from all others of the run."""
    return file_number * load.rows + row


def row_id(number: int) -> str:
    """The row's number as it stands in its file and in the output."""
    return f"TX{number:010d}"


@dataclass(frozen=True, slots=True)
class ExpectedCounts:
    """What the receipt of a settlement file must say; row numbers count from 1."""

    rows_read: int
    rejects_by_reason: Mapping[str, int]
    rejected_rows: Mapping[str, Sequence[int]]

    @property
    def rows_rejected(self) -> int:
        """Rows with a fault."""
        return sum(self.rejects_by_reason.values())

    @property
    def rows_written(self) -> int:
        """Rows without one."""
        return self.rows_read - self.rows_rejected


def expected_counts(load: Load, file_number: int) -> ExpectedCounts:
    """Counts the rows and their faults."""
    rejects: Counter[str] = Counter()
    listed: dict[str, list[int]] = {}
    for rows in planned_rows(load, file_number):
        for at, fault in enumerate(rows.faults, start=rows.first + 1):
            if fault is not None:
                rejects[fault.reason] += 1
                numbers = listed.setdefault(fault.reason, [])
                if len(numbers) < MAX_LISTED_ROWS:
                    numbers.append(at)
    return ExpectedCounts(load.rows, dict(rejects), listed)


class DuplicateEvent(NamedTuple):
    """An event that is sent once more, for a settlement file of this number.

    Early ones race with the first event; the others come when the file is done. `is_reannounced`
    tells an event of its own for the same object from the same event again.
    """

    file_number: int
    is_early: bool
    is_reannounced: bool


def planned_duplicates(load: Load) -> list[DuplicateEvent]:
    """All duplicate events: early and late, repeated and announced anew, over all files in turn."""
    if not load.files:
        return []
    return [
        DuplicateEvent(at % load.files, at % 2 == 0, at // 2 % 2 == 1)
        for at in range(load.duplicate_events)
    ]
