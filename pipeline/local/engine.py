"""The engine of the local stack: ministack as a process of its own, on 127.0.0.1 only."""

import http.client
import importlib.metadata
import json
import os
import random
import secrets
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec

from pipeline.local.errors import NOT_INSTALLED, EngineDiedError, LocalStackError
from pipeline.local.processes import (
    ProcessIdentity,
    end_all,
    exit_code_of_child,
    group_members,
    identify,
    kill_group,
    send,
    wait_for_end,
)
from pipeline.local.session import DUMMY_ACCESS_KEY, DUMMY_SECRET_KEY, REGION
from pipeline.local.state import StatePaths
from pipeline.local.waiting import wait_until

LOOPBACK = "127.0.0.1"
# Below every system's range for outgoing connections, so that a stack finds its port again.
PORTS = range(20_000, 30_000)
COMMAND = (sys.executable, "-m", "ministack")
READY_SECONDS = 90.0
HEALTH_SECONDS = 5.0
FIRST_ANSWER_SECONDS = 0.5
SAVE_NOTICE_SECONDS = 5.0
SAVE_SECONDS = 180.0
LOG_TAIL_LINES = 20
INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "LC_CTYPE", "TZ")
# Saved by every engine that has a stack; the last one is saved after the tables and queues.
SAVED_ALWAYS = ("cloudformation.json", "lambda.json", "s3.json", "cloudtrail.json")


@dataclass(frozen=True, slots=True)
class Engine:
    """An engine's process, its port, and the word by which it is told from any other."""

    process: ProcessIdentity
    port: int
    instance: str

    @property
    def endpoint_url(self) -> str:
        """Where every service answers."""
        return f"http://{LOOPBACK}:{self.port}"

    def answers(self, within_seconds: float | None = None) -> bool:
        """Whether this engine, and not another program on its port, answers in time."""
        try:
            answer = _health(self.port, within_seconds or HEALTH_SECONDS)
            return answer.get("edition") == self.instance
        except (OSError, ValueError, http.client.HTTPException):
            return False


def engine_version() -> str:
    """Return the installed engine's version; LocalStackError if there is none."""
    if find_spec("ministack") is None:
        raise LocalStackError(NOT_INSTALLED)
    return importlib.metadata.version("ministack")


def free_port() -> int:
    """Pick a port of `PORTS` on which nothing listens; somebody may still be quicker."""
    for port in random.sample(PORTS, k=100):
        if is_free(port):
            return port
    raise LocalStackError(f"no port is free between {PORTS.start} and {PORTS.stop - 1}")


