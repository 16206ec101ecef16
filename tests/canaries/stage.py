"""A worker whose whole surroundings are kept: what it prints, sends, stores and raises."""

from __future__ import annotations

import io
import json
import logging
import os
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any
from unittest import mock

from botocore.awsrequest import AWSResponse

from pipeline import log_filter
from pipeline.core.leaks import LeakScanner
from pipeline.handlers import work_queue
from pipeline.model import Upload
from pipeline.testing import s3_event, sqs_event
from tests.faults.cloud import QUARANTINE, TABLES, TOKENIZED, Apply, Cloud, cloud

VALID = "4485733190264178"
AMEX = "378734493671000"
LONG = "6212345678900000003"
MISTYPED = "4485733190264179"  # its check digit is wrong
CANARIES = (VALID, AMEX, LONG, MISTYPED)

LAYOUT = """name = "{name}"
[columns.card]
role = "pan"
[columns.amount]
role = "keep"
type = "decimal(12,2)"
[columns.note]
role = "keep"
[columns.memo]
role = "text"
[options]
{options}
"""
LAYOUTS = {
    "x": "",
    "redacting": 'guard_action = "redact"',
    "tokenizing": 'guard_action = "tokenize"',
    "with-customers": 'customer_id = "note"',
    "once-only": 'duplicates = "refuse"',
}
HEADER = "card,amount,note,memo"

Meddle = Callable[[str, Any, Apply], AWSResponse]


@dataclass
class Context:
    function_name: str = "worker"
    memory_limit_in_mb: int = 1769
    invoked_function_arn: str = "arn:aws:lambda:us-east-1:000000000000:function:worker"
    aws_request_id: str = "8476a536-e9f4-41e8-9739-2dfe598c3fcd"
    milliseconds: int = 300_000

    def get_remaining_time_in_millis(self) -> int:
        return self.milliseconds


