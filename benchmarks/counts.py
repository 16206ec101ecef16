"""What a contender counts of its own work."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Counts:
    """What was done, in how many calls by service, and what AWS would ask for it."""

    rows: int
    pans: int
    calls: Mapping[str, int]
    dollars: float
