"""Alarms and dashboard: what they look at exists, somebody is told, and knows what to do."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from tests.policies import as_list, condition_values, denies, principals, statements
from tests.template import ACCOUNT, REGION, Template, pipeline_template
from tests.template_checks.keys import KMS_CRYPTOGRAPHY, key_policy

OPERATIONS = re.compile(r"docs/operations\.md#([a-z-]+)")
# What somebody must be told of: alarm → the metrics that it looks at.
ALARMS = {
    "DeadLettersAlarm": {"ApproximateNumberOfMessagesVisible"},
    "OldestMessageAlarm": {"ApproximateAgeOfOldestMessage"},
    "UploadsOverdueAlarm": {"UploadsOverdue"},
    "ReceiptsNotAddingUpAlarm": {"ReceiptsNotAddingUp"},
    "WatchSilentAlarm": {"UploadsOverdue"},
    "FunctionErrorsAlarm": {"Errors"},
    "FunctionThrottlesAlarm": {"Throttles"},
    "WorkerNearTimeoutAlarm": {"Duration"},
    "ApiNearTimeoutAlarm": {"Duration"},
    "RequestsFailedAlarm": {"RequestsFailed"},
    "DetokenizeRateAlarm": {"TokensDetokenized", "TokensDetokenizedInBulk"},
    "CallersLockedAlarm": {"CallersLocked"},
    "SealsBrokenAlarm": {"SealsBroken"},
    "TrailSilentAlarm": {"IncomingLogEvents"},
    "CanariesAskedForAlarm": {"CanariesAskedFor"},
    "SealingKeysUsedByOthersAlarm": {"SealingKeysUsedByOthers"},
    "SealingKeysDeniedAlarm": {"SealingKeysDenied"},
    "VaultUsedByOthersAlarm": {"VaultUsedByOthers"},
    "QuarantineReadByOthersAlarm": {"QuarantineReadByOthers"},
    "StoresDeniedAlarm": {"StoresDenied"},
    "GrantsChangedAlarm": {"GrantsChanged"},
    "TablesCopiedAlarm": {"TablesCopied"},
    "KeysEndangeredAlarm": {"KeysEndangered"},
    "PoliciesChangedAlarm": {"PoliciesChanged"},
    "WatchChangedAlarm": {"WatchChanged"},
}
# Silence is what these are about; of the others, it means that nothing happened.
ALARMED_BY_SILENCE = {"WatchSilentAlarm", "TrailSilentAlarm"}
SECONDS_BETWEEN_LOOKS = 900
FUNCTIONS = {"worker", "tokenize", "detokenize", "watch"}
DIMENSIONS = {
    "AWS/DynamoDB": ("TableName", "AWS::DynamoDB::Table"),
    "AWS/Lambda": ("FunctionName", "AWS::Lambda::Function"),
    "AWS/Logs": ("LogGroupName", "AWS::Logs::LogGroup"),
    "AWS/SQS": ("QueueName", "AWS::SQS::Queue"),
}


class Metric(NamedTuple):
    namespace: str
    name: str
    dimensions: tuple[tuple[str, str], ...]


def metrics_of_alarm(properties: Mapping[str, Any]) -> set[Metric]:
    stats = [
        each["MetricStat"]["Metric"]
        for each in properties.get("Metrics", [])
        if "MetricStat" in each
    ]
    return {
        Metric(
            each["Namespace"],
            each["MetricName"],
            tuple((one["Name"], one["Value"]) for one in each.get("Dimensions", ())),
        )
        for each in (stats or [properties])
    }


def dashboard(template: Template) -> Any:
    return json.loads(template.properties("Dashboard")["DashboardBody"])


def metrics_of_dashboard(template: Template) -> Iterator[tuple[str, Metric]]:
    """(title of the widget, metric)"""
    for widget in dashboard(template)["widgets"]:
        for entry in widget["properties"].get("metrics", []):
            words = [word for word in entry if isinstance(word, str)]
            if words:
                namespace, name, *rest = words
                pairs = tuple(zip(rest[::2], rest[1::2], strict=True))
                yield widget["properties"]["title"], Metric(namespace, name, pairs)


def all_metrics(template: Template) -> set[Metric]:
    named = {metric for _, metric in metrics_of_dashboard(template)}
    for properties in template.of_type("AWS::CloudWatch::Alarm").values():
        named |= metrics_of_alarm(properties)
    return named


def check_there_is_an_alarm_for_each_trouble(template: Template) -> list[str]:
    found = {
        name: {metric.name for metric in metrics_of_alarm(properties)}
        for name, properties in template.of_type("AWS::CloudWatch::Alarm").items()
    }
    return [
        f"{name}: {found.get(name)}"
        for name in sorted(found.keys() | ALARMS.keys())
        if found.get(name) != ALARMS.get(name)
    ]


def check_somebody_is_told(template: Template) -> list[str]:
    topic = [template.name("AlarmTopic")]
    findings = []
    for name, properties in template.of_type("AWS::CloudWatch::Alarm").items():
        if properties.get("AlarmActions") != topic or properties.get("ActionsEnabled") is False:
            findings.append(f"{name} tells nobody")
        if not OPERATIONS.search(properties.get("AlarmDescription", "")):
            findings.append(f"{name} does not say where to read on")
        if not template.name(name).startswith(f"{template.parameter_value('PipelineStack')}-"):
            findings.append(
                f"{name} is called {template.name(name)}, which the topic does not take"
            )
    return findings


def check_alarms_ring_at_the_first_sign(template: Template) -> list[str]:
    """Whatever the trail tells rings once; silence rings where silence is the trouble."""
    findings = []
    for name, properties in template.of_type("AWS::CloudWatch::Alarm").items():
        missing = "breaching" if name in ALARMED_BY_SILENCE else "notBreaching"
        if properties.get("TreatMissingData") != missing:
            findings.append(f"{name}: no data is {properties.get('TreatMissingData')}")
        if properties.get("Namespace") == "Pantok/Trail":
            rings = (
                *(
                    properties["Statistic"],
                    properties["Threshold"],
                    properties["EvaluationPeriods"],
                ),
                properties["ComparisonOperator"],
            )
            if rings != ("Sum", 0, 1, "GreaterThanThreshold"):
                findings.append(f"{name}: {rings}")
    return findings


def check_each_period_has_a_look_of_the_watch_in_it(template: Template) -> list[str]:
    """With as many periods as looks, one that comes late would end the alarm, and begin it anew."""
    return [
        f"{name}: {template.properties(name)['Period']} s"
        for name in ("UploadsOverdueAlarm", "ReceiptsNotAddingUpAlarm", "WatchSilentAlarm")
        if template.properties(name)["Period"] < 2 * SECONDS_BETWEEN_LOOKS
    ]


def check_limits_are_those_of_the_parameters(template: Template) -> list[str]:
    expected = {
        "OldestMessageAlarm": "OldestMessageMinutes",
        "DetokenizeRateAlarm": "DetokenizedPerFiveMinutes",
        "WorkerNearTimeoutAlarm": "WorkerTimeoutSeconds",
    }
    raw = template.raw["Resources"]
    findings = [
        f"{name}: {raw[name]['Properties']['Threshold']}"
        for name, parameter in expected.items()
        if raw[name]["Properties"]["Threshold"] != {"Ref": parameter}
    ]
    timeout = pipeline_template().properties("WorkerFunction")["Timeout"]
    limit = template.parameter_value("WorkerTimeoutSeconds")
    if not timeout - 20 < limit < timeout:  # it stops by itself with 20 s left
        findings.append(f"the worker has {timeout} s, the alarm {limit} s")
    return findings


def check_all_functions_are_watched(template: Template) -> list[str]:
    stack = template.parameter_value("PipelineStack")
    findings = []
    for name in ("FunctionErrorsAlarm", "FunctionThrottlesAlarm"):
        properties = template.properties(name)
        functions = {metric.dimensions[0][1] for metric in metrics_of_alarm(properties)}
        if functions != {f"{stack}-{each}" for each in FUNCTIONS}:
            findings.append(f"{name}: {sorted(functions)}")
        (total,) = [each for each in properties["Metrics"] if "Expression" in each]
        # A function that nobody called has no value, and nothing added to that has one either.
        if set(re.findall(r"FILL\((\w+), 0\)", total["Expression"])) != FUNCTIONS:
            findings.append(f"{name}: {total['Expression']}")
    return findings


def check_metrics_name_what_the_pipeline_has(template: Template) -> list[str]:
    """Dimensions of AWS's own metrics; ours are held against what the code emits."""
    pipeline = pipeline_template()
    findings = []
    for metric in all_metrics(template):
        if metric.namespace not in DIMENSIONS:
            continue
        dimension, kind = DIMENSIONS[metric.namespace]
        known = {pipeline.name(each) for each in pipeline.of_type(kind)}
        known |= {template.name(each) for each in template.of_type(kind)}
        if [name for name, _ in metric.dimensions] != [dimension]:
            findings.append(f"{metric}")
        findings += [f"{metric}" for _, value in metric.dimensions if value not in known]
    return findings


