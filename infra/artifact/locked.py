"""Which distributions belong to the package, and which versions and hashes of them are locked.

Versions and hashes come from constraints.txt. Which packages belong to it comes from the metadata
of the installed ones, read as on Lambda's platform rather than on this machine's.
"""

from __future__ import annotations

import importlib.metadata
import tomllib
from collections.abc import Iterator, Mapping, Sequence

from packaging.requirements import Requirement
from packaging.utils import NormalizedName, canonicalize_name

from infra.artifact.target import ROOT

LAMBDA_EXTRAS = ("formats",)  # what a worker can use beyond what it always needs


def project_dependencies(extras: Sequence[str] = ()) -> list[Requirement]:
    """What the pipeline declares to need at run time, with these extras."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    optional = project["optional-dependencies"]
    lines = [*project["dependencies"], *(line for extra in extras for line in optional[extra])]
    return [Requirement(line) for line in lines]


def needed_names(roots: list[Requirement], markers: Mapping[str, str]) -> set[NormalizedName]:
    """The names of the roots and of everything that they need where these markers hold.

    Raises `PackageNotFoundError` for what is needed there and not installed here.
    """
    names: set[NormalizedName] = set()
    met: set[tuple[NormalizedName, frozenset[str]]] = set()
    waiting = list(roots)
    while waiting:
        requirement = waiting.pop()
        name, extras = canonicalize_name(requirement.name), frozenset(requirement.extras)
        if (name, extras) in met:
            continue
        met.add((name, extras))
        names.add(name)
        waiting.extend(needs_of(name, extras, markers))
    return names


def needs_of(
    name: str, extras: frozenset[str], markers: Mapping[str, str]
) -> Iterator[Requirement]:
    """The direct requirements of an installed package that hold where these markers hold."""
    for line in importlib.metadata.requires(name) or ():
        requirement = Requirement(line)
        if requirement.marker is None or any(
            requirement.marker.evaluate({**markers, "extra": extra}) for extra in extras | {""}
        ):
            yield requirement


def locked_lines(
    names: set[NormalizedName], markers: Mapping[str, str], constraints: str
) -> list[str]:
    """`name==version --hash=…` for each name, from the text of constraints.txt.

    Markers are decided here: pip would decide them for the Python that runs it. Raises
    `SystemExit` for a name that is not locked.
    """
    lines = {}
    for line in constraints.replace("\\\n", " ").splitlines():
        pinned, separator, hashes = line.partition(" --hash=")
        requirement = Requirement(pinned)
        if requirement.marker is None or requirement.marker.evaluate(dict(markers)):
            name = canonicalize_name(requirement.name)
            lines[name] = f"{name}{requirement.specifier}{separator}{hashes}"
    if missing := names - lines.keys():
        raise SystemExit(f"not in constraints.txt: {', '.join(sorted(missing))}")
    return [lines[name] for name in sorted(names)]
