"""`make package`: builds for both processors, prints sizes, and refuses what grew too large."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from infra.artifact.build import Package, build
from infra.artifact.bytecode import required_interpreter
from infra.artifact.locked import LAMBDA_EXTRAS
from infra.artifact.sizes import is_over_budget, table
from infra.artifact.target import MACHINES, TEMPLATES_FOLDER, Target


def main() -> int:
    """Returns the exit code: 1 if a package is over its budget."""
    parser = argparse.ArgumentParser(prog="make package", description="Builds what Lambda runs.")
    parser.add_argument("--architecture", choices=sorted(MACHINES), action="append")
    parser.add_argument("--extra", choices=LAMBDA_EXTRAS, action="append", default=[])
    parser.add_argument("--bytecode", choices=("yes", "no"), default="yes")
    arguments = parser.parse_args()

    targets = [Target(each) for each in arguments.architecture or sorted(MACHINES)]
    packages = []
    for target in targets:
        interpreter = required_interpreter(target) if arguments.bytecode == "yes" else None
        packages.append(build(target, arguments.extra, interpreter))
        sys.stdout.write(report(packages[-1]))
    point_template_at(packages[0].folder)
    return max(refusal(package) for package in packages)


def report(package: Package) -> str:
    """Sizes, largest first, and where the package is."""
    zip_bytes = package.zip_file.stat().st_size
    return (
        f"{package.folder.name}\n{table(package.sizes)}{zip_bytes:>13,}  zipped\n"
        f"{package.zip_file}\nsha256 {package.zip_sha256}\n{package.sbom_file}\n\n"
    )


def refusal(package: Package) -> int:
    """The exit code for a package: 1, and why, if it is over its budget."""
    if not is_over_budget(package.sizes):
        return 0
    sys.stderr.write(f"{package.folder.name} is over its budget: Lambda may refuse it.\n")
    return 1


def point_template_at(folder: Path) -> None:
    """Makes the package the one that infra/template.yaml deploys."""
    if TEMPLATES_FOLDER.is_dir() and not TEMPLATES_FOLDER.is_symlink():
        raise SystemExit(f"{TEMPLATES_FOLDER} is no link to a package: remove it")
    TEMPLATES_FOLDER.unlink(missing_ok=True)
    TEMPLATES_FOLDER.symlink_to(folder.name)


if __name__ == "__main__":
    sys.exit(main())