def check_trail_metrics_are_counted_by_a_filter(template: Template) -> list[str]:
    counted = {
        (each["MetricNamespace"], each["MetricName"])
        for properties in template.of_type("AWS::Logs::MetricFilter").values()
        for each in properties["MetricTransformations"]
    }
    named = {
        (metric.namespace, metric.name)
        for metric in all_metrics(template)
        if metric.namespace not in {*DIMENSIONS, "Pantok"}
    }
    return [f"{each}" for each in counted ^ named]


def check_alarms_alone_reach_the_topic(template: Template) -> list[str]:
    topic = template.name("AlarmTopic")
    stack = template.parameter_value("PipelineStack")
    alarms = f"arn:aws:cloudwatch:{REGION}:{ACCOUNT}:alarm:{stack}-*"
    policy = [
        statement
        for properties in template.of_type("AWS::SNS::TopicPolicy").values()
        if topic in properties["Topics"]
        for statement in statements(properties["PolicyDocument"])
    ]
    findings = []
    for statement in policy:
        if statement["Effect"] == "Deny":
            continue
        if principals(statement) != {"cloudwatch.amazonaws.com"}:
            findings.append(f"{principals(statement)} publish")
        if as_list(statement["Action"]) != ["sns:Publish"]:
            findings.append(f"{statement['Action']}")
        if condition_values(statement, "ArnLike", "aws:SourceArn") != [alarms]:
            findings.append("alarms of others come through")
    if not any(
        not denies([statement], "sns:Publish", topic)
        and statement["Effect"] == "Deny"
        and statement.get("Condition") == {"Bool": {"aws:SecureTransport": "false"}}
        for statement in policy
    ):
        findings.append("without TLS")
    return findings


