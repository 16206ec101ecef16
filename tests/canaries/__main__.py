"""Lets canaries through every failure path and lists where they were looked for, and how.

python -m tests.canaries
"""

from __future__ import annotations

import sys
from collections import Counter

from pipeline.cli.output import table
from tests.canaries.paths import PATHS
from tests.canaries.stage import VALID, leaky_surfaces, sizes, stage
from tests.leaks import binary_forms, planted_forms


def main() -> int:
    """Prints the tables; 1 when a canary was seen."""
    looked_through: Counter[str] = Counter()
    seen: Counter[str] = Counter()
    for failure_path in PATHS.values():
        with stage() as scene:
            failure_path.play(scene)
            looked_through.update(sizes(scene))
            seen.update(leaky_surfaces(scene))
    table("failure paths", ("path",), [(name,) for name in PATHS])
    table("encodings", ("encoding",), [(name,) for name in _encodings()])
    rows = [(name, size, seen[name]) for name, size in looked_through.items()]
    table("surfaces", ("surface", "bytes", "canaries seen"), rows)
    return 1 if seen else 0


def _encodings() -> list[str]:
    return [*planted_forms(VALID), *binary_forms(VALID)]


if __name__ == "__main__":
    sys.exit(main())