def is_free(port: int) -> bool:
    """Whether a port of 127.0.0.1 can be listened on now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def spawn(paths: StatePaths, port: int, command: Sequence[str] = COMMAND) -> Engine:
    """Start the engine in a session of its own; it outlives the caller.

    Raises EngineDiedError if there is no process to speak of.
    """
    instance = f"pantok-{secrets.token_hex(8)}"
    with paths.log.open("wb") as log:
        try:
            process = subprocess.Popen(  # noqa: S603 - our own command
                command,
                env=engine_environment(paths, port, instance),
                cwd=paths.scratch,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as error:
            raise EngineDiedError(f"{command[0]} cannot be started: {error.strerror}") from error
    identity = identify(process.pid)
    if identity is None:
        raise _died(paths, process.wait())
    process.returncode = 0  # It is meant to outlive this object, which would warn of that.
    return Engine(identity, port, instance)


def engine_environment(paths: StatePaths, port: int, instance: str) -> dict[str, str]:
    """Return everything that the engine and the functions below it see of the environment.

    Nothing of the caller's AWS or pantok settings gets through, no configuration file is read
    and every client is pointed at the engine, so no real AWS endpoint is ever reached. Below
    ERROR the engine would log what the functions print, and the text of their exceptions.
    """
    inherited = {name: os.environ[name] for name in INHERITED if name in os.environ}
    return {
        **inherited,
        "BIND_HOST": LOOPBACK,
        "MINISTACK_HOST": LOOPBACK,
        "GATEWAY_PORT": str(port),
        "MINISTACK_EDITION": instance,
        "MINISTACK_REGION": REGION,
        "LOG_LEVEL": "ERROR",
        "LAMBDA_EXECUTOR": "local",
        "LAMBDA_WARM_TTL_SECONDS": "60",
        "IOT_MTLS_ENABLED": "0",
        "SFTP_ENABLED": "0",
        "CLOUDTRAIL_RECORDING": "1",
        "PERSIST_STATE": "1",
        "STATE_DIR": str(paths.data),
        "S3_PERSIST": "1",
        "S3_DATA_DIR": str(paths.objects),
        "TMPDIR": str(paths.scratch),
        # The engine clears away containers that look like its own: other people's, here.
        "DOCKER_HOST": f"unix://{paths.scratch / 'no-docker.sock'}",
        "AWS_ENDPOINT_URL": f"http://{LOOPBACK}:{port}",
        "AWS_ACCESS_KEY_ID": DUMMY_ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": DUMMY_SECRET_KEY,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_REGION": REGION,
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        "POWERTOOLS_TRACE_DISABLED": "true",
        "AWS_XRAY_SDK_ENABLED": "false",
    }


def wait_until_ready(paths: StatePaths, engine: Engine) -> None:
    """Wait until the engine answers, `READY_SECONDS` at most.

    Raises EngineDiedError with the exit code and the end of the log, or LocalStackError.
    """

    def has_settled() -> bool:
        return engine.answers(FIRST_ANSWER_SECONDS) or not engine.process.is_alive

    in_time = wait_until(has_settled, READY_SECONDS)
    if not engine.process.is_alive:
        raise _died(paths, exit_code_of_child(engine.process.pid))
    if not in_time:
        raise LocalStackError(
            f"the engine did not answer on port {engine.port} within {READY_SECONDS:.0f} s;"
            f" see {paths.log}\n{log_tail(paths)}"
        )


def forget_saved(paths: StatePaths) -> None:
    """Remove what a running engine has read back, so that it cannot pass for newer."""
    for saved in paths.data.glob("*.json"):
        saved.unlink()


def end_and_save(paths: StatePaths, engine: Engine, report: Callable[[str], None]) -> bool:
    """Have the engine save everything and end, with all its processes; says whether it saved.

    The engine alone is asked to end, so that a function that is at work meets a closed
    connection, as in a crash. After `SAVE_SECONDS` it is killed, and what it saved is worthless.
    """
    send(engine.process, signal.SIGTERM)
    send(engine.process, signal.SIGCONT)  # A suspended process would not hear the other signal.
    if not wait_for_end(engine.process, SAVE_NOTICE_SECONDS):
        report("the engine is still saving: about 10 s for 100,000 vault rows")
    ended = wait_for_end(engine.process, SAVE_SECONDS)
    kill(paths, engine)
    failed_to_save = "Persistence:" in paths.log.read_text(errors="replace")
    return ended and not failed_to_save and all((paths.data / f).exists() for f in SAVED_ALWAYS)


def kill(paths: StatePaths, engine: Engine) -> None:
    """End the engine and every function process that it started, at once and without saving."""
    kill_group(engine.process)
    end_all(
        member.identity
        for member in group_members(engine.process.pid)
        if str(paths.scratch) in member.command
    )


def log_tail(paths: StatePaths) -> str:
    """Return the last lines that the engine printed."""
    try:
        lines = paths.log.read_text(errors="replace").splitlines()
    except FileNotFoundError:
        return ""
    return "\n".join(lines[-LOG_TAIL_LINES:])


def _died(paths: StatePaths, exit_code: int | None) -> EngineDiedError:
    code = "unknown" if exit_code is None else exit_code
    said = log_tail(paths) or "(it printed nothing)"
    return EngineDiedError(f"the engine ended with exit code {code}; {paths.log} ends with\n{said}")


def _health(port: int, within_seconds: float) -> dict[str, object]:
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=within_seconds)
    try:
        connection.request("GET", "/_ministack/health")
        answer = json.loads(connection.getresponse().read())
    finally:
        connection.close()
    return answer if isinstance(answer, dict) else {}
