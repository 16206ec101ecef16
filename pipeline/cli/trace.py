"""Who did what with a token, or with the keys of a job."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import typer

from pipeline.aws.audit_log import audit_lines
from pipeline.aws.key_events import key_events, token_facts
from pipeline.cli.output import JsonFlag, StackOption, examples, print_json, table
from pipeline.cli.session import Deployment, deployment
from pipeline.core.envelope import TOKEN_PATTERN
from pipeline.core.trace import Traced, concerns, kms_request_ids, timeline
from pipeline.errors import PermanentError

EVENT_HISTORY_DAYS = 90  # CloudTrail's event history; a trail in a bucket has more

EXAMPLES = examples(
    "pantok trace job_6tok5sahhchio7bet4erbxqbfi",
    "pantok trace tok_by5cez5exunp6atmttkpb2sw6m --json",
)


def trace(
    subject: Annotated[str, typer.Argument(metavar="TOKEN|JOB", help="A token or a job.")],
    days: Annotated[
        int, typer.Option(min=1, max=3653, help="How far back to look.")
    ] = EVENT_HISTORY_DAYS,
    as_json: JsonFlag = False,
    stack: StackOption = None,
) -> None:
    """Shows the record of accesses and the CloudTrail events of the keys, side by side."""
    found = traced(deployment(stack), subject, timedelta(days=days))
    if as_json:
        print_json([asdict(each) for each in found])
        return
    table(
        f"trace of {subject}",
        ("when", "source", "event", "who", "what", "request", "KMS requests"),
        [
            (
                each.at,
                each.source,
                each.event,
                each.who,
                each.what,
                each.request_id,
                "\n".join(each.kms_request_ids),
            )
            for each in found
        ],
    )


def traced(target: Deployment, subject: str, period: timedelta) -> list[Traced]:
    """Everything that is known of a token or job within the period, oldest first.

    Raises `PermanentError`: `unknown_token`, or `not_traceable` for what is neither.
    """
    start = datetime.now(UTC) - period
    names, terms = _names(target, subject)
    logs, log_group = target.client("logs"), target.outputs["AuditLogGroup"]
    lines = {line for term in terms for line in audit_lines(logs, log_group, term, start)}
    records = [_about(json.loads(line), terms) for line in lines]
    request_ids = kms_request_ids(records)
    since = max(start, datetime.now(UTC) - timedelta(days=EVENT_HISTORY_DAYS))
    key_arns = [target.outputs[name] for name in ("VaultKeyArn", "BulkKeyArn")]
    events = key_events(target.client("cloudtrail"), key_arns, since)
    return timeline(records, [each for each in events if concerns(each, names, request_ids)])


def _names(target: Deployment, subject: str) -> tuple[set[str], set[str]]:
    """The data keys and jobs to look for in CloudTrail, and the terms for the record."""
    if TOKEN_PATTERN.fullmatch(subject):
        vault = target.outputs["VaultTable"]
        facts = token_facts(target.client("dynamodb"), vault, subject)
        return {facts["data_key_id"]}, {subject}
    if not subject.startswith(("job_", "api_", "dk_", "bulk_")):
        raise PermanentError("not_traceable", "neither a token nor a job nor a data key")
    receipt = target.tokenized.get_receipt(subject) if subject.startswith("job_") else None
    data_key_ids = set(receipt["data_key_ids"]) if receipt else set()
    return {subject} | data_key_ids, {subject} | data_key_ids


def _about(record: Mapping[str, Any], terms: set[str]) -> Mapping[str, Any]:
    """The record with those of its items alone that one of the terms names: all of a bulk job's."""
    if record["job_id"] in terms:
        return record
    items = [item for item in record["items"] if terms & set(item.values())]
    return {**record, "items": items}
