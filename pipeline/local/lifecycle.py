"""Up and down: the life of a local stack, one per state folder.

`down` has the engine save tables, objects, queues, keys, functions and the stack itself, and the
next `up` brings all of it back on the same port. What does not come back is the engine's
CloudTrail, and a message that a function held when the stack went down stays hidden until its
visibility timeout is over. An engine that ended in any other way (a crash, a reboot) leaves
objects that are newer than the vault; half a vault is worse than none, so the next `up` then
starts with nothing, and says so.

Card numbers and keys are in the clear in the state folder: it is made for sample data.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pipeline.local import engine as engines
from pipeline.local.deployment import deploy
from pipeline.local.errors import LocalStackError
from pipeline.local.package import PACKAGE, TEMPLATE, DeployedPackage, prepare
from pipeline.local.record import Record, read_record, write_record
from pipeline.local.session import loopback_session
from pipeline.local.stack import LocalStack
from pipeline.local.starting import Launch, start, usable
from pipeline.local.state import StatePaths, locked
from pipeline.local.status import describe
from pipeline.local.waiting import wait_until

Report = Callable[[str], None]

ANSWER_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Stopped:
    """What `down` did: whether an engine ran, and whether the next `up` will find its data."""

    was_running: bool
    kept_data: bool


def up(
    state_dir: Path,
    *,
    report: Report,
    template: Path = TEMPLATE,
    package: Path = PACKAGE,
    parameters: Mapping[str, str] | None = None,
    command: Sequence[str] = engines.COMMAND,
) -> LocalStack:
    """Start the local stack, or find it running, and deploy the code as it is now.

    A running stack with today's code and template is returned as it is; one with older ones is
    updated in place. `parameters` are the template's; `command` starts the engine. Calls from
    several terminals wait for each other.

    Raises LocalStackError if the engine ends, does not answer in time or answers for somebody
    else, if its port is taken, or if the deployment fails. What was started then has been ended,
    and data that an earlier `down` kept is kept again.
    """
    paths = StatePaths.below(state_dir)
    launch = Launch(paths, command, engines.engine_version(), report)
    deployable = prepare(template, package, parameters)
    with locked(paths, report):
        record = read_record(paths)
        if record and record.phase == "running" and record.engine.process.is_alive:
            _insist_on_an_answer(paths, record)
            return _deployed(launch, record, deployable)
        return _started(launch, record, deployable)


def down(state_dir: Path, *, report: Report, keep_data: bool = True) -> Stopped:
    """End the stack's engine and the function processes below it, and nothing else.

    With `keep_data` the engine first saves everything, about 10 s per 100,000 vault rows; without
    it, what was kept earlier goes as well. Harmless when nothing runs.
    """
    paths = StatePaths.below(state_dir)
    with locked(paths, report):
        record = read_record(paths)
        if record is None:
            return Stopped(was_running=False, kept_data=False)
        return _ended(paths, record, keep_data, report)


def _insist_on_an_answer(paths: StatePaths, record: Record) -> None:
    if not wait_until(record.engine.answers, ANSWER_SECONDS):
        raise LocalStackError(
            f"the engine runs (process {record.engine.process.pid}) but does not answer on port"
            f" {record.engine.port}: `pantok local down`, then `pantok local up`; its log is"
            f" {paths.log}"
        )


def _started(launch: Launch, record: Record | None, deployable: DeployedPackage) -> LocalStack:
    kept = usable(launch, record) if record else None
    if record:
        engines.kill(launch.paths, record.engine)
    running = start(launch, kept)
    try:
        return _deployed(launch, running, deployable)
    except BaseException:
        _ended(launch.paths, running, keep_data=kept is not None, report=launch.report)
        raise


def _deployed(launch: Launch, record: Record, deployable: DeployedPackage) -> LocalStack:
    if record.digest != deployable.digest:
        launch.report("updating the stack" if record.digest else "deploying the template")
        try:
            outputs = deploy(loopback_session(record.engine.endpoint_url), deployable)
        except LocalStackError as error:
            raise LocalStackError(f"{error}\nthe engine's log is {launch.paths.log}") from error
        record = replace(record, digest=deployable.digest, outputs=outputs)
        write_record(launch.paths, record)
    launch.report(f"ready at {record.engine.endpoint_url}")
    return describe(launch.paths, record)


def _ended(paths: StatePaths, record: Record, keep_data: bool, report: Report) -> Stopped:
    was_running = record.engine.process.is_alive
    kept = keep_data and record.phase == "kept"
    if was_running and keep_data and record.digest:
        report("saving, and ending the engine")
        kept = engines.end_and_save(paths, record.engine, report)
    engines.kill(paths, record.engine)
    paths.discard_scratch()
    if kept:
        write_record(paths, replace(record, phase="kept"))
    else:
        paths.discard_data()
    return Stopped(was_running=was_running, kept_data=kept)
