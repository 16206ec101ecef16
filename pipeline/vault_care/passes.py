"""A pass over a whole table, page by page, that can be cut off and taken up again."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from datetime import datetime
from pathlib import Path
from typing import Any, Generic, TypeVar

from pipeline.core.receipts import iso_time
from pipeline.errors import PermanentError
from pipeline.vault_care.ports import Page

Item = TypeVar("Item")
SEGMENTS = 8
DONE = "done"


class Progress:
    """How far a pass is, in a folder of its own; counts and positions, which are tokens or hashes.

    Without a folder, nothing is kept beyond this process.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._state: dict[str, Any] = {"positions": {}, "counts": {}}
        if folder is not None:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if self._file.exists():
                self._state = json.loads(self._file.read_text())

    @property
    def _file(self) -> Path:
        if self._folder is None:
            raise PermanentError("no_progress_folder")
        return self._folder / "progress.json"

    def begun_at(self, now: datetime, generation: int) -> datetime:
        """When the pass began, which is now unless it is taken up under the same key ring."""
        if self._state.get("generation") != generation:
            self._state = {"positions": {}, "counts": {}, "generation": generation}
            self._state["begun_at"] = iso_time(now)
            self.save()
        return datetime.fromisoformat(self._state["begun_at"])

    @property
    def counts(self) -> dict[str, int]:
        """What the pass came to so far."""
        return dict(self._state["counts"])

    @counts.setter
    def counts(self, counts: Mapping[str, int]) -> None:
        self._state["counts"] = dict(counts)

    def position(self, name: str, segment: int) -> str | None:
        """Where the segment goes on: None at its beginning, `DONE` behind its end."""
        found: str | None = self._state["positions"].get(f"{name}/{segment}")
        return found

    def note_position(self, name: str, segment: int, position: str) -> None:
        """Notes where the segment goes on."""
        self._state["positions"][f"{name}/{segment}"] = position

    def save(self) -> None:
        """Makes what was noted outlast this process, in one step."""
        if self._folder is not None:
            draft = self._folder / "progress.json.new"
            draft.write_text(json.dumps(self._state))
            draft.replace(self._file)

    def forget(self) -> None:
        """The pass is over."""
        self._state = {"positions": {}, "counts": {}}
        if self._folder is not None:
            self._file.unlink(missing_ok=True)


class Pass(Generic[Item]):
    """The pages of a table that are still to be done, several segments read at a time."""

    def __init__(
        self, page: Callable[[int, int, str | None], Page[Item]], progress: Progress, name: str
    ) -> None:
        self._page = page
        self._progress = progress
        self._name = name

    def pages(self) -> Iterator[Sequence[Item]]:
        """One page after the other.

        Asking for the next one says that what was done of the page before is durable: a pass that
        is taken up again goes on behind it.
        """
        with ThreadPoolExecutor(SEGMENTS) as pool:
            begun = [(at, self._progress.position(self._name, at)) for at in range(SEGMENTS)]
            waiting = {
                pool.submit(self._page, segment, SEGMENTS, position): segment
                for segment, position in begun
                if position != DONE
            }
            while waiting:
                future = next(iter(wait(waiting, return_when=FIRST_COMPLETED).done))
                segment, page = waiting.pop(future), future.result()
                yield page.items
                self._progress.note_position(self._name, segment, page.next_position or DONE)
                self._progress.save()
                if page.next_position is not None:
                    following = pool.submit(self._page, segment, SEGMENTS, page.next_position)
                    waiting[following] = segment
