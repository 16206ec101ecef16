"""What a worker tokenizes with, and how much time it has."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from pipeline.core.fingerprints import Fingerprinter
from pipeline.core.layouts import Layout
from pipeline.ports import Ports
from pipeline.readers.records import TextRecordBatch

MIN_SECONDS_LEFT = 20.0  # enough for one more ordinary record batch and a clean stop
MARGIN = 1.5  # by which the next record batch may take longer than the longest so far


@dataclass(slots=True)
class _Pace:
    steps: int = 0  # of this invocation that need not be taken again
    longest_seconds: float = 0.0  # that one of them took


@dataclass(frozen=True, slots=True)
class Bench:
    """What a worker tokenizes with."""

    ports: Ports
    fingerprinter: Callable[[], Fingerprinter]
    seconds_left: Callable[[], float]
    _pace: _Pace = field(default_factory=_Pace, init=False)

    @property
    def is_out_of_time(self) -> bool:
        """Whether it is time to stop: another record batch may take as long as the longest did."""
        return self.seconds_left() < max(MIN_SECONDS_LEFT, MARGIN * self._pace.longest_seconds)

    @property
    def has_to_stop(self) -> bool:
        """Whether it is time to stop, and something was done that need not be done again."""
        return self._pace.steps > 0 and self.is_out_of_time

    def note_step(self) -> None:
        """Takes note of a step that need not be taken again."""
        self._pace.steps += 1

    def timed(self, batches: Iterator[TextRecordBatch]) -> Iterator[TextRecordBatch]:
        """The record batches; takes note of how long reading and working off one takes."""
        before = self.seconds_left()
        for batch in batches:
            now = self.seconds_left()
            self._pace.longest_seconds = max(self._pace.longest_seconds, before - now)
            self.note_step()
            before = now
            yield batch
        self._pace.longest_seconds = max(self._pace.longest_seconds, before - self.seconds_left())

    def fingerprints(self, pans: Sequence[bytes], layout: Layout) -> list[bytes]:
        """The fingerprints of PANs, in the scope of their layout."""
        return self.fingerprinter().fingerprints(pans, layout.scope) if pans else []
