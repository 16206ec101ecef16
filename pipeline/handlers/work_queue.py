"""The worker: takes messages off the work queue, one settlement file each.

Nothing that is logged, measured or traced here comes out of a file: only ids, codes and counts.
Events are not logged, exceptions not printed.
"""

from __future__ import annotations

import gc
import os
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

from aws_lambda_powertools import Logger, Metrics, Tracer
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.batch import (
    BatchProcessor,
    EventType,
    process_partial_response,
)
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from aws_lambda_powertools.utilities.typing import LambdaContext

from pipeline.aws.session import CountedSession
from pipeline.core.messages import (
    Failure,
    chunk_message,
    dead_letter_of_message,
    dead_letter_of_upload,
    parse_message,
    shown_job_id,
    upload_message,
)
from pipeline.errors import PantokError, PermanentError, TransientError
from pipeline.handlers.edge import contained, without_content
from pipeline.job import Worker, give_up, run_chunk, run_job
from pipeline.keys import FingerprintKey
from pipeline.model import ChunkTask, Unfinished, Upload
from pipeline.ports import Ports
from pipeline.settings import Settings
from pipeline.wiring import ports_of

POSTPONE_SECONDS = (4, 60, 300, 900)  # at most; so that an outage of ten minutes costs no file
MAX_THROTTLED_ATTEMPTS = 100  # of minutes each: DynamoDB doubles its capacity within half an hour

_YOUNG_OBJECTS = 20_000  # come together before garbage is looked for among them

SERVICE = "pantok"

logger = Logger(service=SERVICE)
metrics = Metrics(namespace="Pantok", service=SERVICE)
tracer = Tracer(service=SERVICE, auto_patch=False)
processor = BatchProcessor(EventType.SQS, raise_on_entire_batch_failure=False)


@dataclass(frozen=True, slots=True)
class _Work:
    """What a message asks for: an upload, or a chunk of one. `message` asks for it again."""

    upload: Upload
    message: Mapping[str, Any]
    run: Callable[[Worker, Callable[[], float]], Mapping[str, Any] | Unfinished]

    @classmethod
    def of_upload(cls, upload: Upload) -> _Work:
        return cls(upload, upload_message(upload), partial(run_job, upload))

    @classmethod
    def of_chunk(cls, task: ChunkTask) -> _Work:
        return cls(task.upload, chunk_message(task), partial(run_chunk, task))


