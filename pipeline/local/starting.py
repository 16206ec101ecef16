"""Starts the engine of a stack, with what the last `down` kept or with nothing."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from pipeline.local import engine as engines
from pipeline.local.deployment import outputs
from pipeline.local.errors import EngineDiedError, LocalStackError
from pipeline.local.record import Record, write_record
from pipeline.local.session import loopback_session
from pipeline.local.state import StatePaths

START_ATTEMPTS = 3


@dataclass(frozen=True, slots=True)
class Launch:
    """How engines of one state folder are started; `command` is the program and its arguments."""

    paths: StatePaths
    command: Sequence[str]
    engine_version: str
    report: Callable[[str], None]


def start(launch: Launch, kept: Record | None) -> Record:
    """Start an engine and wait until it answers, with the data of `kept` or with none.

    Raises EngineDiedError or LocalStackError; then nothing runs, and kept data is still there.
    """
    _clear(launch.paths, kept)
    if kept is None:
        return _start_on_free_port(launch)
    if not engines.is_free(kept.engine.port):
        raise LocalStackError(
            f"the kept data belongs to port {kept.engine.port}, which another program has: end"
            " that program, or give the data up with `pantok local down --discard`"
        )
    return _start_on(launch, kept.engine.port, kept)


def usable(launch: Launch, record: Record) -> Record | None:
    """Return a record whose data an engine can start with; otherwise report why it cannot."""
    if record.phase != "kept":
        launch.report("the last engine was not ended by `down`: starting with an empty vault")
        return None
    if record.engine_version != launch.engine_version:
        launch.report("the kept data is of another engine version: starting with an empty vault")
        return None
    return record


def _clear(paths: StatePaths, kept: Record | None) -> None:
    paths.discard_scratch()
    if kept is None:
        paths.discard_data()
    paths.make()


def _start_on_free_port(launch: Launch, attempts: int = START_ATTEMPTS) -> Record:
    """Start on any port; another program may be quicker to take it, so try that again."""
    port = engines.free_port()
    try:
        return _start_on(launch, port, None)
    except EngineDiedError:
        if attempts == 1 or engines.is_free(port):
            raise
    launch.report(f"port {port} was taken in the meantime: trying another")
    launch.paths.make()
    return _start_on_free_port(launch, attempts - 1)


def _start_on(launch: Launch, port: int, kept: Record | None) -> Record:
    launch.report(f"starting the engine on port {port}" + (", with kept data" if kept else ""))
    engine = engines.spawn(launch.paths, port, launch.command)
    record = Record(
        phase="running",
        engine=engine,
        engine_version=launch.engine_version,
        started_at=datetime.now(UTC).isoformat(),
        digest=kept.digest if kept else None,
        outputs=kept.outputs if kept else {},
    )
    write_record(launch.paths, record)
    try:
        engines.wait_until_ready(launch.paths, engine)
        _check_restored(record)
    except BaseException:
        engines.kill(launch.paths, engine)
        _go_back_to(launch.paths, kept)
        raise
    engines.forget_saved(launch.paths)
    return record


def _go_back_to(paths: StatePaths, kept: Record | None) -> None:
    paths.discard_scratch()
    if kept is None:
        paths.discard_data()
    else:
        write_record(paths, kept)


def _check_restored(record: Record) -> None:
    """Compare with the outputs of before; an engine that starts empty has none."""
    if outputs(loopback_session(record.engine.endpoint_url)) != dict(record.outputs):
        raise LocalStackError(
            "the kept data came back incomplete: give it up with `pantok local down --discard`"
        )
