"""Lets canaries through every failure path and lists where they were looked for, and how.

python -m tests.canaries
"""

from __future__ import annotations

import sys
import tempfile
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from pipeline.cli.output import table
from tests.canaries.api import ATTACKS, api_stage
from tests.canaries.commands import AT_AWS, LOCAL
from tests.canaries.paths import PATHS
from tests.canaries.stage import VALID, leaky_surfaces, sizes, stage
from tests.canaries.terminal import WEATHERS, play
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
    for attack in ATTACKS.values():
        with api_stage() as api:
            for event in attack():
                api.call(event)
            looked_through.update(_sizes(api.surfaces()))
            seen.update(api.leaks())
    for weather in WEATHERS:
        with tempfile.TemporaryDirectory() as folder:
            for at_terminal in play(weather, Path(folder)):
                looked_through.update(_sizes(at_terminal.surfaces()))
                seen.update(at_terminal.leaks())
    table("failure paths of the worker", ("path",), [(name,) for name in PATHS])
    table("canaries sent to the API", ("where",), [(name,) for name in ATTACKS])
    table("commands", ("command",), [(each,) for each in (*AT_AWS, *LOCAL)])
    table("each command with", ("weather",), [(name,) for name in WEATHERS])
    table("encodings", ("encoding",), [(name,) for name in _encodings()])
    rows = [(name, size, seen[name]) for name, size in looked_through.items()]
    table("surfaces", ("surface", "bytes", "canaries seen"), rows)
    return 1 if seen else 0


def _sizes(surfaces: Mapping[str, bytes]) -> dict[str, int]:
    return {name: len(content) for name, content in surfaces.items()}


def _encodings() -> list[str]:
    return [*planted_forms(VALID), *binary_forms(VALID)]


if __name__ == "__main__":
    sys.exit(main())
