"""Steps that wait for nothing, one after the other."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable
from typing import Any, TypeVar

T = TypeVar("T")


class InTurn:
    """A `Crew` that takes one step after the other."""

    def run(
        self, steps: Iterable[Coroutine[Any, Any, T]], has_time: Callable[[], bool] = lambda: True
    ) -> list[T]:
        """What the steps return; they may not wait for anything."""
        return [result_of(step) for step in steps]


def result_of(step: Coroutine[Any, Any, T]) -> T:
    """What a coroutine returns that does not wait for anything."""
    try:
        step.send(None)
    except StopIteration as stop:
        return stop.value  # type: ignore[no-any-return]
    step.close()
    raise RuntimeError("the step waits for something")
