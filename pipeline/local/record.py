"""What is written down of a stack, so that the next command finds it."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Literal

from pipeline.local.engine import Engine
from pipeline.local.errors import LocalStackError
from pipeline.local.processes import ProcessIdentity
from pipeline.local.state import StatePaths


@dataclass(frozen=True, slots=True)
class Record:
    """What `stack.json` says of the engine that was started last.

    `phase` is `running` from the engine's first moment until `down` has seen it end, and `kept`
    from then on, if it saved everything. `digest` names the code and template that are deployed,
    None as long as nothing is. `started_at` is UTC, ISO 8601.
    """

    phase: Literal["running", "kept"]
    engine: Engine
    engine_version: str
    started_at: str
    digest: str | None
    outputs: Mapping[str, str]


def read_record(paths: StatePaths) -> Record | None:
    """Read the record, None if there is none; LocalStackError if it cannot be read."""
    try:
        fields = json.loads(paths.record.read_text())
        return Record(**{**fields, "engine": _engine(**fields["engine"])})
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, KeyError) as error:
        raise LocalStackError(
            f"{paths.record} is not readable: end the engine by hand if one runs, then remove"
            f" {paths.root}"
        ) from error


def write_record(paths: StatePaths, record: Record) -> None:
    """Replace the record, in one step."""
    draft = paths.record.with_suffix(".draft")
    draft.write_text(json.dumps(asdict(record), indent=2) + "\n")
    draft.replace(paths.record)


def _engine(process: dict[str, object], port: int, instance: str) -> Engine:
    return Engine(ProcessIdentity(**process), port, instance)  # type: ignore[arg-type]