def check_alarms_are_encrypted_on_their_way(template: Template) -> list[str]:
    findings = []
    if template.properties("AlarmTopic").get("KmsMasterKeyId") != template.arn("AlarmKey"):
        findings.append("not with a key of their own")
    users = {
        principal
        for statement in key_policy(template, "AlarmKey")
        if any(action in KMS_CRYPTOGRAPHY for action in as_list(statement["Action"]))
        for principal in principals(statement)
    }
    return findings if users == {"cloudwatch.amazonaws.com"} else [*findings, f"used by {users}"]


def check_the_dashboard_shows_each_alarm(template: Template) -> list[str]:
    shown = {
        arn.rpartition(":")[2]
        for widget in dashboard(template)["widgets"]
        for arn in widget["properties"].get("alarms", [])
    }
    named = {template.name(each) for each in template.of_type("AWS::CloudWatch::Alarm")}
    return [f"{each}" for each in shown ^ named]


def check_widgets_lie_side_by_side(template: Template) -> list[str]:
    taken: dict[tuple[int, int], str] = {}
    findings = []
    for at, widget in enumerate(dashboard(template)["widgets"]):
        title = widget["properties"].get("title", str(at))
        if widget["x"] + widget["width"] > 24:
            findings.append(f"{title} is too wide")
        for x in range(widget["x"], widget["x"] + widget["width"]):
            for y in range(widget["y"], widget["y"] + widget["height"]):
                if (x, y) in taken:
                    findings.append(f"{title} lies on {taken[x, y]}")
                taken[x, y] = title
    return sorted(set(findings))


def check_the_dashboard_shows_what_the_alarms_look_at(template: Template) -> list[str]:
    shown = {(metric.namespace, metric.name) for _, metric in metrics_of_dashboard(template)}
    unseen = {"SealsBroken", "ReceiptsNotAddingUp"}  # they are nothing but their alarms
    return [
        f"{name}: {metric.name}"
        for name, properties in template.of_type("AWS::CloudWatch::Alarm").items()
        for metric in metrics_of_alarm(properties)
        if (metric.namespace, metric.name) not in shown and metric.name not in unseen
    ]
