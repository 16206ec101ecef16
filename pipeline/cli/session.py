"""Which deployment a command talks to."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from pipeline.aws.dynamodb_ledger import DynamoDBLedger
from pipeline.aws.s3_objects import S3Quarantine, S3Tokenized
from pipeline.aws.sqs_queue import SQSDeadLetterOffice, SQSWorkQueue
from pipeline.errors import PermanentError
from pipeline.local import default_state_dir, find

STACK_VARIABLE = "PANTOK_STACK"


@dataclass(frozen=True)
class Deployment:
    """A deployed stack: its name, a session that reaches it, and what its template put out."""

    name: str
    session: boto3.Session
    outputs: Mapping[str, str]

    def client(self, service: str) -> Any:
        """A client of that service."""
        return self.session.client(service)  # type: ignore[call-overload]

    @cached_property
    def ledger(self) -> DynamoDBLedger:
        """The jobs."""
        return DynamoDBLedger(self.client("dynamodb"), self.outputs["JobsTable"])

    @cached_property
    def tokenized(self) -> S3Tokenized:
        """Parts and receipts."""
        buckets = self.outputs["TokenizedBucket"], self.outputs["QuarantineBucket"]
        return S3Tokenized(self.client("s3"), *buckets)

    @cached_property
    def quarantine(self) -> S3Quarantine:
        """Uploads and rejected rows."""
        return S3Quarantine(self.client("s3"), self.outputs["QuarantineBucket"])

    @cached_property
    def work_queue(self) -> SQSWorkQueue:
        """The queue that the worker is fed from."""
        return SQSWorkQueue(self.client("sqs"), self.outputs["WorkQueueUrl"])

    @cached_property
    def dead_letters(self) -> SQSDeadLetterOffice:
        """The dead-letter queue."""
        return SQSDeadLetterOffice(
            self.client("sqs"), self.outputs["DeadLetterQueueUrl"], self.outputs["WorkQueueUrl"]
        )


def deployment(stack_name: str | None) -> Deployment:
    """The stack that is named; without a name the local one if it is up, else `PANTOK_STACK`.

    Raises `PermanentError` `no_stack` or `stack_not_found`, `TransientError` when AWS cannot be
    reached.
    """
    if stack_name is None:
        local = _local_deployment()
        if local is not None:
            return local
        stack_name = os.environ.get(STACK_VARIABLE)
    if not stack_name:
        raise PermanentError(
            "no_stack",
            f"start one with `pantok local up`, or name one with --stack or {STACK_VARIABLE}",
        )
    return _aws_deployment(stack_name)


def _local_deployment() -> Deployment | None:
    stack = find(default_state_dir())
    return Deployment("local", stack.session(), stack.outputs) if stack else None


def _aws_deployment(stack_name: str) -> Deployment:
    session = boto3.Session()
    try:
        cloudformation = session.client("cloudformation")
        stack = cloudformation.describe_stacks(StackName=stack_name)["Stacks"][0]
    except (BotoCoreError, ClientError) as error:
        raise PermanentError(
            "stack_not_found",
            f"cannot describe the stack {stack_name} ({type(error).__name__}): check its name, "
            "AWS_REGION and your credentials",
        ) from None
    outputs = {each["OutputKey"]: each["OutputValue"] for each in stack.get("Outputs", [])}
    return Deployment(stack_name, session, outputs)
