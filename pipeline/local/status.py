"""Looks at a local stack without changing anything."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

from botocore.exceptions import BotoCoreError, ClientError

from pipeline.local.deployment import mapping_states, stack_status
from pipeline.local.record import Record, read_record
from pipeline.local.stack import LocalStack
from pipeline.local.state import StatePaths

PROBES = {
    "s3": "list_buckets",
    "sqs": "list_queues",
    "dynamodb": "list_tables",
    "kms": "list_keys",
    "lambda": "list_functions",
}

State = Literal["running", "starting", "not answering", "stopped"]


@dataclass(frozen=True, slots=True)
class Status:
    """How a local stack is; `stack` is there exactly if `state` is `running`.

    `stopped` covers a folder where nothing ever ran, a stack that was ended, and a record whose
    process is gone, even if another process has its id now. `services` says `ok` or what is wrong
    for each service that the pipeline needs and each queue that feeds a function, and tells the
    status of the CloudFormation stack.
    """

    state: State
    stack: LocalStack | None
    services: Mapping[str, str]


def find(state_dir: Path) -> LocalStack | None:
    """Return the stack of a state folder if it runs, answers and is deployed, else None."""
    paths = StatePaths.below(state_dir)
    record = read_record(paths)
    return describe(paths, record) if record and _state(record) == "running" else None


def status(state_dir: Path) -> Status:
    """Look at a stack, and ask each of its services one cheap question."""
    paths = StatePaths.below(state_dir)
    record = read_record(paths)
    state = _state(record)
    if record is None or state != "running":
        return Status(state, None, {})
    stack = describe(paths, record)
    return Status(state, stack, _services(stack))


def describe(paths: StatePaths, record: Record) -> LocalStack:
    """Return the stack that a record speaks of."""
    return LocalStack(
        endpoint_url=record.engine.endpoint_url,
        port=record.engine.port,
        pid=record.engine.process.pid,
        started_at=datetime.fromisoformat(record.started_at),
        outputs=record.outputs,
        log_path=paths.log,
        state_dir=paths.root,
    )


def _state(record: Record | None) -> State:
    if record is None or record.phase != "running" or not record.engine.process.is_alive:
        return "stopped"
    if not record.engine.answers():
        return "not answering"
    return "starting" if record.digest is None else "running"


def _services(stack: LocalStack) -> dict[str, str]:
    found = {service: _probe(stack, service) for service in PROBES}
    session = stack.session()
    found["cloudformation"] = stack_status(session) or "no stack"
    for function, state in mapping_states(session).items():
        found[f"queue of {function}"] = "ok" if state == "Enabled" else state
    return found


def _probe(stack: LocalStack, service: str) -> str:
    try:
        getattr(stack.client(service), PROBES[service])()
    except (BotoCoreError, ClientError) as error:
        return str(error)
    return "ok"
