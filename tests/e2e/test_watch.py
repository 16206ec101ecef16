"""The watch on the local stack: its function runs there, and so does its template, in part."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from pipeline.local import LocalStack
from tests.template import WATCH_PATH, load
from tests.watch_checks.alarms import ALARMS

pytestmark = pytest.mark.e2e

STACK_NAME = "pantok-local-watch"
TEMPLATE_BUCKET = "templates-of-the-watch"  # it is too long to be sent along
REFUSED_TYPES = {"AWS::CloudTrail::Trail", "AWS::Athena::NamedQuery"}


def has_metric_math(resource: dict[str, Any]) -> bool:
    return resource["Type"] == "AWS::CloudWatch::Alarm" and "Metrics" in resource["Properties"]


def deployable() -> dict[str, Any]:
    """The template without what the engine refuses."""
    template = load(WATCH_PATH)
    template["Resources"] = {
        name: resource
        for name, resource in template["Resources"].items()
        if resource["Type"] not in REFUSED_TYPES and not has_metric_math(resource)
    }
    return template


@pytest.fixture(scope="module")
def template(local_stack: LocalStack) -> Iterator[dict[str, Any]]:
    s3, cloudformation = local_stack.client("s3"), local_stack.client("cloudformation")
    template = deployable()
    s3.create_bucket(Bucket=TEMPLATE_BUCKET)
    s3.put_object(Bucket=TEMPLATE_BUCKET, Key="watch.json", Body=json.dumps(template).encode())
    cloudformation.create_stack(
        StackName=STACK_NAME,
        TemplateURL=f"{cloudformation.meta.endpoint_url}/{TEMPLATE_BUCKET}/watch.json",
        Capabilities=["CAPABILITY_IAM"],
        Parameters=[{"ParameterKey": "PipelineStack", "ParameterValue": "pantok-local"}],
    )
    waiter = cloudformation.get_waiter("stack_create_complete")
    waiter.wait(StackName=STACK_NAME, WaiterConfig={"Delay": 1, "MaxAttempts": 60})
    yield template
    cloudformation.delete_stack(StackName=STACK_NAME)
    cloudformation.get_waiter("stack_delete_complete").wait(
        StackName=STACK_NAME, WaiterConfig={"Delay": 1, "MaxAttempts": 60}
    )


def test_it_builds_on_what_the_first_stack_exports(
    local_stack: LocalStack, template: dict[str, Any]
) -> None:
    alarms = local_stack.client("cloudwatch").describe_alarms()["MetricAlarms"]
    assert len(alarms) == len(ALARMS.keys() & template["Resources"].keys())
    assert all(alarm["AlarmActions"] for alarm in alarms)

    filters = local_stack.client("logs").describe_metric_filters()["metricFilters"]
    (vault,) = [each for each in filters if "VaultUsedByOthers" in json.dumps(each, default=str)]
    name = local_stack.outputs["DetokenizeRoleArn"].rpartition("/")[2]
    role = local_stack.client("iam").get_role(RoleName=name)["Role"]
    assert f'"{role["RoleId"]}:*"' in vault["filterPattern"]


def test_the_dashboard_is_one_that_can_be_read(
    local_stack: LocalStack, template: dict[str, Any]
) -> None:
    found = local_stack.client("cloudwatch").get_dashboard(DashboardName="pantok-local")
    widgets = json.loads(found["DashboardBody"])["widgets"]
    assert len(widgets) > 20
    assert "${" not in found["DashboardBody"]


def test_the_function_looks_at_the_real_intake(local_stack: LocalStack) -> None:
    functions = local_stack.client("lambda")
    answer = functions.invoke(FunctionName="pantok-local-watch", Payload=b"{}")
    assert answer.get("FunctionError") is None

    events = local_stack.client("logs").filter_log_events(
        logGroupName=local_stack.outputs["WatchLogGroup"]
    )["events"]
    told = [json.loads(each["message"]) for each in events if each["message"].startswith("{")]
    assert any(each.get("UploadsOverdue") == [0.0] for each in told)
    assert any(each.get("message") == "looked" for each in told)
