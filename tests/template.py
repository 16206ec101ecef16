"""Reads the SAM template as CloudFormation would: SAM expanded, intrinsic functions resolved."""

import copy
import os
import re
from collections.abc import Mapping
from functools import cache, cached_property
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import yaml
from samtranslator.translator.transform import transform

INFRA = Path(__file__).resolve().parent.parent / "infra"
PATH = INFRA / "template.yaml"
WATCH_PATH = INFRA / "watch.yaml"
NETWORK_PATH = INFRA / "network.yaml"

REGION = "eu-central-1"
ACCOUNT = "111122223333"
PSEUDO_PARAMETERS = {
    "AWS::AccountId": ACCOUNT,
    "AWS::Partition": "aws",
    "AWS::Region": REGION,
    "AWS::StackId": f"arn:aws:cloudformation:{REGION}:{ACCOUNT}:stack/pantok-test/1",
    "AWS::StackName": "pantok-test",
    "AWS::URLSuffix": "amazonaws.com",
}
UPLOADER_ARN = "arn:aws:iam::444455556666:role/uploader"
WARM_UNITS = {
    "VaultWarmReadUnits": 13_000,
    "VaultWarmWriteUnits": 5_000,
    "FingerprintsWarmReadUnits": 14_000,
    "FingerprintsWarmWriteUnits": 6_000,
}
# All that is optional is switched on, so that the checks see it.
PARAMETER_VALUES: Mapping[str, str] = {
    "FunctionSubnetIds": "subnet-0123456789abcdef0,subnet-0123456789abcdef1",
    "FunctionSecurityGroupIds": "sg-0123456789abcdef0",
    "UploaderRoleArns": UPLOADER_ARN,
    **{name: str(units) for name, units in WARM_UNITS.items()},
    "DecryptionSecretArns": f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:drops/a-AbCdEf",
    "DecryptionObjectArns": "arn:aws:s3:::keys-of-somebody/drops/a.json",
    "DecryptionKmsKeyArns": f"arn:aws:kms:{REGION}:{ACCOUNT}:key/of-somebody",
}

WATCH_PARAMETER_VALUES: Mapping[str, str] = {
    "PipelineStack": PSEUDO_PARAMETERS["AWS::StackName"],
    "AlarmEmail": "operator@example.com",
}

NAME_PROPERTIES = {
    "AWS::Athena::WorkGroup": "Name",
    "AWS::CloudTrail::Trail": "TrailName",
    "AWS::CloudWatch::Alarm": "AlarmName",
    "AWS::DynamoDB::Table": "TableName",
    "AWS::Lambda::Function": "FunctionName",
    "AWS::Logs::LogGroup": "LogGroupName",
    "AWS::S3::Bucket": "BucketName",
    "AWS::SNS::Topic": "TopicName",
    "AWS::SQS::Queue": "QueueName",
}
ARNS = {
    "AWS::CloudTrail::Trail": f"arn:aws:cloudtrail:{REGION}:{ACCOUNT}:trail/{{name}}",
    "AWS::DynamoDB::Table": f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/{{name}}",
    "AWS::Events::Rule": f"arn:aws:events:{REGION}:{ACCOUNT}:rule/{{name}}",
    "AWS::IAM::Role": f"arn:aws:iam::{ACCOUNT}:role/{{name}}",
    "AWS::KMS::Key": f"arn:aws:kms:{REGION}:{ACCOUNT}:key/{{name}}",
    "AWS::Lambda::Function": f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{{name}}",
    "AWS::Logs::LogGroup": f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:{{name}}:*",
    "AWS::S3::Bucket": "arn:aws:s3:::{name}",
    "AWS::SQS::Queue": f"arn:aws:sqs:{REGION}:{ACCOUNT}:{{name}}",
}
NO_VALUE = object()


class Loader(yaml.SafeLoader):
    """Turns short intrinsic functions (`!Ref`, `!GetAtt`, …) into their long form."""


def construct_function(loader: Loader, suffix: str, node: yaml.Node) -> dict[str, Any]:
    value: Any
    if isinstance(node, yaml.ScalarNode):
        value = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        assert isinstance(node, yaml.MappingNode)
        value = loader.construct_mapping(node, deep=True)
    if suffix == "GetAtt" and isinstance(value, str):
        value = value.split(".", 1)
    return {suffix if suffix in {"Ref", "Condition"} else f"Fn::{suffix}": value}


Loader.add_multi_constructor("!", construct_function)


def load(path: Path = PATH) -> dict[str, Any]:
    """The template as written, with intrinsic functions in their long form."""
    template = yaml.load(path.read_text(), Loader)  # noqa: S506 - the loader is a safe one
    assert isinstance(template, dict)
    return template


def expand(raw: dict[str, Any]) -> dict[str, Any]:
    """What the SAM transform makes of the template; local code stands in a bucket."""
    template = copy.deepcopy(raw)
    for resource in template["Resources"].values():
        if resource["Type"] == "AWS::Serverless::Function":
            resource["Properties"]["CodeUri"] = "s3://code/package.zip"
    with mock.patch.dict(os.environ, {"AWS_DEFAULT_REGION": REGION}):
        expanded: dict[str, Any] = transform(template, {}, SimpleNamespace(load=dict))
    return expanded


