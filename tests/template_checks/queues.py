"""Queues: encrypted, closed, and slow enough to give up on a message."""

from tests.policies import (
    Statement,
    allows,
    as_list,
    condition_values,
    principals,
    refuses_without_tls,
    statements,
)
from tests.template import ACCOUNT, Template

VISIBILITY_FACTOR = 6  # AWS Lambda developer guide, "Using Lambda with Amazon SQS"
DEFAULT_RETENTION_SECONDS = 345_600  # Amazon SQS: 4 days
DEAD_LETTER_RETENTION_SECONDS = 1_209_600  # Amazon SQS: 14 days, the longest
RECEIVES = 5  # the least that AWS recommends for a queue that Lambda polls


def queue_policy(template: Template, queue: str) -> list[Statement]:
    return [
        statement
        for properties in template.of_type("AWS::SQS::QueuePolicy").values()
        if template.name(queue) in properties["Queues"]
        for statement in statements(properties["PolicyDocument"])
    ]


def check_queues_refuse_requests_without_tls(template: Template) -> list[str]:
    return [
        f"{queue} takes requests without TLS"
        for queue in template.of_type("AWS::SQS::Queue")
        if not refuses_without_tls(queue_policy(template, queue), "sqs", template.arn(queue))
    ]


def check_the_quarantine_bucket_alone_is_let_in(template: Template) -> list[str]:
    findings = []
    for queue in template.of_type("AWS::SQS::Queue"):
        for statement in queue_policy(template, queue):
            if not allows(statement):
                continue
            source = condition_values(statement, "ArnEquals", "aws:SourceArn")
            account = condition_values(statement, "StringEquals", "aws:SourceAccount")
            if (
                queue != "WorkQueue"
                or principals(statement) != {"s3.amazonaws.com"}
                or as_list(statement["Action"]) != ["sqs:SendMessage"]
                or source != [template.arn("QuarantineBucket")]
                or account != [ACCOUNT]
            ):
                findings.append(f"{queue} {statement.get('Sid')}")
    return findings


def check_a_message_stays_hidden_while_a_worker_runs(template: Template) -> list[str]:
    timeout = template.properties("WorkerFunction")["Timeout"]
    visibility = template.properties("WorkQueue").get("VisibilityTimeout", 30)
    if visibility < VISIBILITY_FACTOR * timeout:
        return [f"visible after {visibility} s, worker timeout {timeout} s"]
    return []


def check_dead_letters_outlive_their_source(template: Template) -> list[str]:
    kept = template.properties("DeadLetterQueue").get("MessageRetentionPeriod", 0)
    source = template.properties("WorkQueue").get(
        "MessageRetentionPeriod", DEFAULT_RETENTION_SECONDS
    )
    if kept != DEAD_LETTER_RETENTION_SECONDS or source >= kept:
        return [f"dead letters {kept} s, work {source} s"]
    return []


def check_a_message_is_given_up_after_five_tries(template: Template) -> list[str]:
    redrive = template.properties("WorkQueue").get("RedrivePolicy", {})
    environment = template.properties("WorkerFunction")["Environment"]["Variables"]
    findings = []
    if redrive.get("maxReceiveCount") != RECEIVES:
        findings.append(f"given up after {redrive.get('maxReceiveCount')}")
    if environment["PANTOK_MAX_RECEIVES"] != str(RECEIVES):
        findings.append("the worker counts otherwise")
    if redrive.get("deadLetterTargetArn") != template.arn("DeadLetterQueue"):
        findings.append("given up into nowhere")
    return findings


def check_dead_letters_come_from_the_work_queue_alone(template: Template) -> list[str]:
    allowed = template.properties("DeadLetterQueue").get("RedriveAllowPolicy", {})
    expected = {"redrivePermission": "byQueue", "sourceQueueArns": [template.arn("WorkQueue")]}
    return [] if allowed == expected else [f"from {allowed}"]
