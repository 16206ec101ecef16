"""What is counted while cards get their tokens: a receipt and its price are made of it."""

from __future__ import annotations

import os
from collections.abc import Sequence

import pytest

from pipeline.core.fingerprints import FINGERPRINT_BYTES
from pipeline.core.layout_documents import parse_layout
from pipeline.core.receipts import Tally
from pipeline.minting import LOOKED_UP_AT_ONCE, Mint, PansToMint
from pipeline.samples.cards import synthetic_pans
from pipeline.testing import MemoryLayouts, MemoryWorld

LAYOUT = 'name = "x"\n[columns.card]\nrole = "pan"\n'
PANS = [pan.encode() for pan in synthetic_pans(LOOKED_UP_AT_ONCE + 5, seed=41)]
FINGERPRINTS = [os.urandom(FINGERPRINT_BYTES) for _ in PANS]


class Counted:
    """A mint of a job, and what it counted."""

    def __init__(self, world: MemoryWorld, options: str = "") -> None:
        self.tally = Tally()
        layout = parse_layout((LAYOUT + options).encode())
        self.mint = Mint("job_x", layout, world.ports(), self.tally, lambda: True)

    def tokens(self, pans: int) -> list[str]:
        wanted = PansToMint(PANS[:pans], [None] * pans)
        return self.mint.tokens(wanted, FINGERPRINTS[:pans])

    @property
    def counts(self) -> dict[str, int]:
        names = ("items_looked_up", "items_written", "tokens_new")
        return {name: getattr(self.tally, name) for name in names}


@pytest.fixture
def world() -> MemoryWorld:
    return MemoryWorld(os.urandom, MemoryLayouts())


def test_every_card_is_looked_up_and_each_new_one_is_two_items(world: MemoryWorld) -> None:
    first, second = Counted(world), Counted(world)
    tokens = first.tokens(3)
    assert first.counts == {"items_looked_up": 3, "items_written": 6, "tokens_new": 3}
    assert second.tokens(len(PANS))[:3] == tokens
    new = len(PANS) - 3
    assert second.counts == {
        "items_looked_up": len(PANS),
        "items_written": 2 * new,
        "tokens_new": new,
    }


def test_counts_add_up_over_the_record_batches_of_a_chunk(world: MemoryWorld) -> None:
    counted = Counted(world)
    for _ in range(3):
        counted.tokens(4)
    assert counted.counts == {"items_looked_up": 12, "items_written": 8, "tokens_new": 4}


def test_a_token_for_one_time_is_one_item_and_nothing_is_looked_up(world: MemoryWorld) -> None:
    counted = Counted(world, '[options]\ntoken_mode = "one_time"\n')
    tokens = counted.mint.one_time_tokens(PansToMint(PANS, [None] * len(PANS)))
    assert len(set(tokens)) == len(PANS)
    assert counted.counts == {
        "items_looked_up": 0,
        "items_written": len(PANS),
        "tokens_new": len(PANS),
    }


def test_a_card_that_a_faster_worker_claimed_meanwhile_is_not_a_new_one(
    world: MemoryWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def too_early(fingerprints: Sequence[bytes]) -> list[None]:
        return [None] * len(fingerprints)

    faster, slower = Counted(world), Counted(world)
    tokens = faster.tokens(3)
    monkeypatch.setattr(world.fingerprints, "look_up", too_early)
    assert slower.tokens(4)[:3] == tokens
    assert slower.counts == {"items_looked_up": 4, "items_written": 8, "tokens_new": 1}
