"""Deploys the package to the engine as a CloudFormation stack, and says what failed."""

import re
from collections.abc import Iterator
from itertools import takewhile
from typing import Any

import boto3
from botocore.exceptions import ClientError

from pipeline.local.errors import LocalStackError
from pipeline.local.package import ARTIFACT_BUCKET, DeployedPackage
from pipeline.local.waiting import wait_until

STACK_NAME = "pantok-local"
CAPABILITIES = ("CAPABILITY_IAM", "CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND")
COMPLETE = frozenset({"CREATE_COMPLETE", "UPDATE_COMPLETE"})
UPDATABLE = COMPLETE | {"UPDATE_ROLLBACK_COMPLETE"}
MAPPING_AT_REST = frozenset({"Enabled", "Disabled"})
DEPLOY_SECONDS = 120.0
MAPPING_SECONDS = 30.0
MESSAGE_CHARACTERS = 500
API_ON_AWS = re.compile(r"https://(\w+)\.execute-api\.[\w.-]+\.amazonaws\.com(?:\.cn)?(?=/|$)")


def deploy(session: boto3.Session, package: DeployedPackage) -> dict[str, str]:
    """Create or update the stack and wait until it works; returns its outputs.

    Raises LocalStackError with the logical id and reason of each resource that failed, or of the
    deadline (`DEPLOY_SECONDS` for the stack, `MAPPING_SECONDS` for the event source mappings).
    """
    _store(session, package)
    try:
        _create_or_update(session, package)
    except ClientError as error:
        raise LocalStackError(f"the template was refused: {_message(error)}") from error
    status = _wait_for_stack(session)
    if status not in COMPLETE:
        failures = "\n".join(_failures(session)) or "no resource said why"
        raise LocalStackError(f"the deployment ended as {status}:\n{failures}")
    _restate_concurrency(session)
    _wait_for_mappings(session)
    return outputs(session)


def outputs(session: boto3.Session) -> dict[str, str]:
    """Return the outputs of the stack, none if it is not there.

    An API's address on AWS becomes its address on the engine, so that nobody calls AWS.
    """
    endpoint_url = session.client("cloudformation").meta.endpoint_url
    local_api = rf"{endpoint_url}/_aws/execute-api/\1"
    return {
        output["OutputKey"]: API_ON_AWS.sub(local_api, output["OutputValue"])
        for output in _stack(session).get("Outputs", [])
    }


def mapping_states(session: boto3.Session) -> dict[str, str]:
    """Return the state of each event source mapping, by the name of its function."""
    return {
        mapping["FunctionArn"].split(":")[6]: mapping["State"] for mapping in _mappings(session)
    }


def stack_status(session: boto3.Session) -> str | None:
    """Return the stack's status, None if there is none."""
    status: str | None = _stack(session).get("StackStatus")
    return status


def _stack(session: boto3.Session) -> Any:
    try:
        found = session.client("cloudformation").describe_stacks(StackName=STACK_NAME)["Stacks"]
    except ClientError as error:
        if error.response["Error"]["Code"] == "ValidationError":
            return {}
        raise
    return found[0]


def _store(session: boto3.Session, package: DeployedPackage) -> None:
    s3 = session.client("s3")
    s3.create_bucket(Bucket=ARTIFACT_BUCKET)
    s3.put_object(Bucket=ARTIFACT_BUCKET, Key=package.code_object, Body=package.code_zip)
    s3.put_object(
        Bucket=ARTIFACT_BUCKET, Key=package.template_object, Body=package.template.encode()
    )


def _create_or_update(session: boto3.Session, package: DeployedPackage) -> None:
    cloudformation = session.client("cloudformation")
    arguments: dict[str, Any] = {
        "StackName": STACK_NAME,
        "TemplateURL": f"{cloudformation.meta.endpoint_url}/{ARTIFACT_BUCKET}"
        f"/{package.template_object}",
        "Capabilities": list(CAPABILITIES),
        "Parameters": [
            {"ParameterKey": name, "ParameterValue": value}
            for name, value in package.parameters.items()
        ],
    }
    status = stack_status(session)
    if status is None:
        cloudformation.create_stack(**arguments)
    elif status in UPDATABLE:
        _update(cloudformation, arguments)
    else:
        raise LocalStackError(
            f"the stack is {status}, from where no update leads on: `pantok local down --discard`,"
            " then `pantok local up`"
        )


def _update(cloudformation: Any, arguments: dict[str, Any]) -> None:
    try:
        cloudformation.update_stack(**arguments)
    except ClientError as error:
        if "No updates are to be performed" not in _message(error):
            raise


def _wait_for_stack(session: boto3.Session) -> str:
    last = ""

    def has_ended() -> bool:
        nonlocal last
        last = stack_status(session) or "gone"
        return not last.endswith("IN_PROGRESS")

    if not wait_until(has_ended, DEPLOY_SECONDS):
        raise LocalStackError(f"the deployment was still {last} after {DEPLOY_SECONDS:.0f} s")
    return last


def _failures(session: boto3.Session) -> Iterator[str]:
    """Tell the failed events of the last operation; events come newest first."""
    answer = session.client("cloudformation").describe_stack_events(StackName=STACK_NAME)
    of_last_operation = takewhile(
        lambda event: event.get("ResourceStatusReason") != "User Initiated", answer["StackEvents"]
    )
    for event in of_last_operation:
        if event.get("ResourceStatus", "").endswith("_FAILED"):
            reason = event.get("ResourceStatusReason", "no reason given")
            yield f"  {event['LogicalResourceId']}: {reason[:MESSAGE_CHARACTERS]}"


def _mappings(session: boto3.Session) -> Any:
    return session.client("lambda").list_event_source_mappings()["EventSourceMappings"]


def _restate_concurrency(session: boto3.Session) -> None:
    """Say each mapping's concurrency anew: `!Ref` leaves it as text, which the engine trips on."""
    for mapping in _mappings(session):
        if scaling := mapping.get("ScalingConfig"):
            numbers = {name: int(value) for name, value in scaling.items()}
            session.client("lambda").update_event_source_mapping(
                UUID=mapping["UUID"], ScalingConfig=numbers
            )


def _wait_for_mappings(session: boto3.Session) -> None:
    if not wait_until(lambda: not _restless(session), MAPPING_SECONDS):
        late = ", ".join(f"{name} is {state}" for name, state in _restless(session).items())
        raise LocalStackError(f"event source mappings were not ready in time: {late}")


def _restless(session: boto3.Session) -> dict[str, str]:
    states = mapping_states(session)
    return {name: state for name, state in states.items() if state not in MAPPING_AT_REST}


def _message(error: ClientError) -> str:
    return error.response["Error"].get("Message", "no reason given")[:MESSAGE_CHARACTERS]
