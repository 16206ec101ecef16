"""Writes the README's table of speeds from the last run of the benchmarks.

python -m benchmarks.readme
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
LAST_RUN = ROOT / "build" / "benchmarks.json"
BEGIN, END = "<!-- speeds: written by `make bench` -->\n", "<!-- end of speeds -->\n"


def rendered(document: Mapping[str, Any]) -> str:
    """The table, with a line that says where and how it was measured."""
    options, machine = document["options"], document["machine"]
    slowest = min(each["pans_per_second"] for each in document["whole"].values())
    lines = [
        "| one worker on one core | cards/s | rows/s | KMS/M rows | $/M rows | times |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for name, each in document["whole"].items():
        lines.append(
            f"| {name} | {each['pans_per_second']:,.0f} | {each['rows_per_second']:,.0f} "
            f"| {each['kms_calls_per_million_rows']:,.0f} "
            f"| {each['dollars_per_million_rows']:,.2f} "
            f"| {each['pans_per_second'] / slowest:,.1f} |"
        )
    lines += ["", "| answers take 10 ms | new cards/s |", "|---|---:|"]
    for name, each in document["side_by_side"].items():
        lines.append(f"| {name} | {each['pans_per_second']:,.0f} |")
    lines += ["", "| for illustration: on the local stack | new cards/s |", "|---|---:|"]
    for name, speed in document["local_stack"].items():
        lines.append(f"| {name} | {speed:,.0f} |")
    lines += ["", "| one worker, the whole file | peak memory |", "|---|---:|"]
    for name, each in document["memory"].items():
        lines.append(f"| {name} | {each['peak_rss_mb']:,.0f} MB |")
    lines += [
        "",
        f"Medians, {options['runs']} run(s) of each with {options['rows']:,} rows, Python "
        f"{machine['python']}, {machine['cores']} cores of {machine['platform']}, which hash "
        f"{machine['sha256_gb_per_second']:.1f} GB/s (SHA-256) each and count to ten million in "
        f"{machine['seconds_for_ten_million_turns']:.1f} s in Python: others are faster or slower.",
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Writes the table."""
    before, rest = README.read_text().split(BEGIN)
    after = rest.split(END)[1]
    table = rendered(json.loads(LAST_RUN.read_text()))
    README.write_text(f"{before}{BEGIN}{table}{END}{after}")


if __name__ == "__main__":
    main()