class WorkQueueConsumer:
    """Works off one message at a time."""

    def __init__(self, settings: Settings, worker: Worker) -> None:
        self._bucket = settings.quarantine_bucket
        self._max_receives = int(settings.max_receives)
        self._worker = worker

    def consume(self, record: SQSRecord, seconds_left: Callable[[], float]) -> None:
        """Commits what the message asks for, or leaves a dead letter with a reason.

        Raises `TransientError` when the message is to be delivered again.
        """
        message = parse_message(record.body, self._bucket)
        attempts = message.earlier_attempts + _receives(record)
        metrics.add_metric("EventsIgnored", MetricUnit.Count, message.ignored)
        works = [_Work.of_upload(upload) for upload in message.uploads]
        works += [_Work.of_chunk(task) for task in message.chunks]
        troubles = [
            self._trouble_in(
                partial(self._work_off, work, record, attempts, seconds_left),
                shown_job_id(work.upload),
            )
            for work in works
        ]
        if message.refused:
            failure = self._failure(message.refused, attempts)
            letter = dead_letter_of_message(record.body, failure)
            troubles.append(self._trouble_in(partial(self._bury, letter)))
        trouble = next((each for each in troubles if each is not None), None)
        if trouble is not None:
            self._postpone(record)
            raise trouble

    def _trouble_in(
        self, step: Callable[[], None], job_id: str | None = None
    ) -> TransientError | None:
        with logger.append_context_keys(job_id=job_id):
            try:
                step()
            except Exception as error:  # noqa: BLE001 - the edge: whatever it is, it is not printed
                trouble = without_content(error)
                metrics.add_metric("AttemptsPostponed", MetricUnit.Count, 1)
                facts = {"reason": trouble.code, "detail": trouble.detail}
                logger.warning("to be tried again", extra=facts)
                return trouble
        return None

    def _work_off(
        self,
        work: _Work,
        record: SQSRecord,
        attempts: int,
        seconds_left: Callable[[], float],
    ) -> None:
        try:
            outcome = work.run(self._worker, seconds_left)
        except PermanentError as error:
            self._bury_upload(work.upload, attempts, error)
        except Exception as error:
            if _receives(record) < self._max_receives:
                raise
            self._after_the_last_try(work, attempts, without_content(error))
        else:
            if outcome is Unfinished.TO_BE_CONTINUED:
                self._hand_on(work.message)
            elif not isinstance(outcome, Unfinished):
                self._report(outcome)

    def _hand_on(self, message: Mapping[str, Any]) -> None:
        """The time was up: another message asks for the rest, before this one is acknowledged."""
        self._worker.ports.work_queue.send_all([message])
        metrics.add_metric("JobsHandedOn", MetricUnit.Count, 1)
        logger.info("to be continued")

    def _after_the_last_try(self, work: _Work, attempts: int, error: TransientError) -> None:
        """A table that throttles is warming up, and no reason for a file to fail."""
        if error.code == "throttled" and attempts < MAX_THROTTLED_ATTEMPTS:
            self._hand_on({**work.message, "attempts": attempts})
        else:
            self._give_up(work.upload, attempts, error)

    def _give_up(self, upload: Upload, attempts: int, error: TransientError) -> None:
        """The last delivery failed too: the message would end in the queue without a reason.

        The letter comes first: where the ledger is what fails, there is still the letter.
        """
        self._bury_upload(upload, attempts, error)
        try:
            give_up(upload, self._worker, error)
        except Exception as trouble:  # noqa: BLE001 - the letter says it all
            logger.warning("failure not noted", extra={"reason": without_content(trouble).code})

    def _bury_upload(self, upload: Upload, attempts: int, error: PantokError) -> None:
        failure = self._failure(error.code, attempts, error.detail)
        self._bury(dead_letter_of_upload(upload, failure))

    def _bury(self, letter: Mapping[str, Any]) -> None:
        self._worker.ports.dead_letters.send(letter)
        metrics.add_metric("DeadLetters", MetricUnit.Count, 1)
        logger.warning("dead letter", extra={"reason": letter["reason"]})

    def _failure(self, reason: str, attempts: int, detail: str = "") -> Failure:
        return Failure(reason, detail, attempts, self._worker.ports.clock())

    def _postpone(self, record: SQSRecord) -> None:
        longest = POSTPONE_SECONDS[min(_receives(record), len(POSTPONE_SECONDS)) - 1]
        seconds = round(random.uniform(longest / 2, longest))
        try:
            self._worker.ports.work_queue.postpone(record.receipt_handle, seconds)
        except TransientError as error:  # then the queue's own visibility timeout applies
            logger.warning("not postponed", extra={"reason": error.code})

    def _report(self, receipt: Mapping[str, Any]) -> None:
        for name, field in (
            ("RowsRead", "rows_read"),
            ("RowsWritten", "rows_written"),
            ("RowsRejected", "rows_rejected"),
            ("TokensNew", "tokens_new"),
            ("TokensReused", "tokens_reused"),
        ):
            metrics.add_metric(name, MetricUnit.Count, receipt[field])
        metrics.add_metric("GuardHits", MetricUnit.Count, receipt["guard"]["hits"])
        metrics.add_metric("JobSeconds", MetricUnit.Seconds, receipt["seconds"])
        counts = {name: receipt[name] for name in ("rows_read", "rows_written", "rows_rejected")}
        logger.info("committed", extra=counts)


def _receives(record: SQSRecord) -> int:
    return int(record.attributes.approximate_receive_count or 1)


@cache
def consumer() -> WorkQueueConsumer:
    """The consumer of this execution environment, made on first use."""
    settings = Settings.from_environment(os.environ)
    consumer = WorkQueueConsumer(settings, worker_of(ports_of(settings, CountedSession())))
    keep_what_is_loaded()
    return consumer


def keep_what_is_loaded() -> None:
    """Nearly all that is loaded by now stays for as long as the process.

    Looking through it for garbage again and again would take a tenth of the time; what comes later
    is let go without a look, unless it refers to itself.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG_OBJECTS)


def worker_of(ports: Ports) -> Worker:
    """The worker of an execution environment."""
    fingerprint_key = FingerprintKey(ports.key_service, ports.data_key_records, ports.clock)
    memory_gb = int(os.environ.get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "1769")) / 1024
    return Worker(ports, fingerprint_key.fingerprinter, memory_gb)


@contained
@logger.inject_lambda_context(log_event=False, clear_state=True)
@tracer.capture_lambda_handler(capture_response=False, capture_error=False)
@metrics.log_metrics
@contained  # here as well: the tracer notes the text of an error in the trace
def handler(event: dict[str, Any], context: LambdaContext) -> Any:
    """Lambda entry point: an SQS event in, the messages to be delivered again out."""
    records = _records(event)
    metrics.add_metric("Messages", MetricUnit.Count, len(records))
    if not records:
        raise PermanentError("malformed_event", "not an SQS event")
    work_queue_consumer = consumer()

    def seconds_left() -> float:
        return context.get_remaining_time_in_millis() / 1000

    def consume(record: SQSRecord) -> None:
        work_queue_consumer.consume(record, seconds_left)

    return process_partial_response(
        event=event, record_handler=consume, processor=processor, context=context
    )


def _records(unverified: Any) -> list[Any]:
    """The event's messages; none if it holds anything else."""
    records = unverified.get("Records") if isinstance(unverified, dict) else None
    if not isinstance(records, list):
        return []
    are_messages = all(
        isinstance(each, dict) and each.get("eventSource") == "aws:sqs" for each in records
    )
    return records if are_messages else []