class Template:
    """One template: `raw` as written, `resources` as deployed, with names and ARNs in place."""

    def __init__(
        self, raw: dict[str, Any], parameter_values: Mapping[str, str] = PARAMETER_VALUES
    ) -> None:
        self.raw = raw
        self.parameter_values = parameter_values
        self.parameters: dict[str, Any] = raw["Parameters"]

    @cached_property
    def expanded(self) -> dict[str, Any]:
        return expand(self.raw)

    @cached_property
    def resources(self) -> dict[str, Any]:
        resolved: dict[str, Any] = self.resolve(self.expanded["Resources"])
        return resolved

    def of_type(self, *types: str) -> dict[str, dict[str, Any]]:
        """Logical id → resolved properties."""
        return {
            logical_id: resource.get("Properties", {})
            for logical_id, resource in self.resources.items()
            if resource["Type"] in types
        }

    def properties(self, logical_id: str) -> dict[str, Any]:
        properties: dict[str, Any] = self.resources[logical_id]["Properties"]
        return properties

    def parameter_value(self, name: str) -> Any:
        definition = self.parameters[name]
        value = self.parameter_values.get(name, definition["Default"])
        if definition["Type"] == "CommaDelimitedList":
            return value.split(",")
        return int(value) if definition["Type"] == "Number" else value

    def name(self, logical_id: str) -> str:
        resource = self.expanded["Resources"][logical_id]
        name_property = NAME_PROPERTIES.get(resource["Type"], "")
        name: str = self.resolve(resource["Properties"].get(name_property, logical_id))
        return name

    def arn(self, logical_id: str) -> str:
        resource = self.expanded["Resources"][logical_id]
        return ARNS[resource["Type"]].format(name=self.name(logical_id))

    def resolve(self, value: Any) -> Any:
        if isinstance(value, list):
            items = [self.resolve(item) for item in value]
            return [item for item in items if item is not NO_VALUE]
        if not isinstance(value, dict):
            return value
        if len(value) == 1:
            (function, argument), *_ = value.items()
            resolver = getattr(self, "_" + function.replace("Fn::", "fn_").lower(), None)
            if resolver is not None:
                return resolver(argument)
        entries = {key: self.resolve(item) for key, item in value.items()}
        return {key: item for key, item in entries.items() if item is not NO_VALUE}

    def _ref(self, name: str) -> Any:
        if name == "AWS::NoValue":
            return NO_VALUE
        if name in PSEUDO_PARAMETERS:
            return PSEUDO_PARAMETERS[name]
        if name in self.parameters:
            return self.parameter_value(name)
        return self.name(name)

    def _fn_getatt(self, argument: list[str]) -> str:
        logical_id, attribute = argument
        if attribute == "RoleId":
            return f"AROA{logical_id.upper():X<17.17}"
        return self.arn(logical_id) if attribute == "Arn" else f"{logical_id}.{attribute}"

    def _fn_sub(self, argument: str | list[Any]) -> str:
        text, given = argument if isinstance(argument, list) else (argument, {})

        def value_of(match: re.Match[str]) -> str:
            if match[1].startswith("!"):  # not CloudFormation's
                return f"${{{match[1][1:]}}}"
            name, _, name_attribute = match[1].partition(".")
            if name in given:
                return str(self.resolve(given[name]))
            value = self._fn_getatt([name, name_attribute]) if name_attribute else self._ref(name)
            return str(value)

        return re.sub(r"\$\{([^}]+)\}", value_of, text)

    def _fn_join(self, argument: list[Any]) -> str:
        separator, parts = argument
        return str(separator.join(self.resolve(parts)))

    def _fn_findinmap(self, argument: list[str]) -> Any:
        mapping, top, second = argument
        return self.resolve(self.raw["Mappings"][mapping][top][second])

    def _fn_if(self, argument: list[Any]) -> Any:
        condition, when_true, when_false = argument
        holds = self.resolve(self.raw["Conditions"][condition])
        return self.resolve(when_true if holds else when_false)

    def _fn_equals(self, argument: list[Any]) -> bool:
        left, right = self.resolve(argument)
        return bool(left == right)

    def _fn_not(self, argument: list[Any]) -> bool:
        return not self.resolve(argument)[0]


class WatchTemplate(Template):
    """The second template, deployed beside the first one, whose exports it imports."""

    def __init__(
        self, raw: dict[str, Any], parameter_values: Mapping[str, str] = WATCH_PARAMETER_VALUES
    ) -> None:
        super().__init__(raw, parameter_values)

    @cached_property
    def expanded(self) -> dict[str, Any]:
        return self.raw

    def _fn_importvalue(self, argument: Any) -> Any:
        return exports()[self.resolve(argument)]


@cache
def pipeline_template() -> Template:
    """The first template, as it is."""
    return Template(load())


@cache
def exports() -> dict[str, Any]:
    """What the first stack exports, by name."""
    pipeline = pipeline_template()
    return {
        pipeline.resolve(output["Export"]["Name"]): pipeline.resolve(output["Value"])
        for output in pipeline.raw["Outputs"].values()
        if "Export" in output
    }
