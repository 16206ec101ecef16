"""The network: what passes an endpoint is what the functions may do, and nothing else."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from tests.policies import Statement, as_list, condition_values, covers_action, statements
from tests.template import ACCOUNT, NETWORK_PATH, Template, WatchTemplate, load, pipeline_template
from tests.template_checks.access import IN_NETWORK, identity_statements
from tests.template_mutants import REMOVED, Breakage, prop, set_in

VALUES: Mapping[str, str] = {
    "PipelineStack": "pantok-test",
    "VpcId": "vpc-0123456789abcdef0",
    "SubnetIds": "subnet-0123456789abcdef0,subnet-0123456789abcdef1",
    "RouteTableIds": "rtb-0123456789abcdef0",
    "S3PrefixListId": "pl-0123456789abcdef0",
    "DynamoDBPrefixListId": "pl-0123456789abcdef1",
    "DecryptionObjectArns": "arn:aws:s3:::keys-of-somebody/drops/a.json",
    "DecryptionSecrets": "true",
}
# Which services the functions' code calls: the rest is done by Lambda itself.
SERVICES = {"s3", "dynamodb", "kms", "sqs", "logs", "secretsmanager"}
# Lambda's own part: it takes messages off the queue and writes the functions' logs.
DONE_BY_LAMBDA = {"sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"}

# KMS lets whom an approval names retire it, without a word of IAM.
DONE_BY_GRANT = {"kms:RetireGrant"}


class NetworkTemplate(WatchTemplate):
    def parameter_value(self, name: str) -> Any:
        value = self.parameter_values[name]
        return value.split(",") if "List" in self.parameters[name]["Type"] else value


def endpoints(template: Template) -> dict[str, dict[str, Any]]:
    """Service → endpoint."""
    return {
        properties["ServiceName"].rpartition(".")[2]: properties
        for properties in template.of_type("AWS::EC2::VPCEndpoint").values()
    }


def actions_of_functions() -> set[str]:
    pipeline = pipeline_template()
    return {
        action
        for role in IN_NETWORK
        for statement in identity_statements(pipeline, role)
        if statement["Effect"] == "Allow"
        for action in as_list(statement["Action"])
        if action.partition(":")[0] in SERVICES
    } - DONE_BY_LAMBDA


def policy_of(endpoint: dict[str, Any]) -> list[Statement]:
    return statements(endpoint.get("PolicyDocument", {"Statement": []}))


def findings_on_policies(template: Template) -> list[str]:
    findings = []
    for service, endpoint in endpoints(template).items():
        if not policy_of(endpoint):
            findings.append(f"{service}: everything passes")
        for statement in policy_of(endpoint):
            account = condition_values(statement, "StringEquals", "aws:PrincipalAccount")
            if account != [ACCOUNT]:
                findings.append(f"{service}: credentials of others pass")
            if any("*" in action for action in as_list(statement["Action"])):
                findings.append(f"{service}: any action passes")
            if service in ("s3", "dynamodb", "sqs", "logs") and not all(
                "pantok-test" in arn or arn in VALUES["DecryptionObjectArns"]
                for arn in as_list(statement["Resource"])
            ):
                findings.append(f"{service}: to any resource")
    return findings


def findings_on_actions(template: Template) -> list[str]:
    passing = [each for endpoint in endpoints(template).values() for each in policy_of(endpoint)]
    named = {action for statement in passing for action in as_list(statement["Action"])}
    wanted = actions_of_functions() | DONE_BY_GRANT
    blocked = {each for each in wanted if not any(covers_action(one, each) for one in passing)}
    return [f"{each} is blocked" for each in blocked] + [
        f"{each} passes, and nobody asks for it" for each in named - wanted
    ]


def findings_on_ways(template: Template) -> list[str]:
    findings = []
    for service, endpoint in endpoints(template).items():
        if endpoint["VpcEndpointType"] == "Gateway":
            if not endpoint.get("RouteTableIds"):
                findings.append(f"{service}: no route leads there")
        elif endpoint.get("PrivateDnsEnabled") is not True or not endpoint.get("SecurityGroupIds"):
            findings.append(f"{service}: open, or not found by its name")
    groups = template.of_type("AWS::EC2::SecurityGroup")
    if groups["FunctionSecurityGroup"].get("SecurityGroupIngress"):
        findings.append("functions can be reached")
    for name, group in groups.items():
        if [rule.get("CidrIp") for rule in group.get("SecurityGroupEgress", [])] != [
            "127.0.0.1/32"
        ]:
            findings.append(f"{name} leads anywhere")
        for rule in group.get("SecurityGroupIngress", []):
            ports = (rule.get("FromPort"), rule.get("ToPort"))
            if "CidrIp" in rule or ports != (443, 443):
                findings.append(f"{name} is open: {rule}")
    return findings


CHECKS: dict[Callable[[Template], list[str]], list[tuple[str, Breakage]]] = {
    findings_on_policies: [
        ("no policy", prop("KmsEndpoint.PolicyDocument", REMOVED)),
        ("any account", prop("S3Endpoint.PolicyDocument.Statement.0.Condition", REMOVED)),
        ("any action", prop("SqsEndpoint.PolicyDocument.Statement.0.Action", "sqs:*")),
        ("any bucket", prop("S3Endpoint.PolicyDocument.Statement.0.Resource", "*")),
    ],
    findings_on_actions: [
        (
            "one is blocked",
            prop("LogsEndpoint.PolicyDocument.Statement.0.Action", "logs:PutLogEvents"),
        ),
        (
            "one too many",
            prop("DynamoDBEndpoint.PolicyDocument.Statement.0.Action.0", "dynamodb:DeleteItem"),
        ),
        (
            "an endpoint is missing",
            lambda template: template["Resources"].pop("SecretsEndpoint"),
        ),
    ],
    findings_on_ways: [
        ("no route", prop("DynamoDBEndpoint.RouteTableIds", REMOVED)),
        ("by a name of its own", prop("KmsEndpoint.PrivateDnsEnabled", False)),
        ("functions are reached", prop("FunctionSecurityGroup.SecurityGroupIngress", [{}])),
        ("and lead anywhere", prop("FunctionSecurityGroup.SecurityGroupEgress", REMOVED)),
        (
            "endpoints are open",
            lambda template: set_in(
                template["Resources"],
                "EndpointSecurityGroup.Properties.SecurityGroupIngress.0.CidrIp",
                "0.0.0.0/0",
            ),
        ),
    ],
}


@pytest.fixture(scope="module")
def raw() -> dict[str, Any]:
    return load(NETWORK_PATH)


@pytest.mark.parametrize("check", CHECKS)
def test_the_network_holds(check: Callable[[Template], list[str]], raw: dict[str, Any]) -> None:
    assert check(NetworkTemplate(raw, VALUES)) == []


@pytest.mark.parametrize(
    ("check", "breakage"),
    [
        pytest.param(check, breakage, id=what)
        for check, breakages in CHECKS.items()
        for what, breakage in breakages
    ],
)
def test_a_broken_network_is_noticed(
    check: Callable[[Template], list[str]], breakage: Breakage, raw: dict[str, Any]
) -> None:
    broken = copy.deepcopy(raw)
    breakage(broken)
    assert check(NetworkTemplate(broken, VALUES)) != []
