"""The function that looks after uploads on a schedule. It reads keys, states and receipts alone.

Job ids and counts are all that is logged: the key of an upload may hold a card number.
"""

from __future__ import annotations

import os
from datetime import timedelta
from functools import cache
from typing import Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext

from pipeline.aws.dynamodb_ledger import DynamoDBLedger
from pipeline.aws.intake import S3Intake
from pipeline.aws.s3_objects import S3Tokenized
from pipeline.aws.session import CountedSession, utc_now
from pipeline.handlers.edge import contained
from pipeline.settings import WatchSettings
from pipeline.watch import Deadlines, Findings, Watch

SERVICE = "pantok"
CHECKED_FOR = timedelta(hours=1)  # four looks, so that one which fails leaves nothing out
SECONDS_TO_REPORT = 15.0

logger = Logger(service=SERVICE)
metrics = Metrics(namespace="Pantok", service=SERVICE)


@cache
def watch() -> Watch:
    """The watch of this execution environment, made on first use."""
    return watch_of(WatchSettings.from_environment(os.environ), CountedSession())


def watch_of(settings: WatchSettings, session: CountedSession) -> Watch:
    """What compares the parts of a deployment."""
    s3 = session.client("s3")
    return Watch(
        S3Intake(s3, settings.quarantine_bucket),
        DynamoDBLedger(session.client("dynamodb"), settings.jobs_table),
        S3Tokenized(s3, settings.tokenized_bucket, settings.quarantine_bucket),
        Deadlines(timedelta(minutes=float(settings.receipt_due_minutes)), CHECKED_FOR),
    )


@contained
@logger.inject_lambda_context(log_event=False, clear_state=True)
@metrics.log_metrics
@contained  # here as well: what the watch raises has to be one of our errors for the log
def handler(_event: dict[str, Any], context: LambdaContext) -> None:
    """Lambda entry point: looks at everything once; what it is given does not matter."""

    def has_time() -> bool:
        return context.get_remaining_time_in_millis() / 1000 > SECONDS_TO_REPORT

    _report(watch().look(utc_now(), has_time))


def _report(findings: Findings) -> None:
    metrics.add_metric("UploadsInQuarantine", MetricUnit.Count, findings.uploads)
    metrics.add_metric("UploadsOverdue", MetricUnit.Count, findings.overdue)
    metrics.add_metric("ReceiptsNotAddingUp", MetricUnit.Count, findings.not_adding_up)
    facts = {"uploads": findings.uploads, "receipts": findings.receipts}
    logger.info("looked", extra=facts)
    if findings.overdue:
        logger.error("no receipt", extra={"jobs": findings.overdue_jobs})
    if findings.not_adding_up:
        logger.error("a receipt does not add up", extra={"jobs": findings.jobs_not_adding_up})