class RuntimeFormatter(logging.Formatter):
    """A log line as Lambda's runtime formats it when its log format is JSON."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "level": record.levelname,
            "message": record.getMessage(),
            "logger": record.name,
            "stackTrace": traceback.format_exception(*record.exc_info) if record.exc_info else None,
            "more": {name: value for name, value in vars(record).items() if name.startswith("x_")},
        }
        return json.dumps(line, default=str)


@dataclass
class Trace:
    """What an X-Ray segment notes: annotations, metadata and the text of an error."""

    noted: list[str] = field(default_factory=list)

    @contextmanager
    def in_subsegment(self, name: str) -> Iterator[Trace]:
        try:
            yield self
        except BaseException as error:
            self.noted.append(f"{type(error).__name__}: {error} {error.args}")
            raise

    def put_annotation(self, key: str, value: object) -> None:
        self.noted.append(f"{key}={value}")

    def put_metadata(self, key: str, value: object, namespace: str = "") -> None:
        self.noted.append(f"{key}={value}")


class Streams:
    """Standard output and standard error, down to what C code writes there."""

    def __init__(self) -> None:
        self.files = {1: tempfile.TemporaryFile(), 2: tempfile.TemporaryFile()}  # noqa: SIM115

    @contextmanager
    def redirected(self) -> Iterator[None]:
        kept = {number: os.dup(number) for number in self.files}
        _flush()
        for number, file in self.files.items():
            os.dup2(file.fileno(), number)
        printed, complained = os.fdopen(os.dup(1), "w"), os.fdopen(os.dup(2), "w")
        try:
            with (
                mock.patch.object(sys, "stdout", printed),
                mock.patch.object(sys, "stderr", complained),
            ):
                yield
        finally:
            for stream in (printed, complained):
                stream.close()
            for number, descriptor in kept.items():
                os.dup2(descriptor, number)
                os.close(descriptor)

    def close(self) -> None:
        for file in self.files.values():
            file.close()

    def read(self, number: int) -> bytes:
        self.files[number].seek(0)
        return self.files[number].read()


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with suppress(ValueError):
            stream.flush()


class Stage:
    """A deployment on which canaries are let loose."""

    def __init__(self, aws: Cloud, stack: ExitStack) -> None:
        self.aws, self._stack = aws, stack
        self.streams, self.trace = Streams(), Trace()
        stack.callback(self.streams.close)
        self.printed = {name: io.StringIO() for name in ("text", "json", "own", "late")}
        self.answers: list[Any] = []
        self.errors: list[str] = []
        self.requests: list[bytes] = []
        self.meddle: Meddle | None = None
        self.levels: dict[str | None, int] = {}
        for name, options in LAYOUTS.items():
            self.put_layout(name, LAYOUT.format(name=name, options=options))
        self._listen()
        self._start_worker()

    def patch(self, target: Any, name: str, value: Any) -> None:
        self._stack.enter_context(mock.patch.object(target, name, value))

    def _listen(self) -> None:
        handlers = [logging.StreamHandler(self.printed[name]) for name in ("text", "json", "late")]
        handlers[0].setFormatter(logging.Formatter("[%(levelname)s]\t%(asctime)s\t%(message)s"))
        handlers[1].setFormatter(RuntimeFormatter())
        self.patch(logging.root, "handlers", handlers)
        for handler in logging.getLogger(work_queue.SERVICE).handlers:
            self.patch(handler, "stream", self.printed["own"])
        self.patch(work_queue.tracer, "provider", self.trace)

    def _start_worker(self) -> None:
        worker = self.aws.worker(lambda: lambda: 900.0)
        worker.wire.meddle = self._pass_on
        self.patch(work_queue, "consumer", lambda: worker.consumer)

    def _pass_on(self, _count: int, operation: str, request: Any, apply: Apply) -> AWSResponse:
        """Every request is kept but the content of what goes into quarantine."""
        into_quarantine = operation in ("s3.PutObject", "s3.UploadPart") and (
            f"/{QUARANTINE}/" in request.url or f"//{QUARANTINE}." in request.url
        )
        body = b"" if into_quarantine else _bytes(request.body)
        head = f"{operation} {request.url}\n{dict(request.headers)}\n".encode()
        self.requests.append(head + body)
        return self.meddle(operation, request, apply) if self.meddle else apply(request)

    # What is done to it

    def put_layout(self, name: str, document: str) -> None:
        self._put(f"layouts/{name}.toml", document.encode())

    def _put(self, key: str, body: bytes) -> Upload:
        return self.aws.upload(key, body)

    def upload(self, *rows: str, header: str = HEADER, folder: str = "x") -> str:
        """The message about a new file."""
        return self.upload_bytes("\n".join([header, *rows, ""]).encode(), folder=folder)

    def upload_bytes(self, body: bytes, *, folder: str = "x", name: str = "a.csv") -> str:
        return s3_event(self._put(f"incoming/{folder}/{name}", body))

    def deliver(
        self,
        *bodies: str,
        receive_count: int = 1,
        context: Context | None = None,
        event: Any = None,
    ) -> None:
        """Calls the worker as Lambda's runtime does: an error that leaves it is printed."""
        event = event or sqs_event(*bodies, receive_count=receive_count)
        with self.streams.redirected(), self._levels():
            try:
                self.answers.append(work_queue.handler(event, context or Context()))
            except Exception as error:  # noqa: BLE001
                self.errors.append("".join(traceback.format_exception(error)) + repr(error))

    @contextmanager
    def _levels(self) -> Iterator[None]:
        before = {logger: logger.level for logger in map(logging.getLogger, self.levels)}
        for name, level in self.levels.items():
            logging.getLogger(name).setLevel(level)
        try:
            yield
        finally:
            for logger, level in before.items():
                logger.setLevel(level)

    # What it leaves behind

    @property
    def reasons(self) -> set[str]:
        """All reasons that were given: in receipts, dead letters and for rejected rows."""
        receipts = [json.loads(body) for body in self._objects("receipts/").values()]
        letters = [json.loads(body) for body in self.letters]
        return (
            {str(each["reason"]) for each in [*receipts, *letters]}
            | {reason for each in receipts for reason in each["rejects_by_reason"]}
        ) - {"None"}

    @property
    def letters(self) -> list[str]:
        if not hasattr(self, "_letters"):
            self._letters = self.aws.dead_letters()
        return self._letters

    def _objects(self, prefix: str) -> dict[str, bytes]:
        objects = self.aws.objects(TOKENIZED)
        return {key: body for key, body in objects.items() if key.startswith(prefix)}

    def objects(self, prefix: str) -> bytes:
        """Names and contents, one after the other; Parquet is looked into by itself."""
        return b"\n".join(
            b"\n".join((key.encode(), body)) for key, body in self._objects(prefix).items()
        )

    def parquet(self) -> list[bytes]:
        return list(self._objects("data/").values())

    def items(self, table: str) -> bytes:
        return json.dumps(
            self.aws.items(table), default=lambda value: bytes(value).decode("latin-1")
        ).encode()


