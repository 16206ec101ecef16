"""How large the package is, and whether that is small enough."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from infra.artifact.target import Distribution

# AWS Lambda quotas, "deployment package (.zip), unzipped": the function and all its layers.
UNZIPPED_LIMIT_BYTES = 262_144_000
# A fifth is left for layers that a deployment adds, such as an agent of its monitoring.
BUDGET_BYTES = UNZIPPED_LIMIT_BYTES * 4 // 5


def sizes_by_distribution(folder: Path, distributions: Sequence[Distribution]) -> dict[str, int]:
    """Bytes of each distribution, largest first; what no wheel brought is the pipeline's."""
    owners = {name: each.name for each in distributions for name in each.top_level}
    sizes: Counter[str] = Counter()
    for file in folder.rglob("*"):
        if file.is_file():
            top_level = _top_level(file.relative_to(folder))
            sizes[owners.get(top_level, top_level)] += file.stat().st_size
    return dict(sizes.most_common())


def table(sizes: dict[str, int]) -> str:
    """The sizes as lines of text, with their sum and what it may be."""
    total = sum(sizes.values())
    rows = [*sizes.items(), ("total", total), ("budget", BUDGET_BYTES)]
    rows.append(("limit of AWS Lambda", UNZIPPED_LIMIT_BYTES))
    return "".join(f"{size_bytes:>13,}  {name}\n" for name, size_bytes in rows)


def is_over_budget(sizes: dict[str, int]) -> bool:
    """Whether too little is left below Lambda's limit."""
    return sum(sizes.values()) > BUDGET_BYTES


def _top_level(path: Path) -> str:
    """The name right below the folder; of the bytecode of a module there, the module."""
    if path.parts[0] == "__pycache__":
        return path.name.partition(".")[0] + ".py"
    return path.parts[0]
