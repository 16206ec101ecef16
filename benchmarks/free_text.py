"""How well PANs in free text are told from other numbers, by kind of number.

python -m benchmarks.free_text            # five seeds, 300 samples of each kind
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from benchmarks.free_text_corpus import Sample, corpus
from pipeline.cli.output import table
from pipeline.core.guard import find_pans
from pipeline.core.text_pans import find_pans_in_text

SEEDS = (101, 202, 303, 404, 505)


@dataclass(frozen=True, slots=True)
class Score:
    """Counts of samples, PANs in them, PANs that were found, and numbers taken for PANs."""

    samples: int
    pans: int
    found: int
    mistaken: int

    def __add__(self, other: Score) -> Score:
        """Both together."""
        return Score(
            self.samples + other.samples,
            self.pans + other.pans,
            self.found + other.found,
            self.mistaken + other.mistaken,
        )

    @property
    def recall(self) -> float:
        """The share of PANs that were found."""
        return self.found / self.pans if self.pans else 1.0

    @property
    def precision(self) -> float:
        """The share of PANs among what was found."""
        hits = self.found + self.mistaken
        return self.found / hits if hits else 1.0


def scores(samples: Iterable[Sample], *, strict: bool = False) -> dict[str, Score]:
    """By kind of number, for the finder of free text or for the `strict` guard of kept columns."""
    by_kind: dict[str, Score] = {}
    for sample in samples:
        hits = find_pans(sample.text) if strict else find_pans_in_text(sample.text)
        wanted, got = Counter(sample.pans), Counter(hit.digits for hit in hits)
        found = (wanted & got).total()
        score = Score(1, wanted.total(), found, got.total() - found)
        by_kind[sample.kind] = by_kind.get(sample.kind, Score(0, 0, 0, 0)) + score
    return by_kind


def total(by_kind: dict[str, Score]) -> Score:
    """All kinds together."""
    return sum(by_kind.values(), start=Score(0, 0, 0, 0))


def _row(kind: str, score: Score, strict: Score) -> tuple[object, ...]:
    return (
        kind,
        score.samples,
        f"{score.recall:.1%}" if score.pans else "",
        score.mistaken,
        f"{strict.recall:.1%}" if strict.pans else "",
        strict.mistaken,
    )


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0] if __doc__ else "")
    parser.add_argument("--each", type=int, default=300)
    parser.add_argument("--seeds", type=int, nargs="+", default=SEEDS)
    options = parser.parse_args()
    samples = [sample for seed in options.seeds for sample in corpus(seed, options.each)]
    ours, strict = scores(samples), scores(samples, strict=True)
    rows = [_row(kind, score, strict[kind]) for kind, score in ours.items()]
    columns = ("numbers", "samples", "recall", "mistaken", "guard's recall", "guard's mistaken")
    table("PANs in free text", columns, [*rows, _row("all", total(ours), total(strict))])
    print(f"precision {total(ours).precision:.1%}, the guard's {total(strict).precision:.1%}")


if __name__ == "__main__":
    main()
