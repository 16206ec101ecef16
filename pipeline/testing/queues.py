"""The work queue and its dead letters, in memory."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any


class MemoryWorkQueue:
    """Messages in `messages`, the earliest first."""

    def __init__(self) -> None:
        self.messages: list[Mapping[str, Any]] = []
        self.postponed: list[tuple[str, int]] = []

    def send_all(self, messages: Sequence[Mapping[str, Any]]) -> None:
        """Adds messages."""
        self.messages += json.loads(json.dumps(messages))

    def postpone(self, receipt_handle: str, seconds: int) -> None:
        """Takes note in `postponed`."""
        self.postponed.append((receipt_handle, seconds))


class MemoryDeadLetters:
    """Dead letters, in `letters`."""

    def __init__(self) -> None:
        self.letters: list[Mapping[str, Any]] = []

    def send(self, letter: Mapping[str, Any]) -> None:
        """Adds a dead letter."""
        self.letters.append(letter)
