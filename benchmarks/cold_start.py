"""How long the functions of the Lambda package take to start: `python -m benchmarks.cold_start`.

Each start is a process of its own, with the package's folder and nothing else to import from, as in
`tests/component/test_bare_package.py`. What is told is processor time, in milliseconds: the local
stack at the other end has processes of its own, and other programs do not count.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipeline.local import down, up
from pipeline.samples.cards import synthetic_pans
from pipeline.testing import s3_event, sqs_event
from tests import bare
from tests.bare import BarePackage

SAMPLE = Path(__file__).parents[1] / "sample_data" / "card_present.csv"


def main() -> None:
    """Prints medians for the package with its bytecode and without."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cold_start")
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--package", type=Path, help="a package's folder; else one is built")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        state = Path(folder, "stack")
        stack = up(state, report=lambda _: None)
        try:
            if arguments.package:
                interpreter = bare.interpreter_for(bare.LAMBDA_PYTHON) or sys.executable
                settings = bare.settings_in(stack)
                package = BarePackage(arguments.package, interpreter, stack, settings)
            else:
                package = bare.bare_package(Path(folder, "package"), stack)
                print_table("compiled", package, arguments.runs)
                for cache in [*package.folder.rglob("__pycache__")]:
                    shutil.rmtree(cache)
            print_table("as it is" if arguments.package else "from source", package, arguments.runs)
        finally:
            down(state, report=lambda _: None, keep_data=False)


def print_table(title: str, package: BarePackage, runs: int) -> None:
    """One line for each function: import, first call, second call, modules."""
    grants = bare.granting_table(package.stack)
    row = "{:<36} {:>8} {:>12} {:>12} {:>8}"
    sys.stdout.write(row.format(title, "import", "first call", "second call", "modules") + "\n")
    for entry_point in (bare.WORKER, bare.TOKENIZE, bare.DETOKENIZE):
        outcomes = [_started(package, entry_point, grants) for _ in range(runs)]
        medians = [
            statistics.median(each["seconds"][at] for each in outcomes) * 1000 for at in range(3)
        ]
        modules = len(outcomes[0]["modules"])
        figures = [f"{median:.0f}" for median in medians]
        sys.stdout.write(row.format(entry_point.split(".")[2], *figures, modules) + "\n")
        sys.stdout.flush()


def _started(package: BarePackage, entry_point: str, grants: str) -> dict[str, Any]:
    if entry_point == bare.WORKER:
        bucket = bare.new_bucket(package.stack)
        upload = bare.upload(package.stack, bucket, SAMPLE, "card-present")
        event = sqs_event(s3_event(upload))
        return package.call(entry_point, event, event, **bare.places_in(bucket))
    if entry_point == bare.DETOKENIZE:
        asked = {"tokens": _tokens(package, grants), "purpose": "chargeback", "view": "full"}
        event = bare.posted("/detokenize", asked)
    else:
        event = _cards()
    outcome = package.call(entry_point, event, event, PANTOK_GRANTS_TABLE=grants)
    assert all(answer["statusCode"] == 200 for answer in outcome["answers"])
    return outcome


def _cards() -> dict[str, Any]:
    return bare.posted("/tokenize", {"items": [{"pan": pan} for pan in synthetic_pans(3, seed=7)]})


def _tokens(package: BarePackage, grants: str) -> Sequence[str]:
    answers = package.call(bare.TOKENIZE, _cards(), PANTOK_GRANTS_TABLE=grants)["answers"]
    return [each["token"] for each in bare.results_of(answers[0])]


if __name__ == "__main__":
    main()