def _bytes(body: Any) -> bytes:
    if body is None:
        return b""
    if isinstance(body, bytes | bytearray):
        return bytes(body)
    if isinstance(body, str):
        return body.encode()
    body.seek(0)
    content: bytes = body.read()
    body.seek(0)
    return content


SURFACES: Mapping[str, Callable[[Stage], list[bytes]]] = {
    "standard output, metrics included": lambda stage: [stage.streams.read(1)],
    "standard error": lambda stage: [stage.streams.read(2)],
    "Lambda's log as text": lambda stage: [stage.printed["text"].getvalue().encode()],
    "Lambda's log as JSON": lambda stage: [stage.printed["json"].getvalue().encode()],
    "the worker's own log": lambda stage: [stage.printed["own"].getvalue().encode()],
    "a handler of somebody's own": lambda stage: [stage.printed["late"].getvalue().encode()],
    "traces": lambda stage: [repr(stage.trace.noted).encode()],
    "the handler's answer": lambda stage: [json.dumps(stage.answers).encode()],
    "errors that Lambda prints": lambda stage: ["\n".join(stage.errors).encode()],
    "requests to AWS": lambda stage: stage.requests,
    "dead letters": lambda stage: ["\n".join(stage.letters).encode()],
    "receipts": lambda stage: [stage.objects("receipts/")],
    "Parquet": lambda stage: stage.parquet(),
    "object names": lambda stage: ["\n".join(stage.aws.objects(TOKENIZED)).encode()],
    **{f"table {table}": lambda stage, table=table: [stage.items(table)] for table in TABLES},
}
SCANNER = LeakScanner([canary.encode() for canary in CANARIES], card_like=False)


@contextmanager
def stage() -> Iterator[Stage]:
    """A fresh deployment and worker, and logging as it was afterwards."""
    with ExitStack() as stack:
        aws = stack.enter_context(cloud())
        keep_logging(stack)
        yield Stage(aws, stack)


def keep_logging(stack: ExitStack) -> None:
    """Everything that the log filter changes is as in a new process, and put back afterwards.

    Whatever ran in this process before may have installed it.
    """
    for target, name, unfiltered in (
        (logging.Handler, "format", log_filter._format_unfiltered),
        (logging, "raiseExceptions", True),
        (sys, "unraisablehook", sys.__unraisablehook__),
        (threading, "excepthook", threading.__excepthook__),
    ):
        stack.enter_context(mock.patch.object(target, name, unfiltered))
    for library in log_filter.LIBRARIES:
        logger = logging.getLogger(library)
        stack.callback(logger.setLevel, logger.level)
    stack.callback(logging.captureWarnings, False)


def leaky_surfaces(stage: Stage) -> dict[str, int]:
    """The surfaces on which a canary stands, and how many stand there."""
    found = {
        name: sum(len(SCANNER.leaks_in(content)) for content in read(stage))
        for name, read in SURFACES.items()
    }
    return {name: count for name, count in found.items() if count}


def sizes(stage: Stage) -> dict[str, int]:
    """How many bytes were looked through on each surface."""
    return {name: sum(map(len, read(stage))) for name, read in SURFACES.items()}
