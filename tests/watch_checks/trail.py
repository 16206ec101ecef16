"""The trail: it tells of everything that matters, and nobody changes it afterwards."""

from typing import Any

from tests.policies import as_list, condition_values, denies, principals, statements
from tests.template import ACCOUNT, REGION, Template, pipeline_template
from tests.template_checks.access import identity_statements
from tests.template_checks.buckets import bucket_policy, lifecycle_rules
from tests.template_checks.keys import key_policy

DELETING = {
    *("BypassGovernanceRetention", "DeleteObject", "DeleteObjectVersion"),
    *("PutObjectLegalHold", "PutObjectRetention"),
}
# The trail's filters → where they read; the canary's reads the record of accesses.
RECORD = "CanaryFilter"


def selectors(template: Template) -> list[dict[str, Any]]:
    """Each selector as field → what it asks of it."""
    return [
        {
            each["Field"]: each.get("Equals", each.get("StartsWith"))
            for each in one["FieldSelectors"]
        }
        for one in template.properties("Trail").get("AdvancedEventSelectors", [])
    ]


def check_the_trail_tells_of_everything_that_matters(template: Template) -> list[str]:
    pipeline = pipeline_template()
    expected = [
        {"eventCategory": ["Management"]},
        {
            "eventCategory": ["Data"],
            "resources.type": ["AWS::S3::Object"],
            "resources.ARN": [f"{pipeline.arn('QuarantineBucket')}/"],
        },
        {
            "eventCategory": ["Data"],
            "resources.type": ["AWS::DynamoDB::Table"],
            "resources.ARN": [pipeline.arn("VaultTable")],
        },
        {
            "eventCategory": ["Data"],
            "resources.type": ["AWS::DynamoDB::Table"],
            "readOnly": ["false"],
            "resources.ARN": [pipeline.arn("GrantsTable"), pipeline.arn("DataKeysTable")],
        },
    ]
    return [] if selectors(template) == expected else [f"{selectors(template)}"]


def check_the_trail_runs_everywhere_and_is_validated(template: Template) -> list[str]:
    properties = template.properties("Trail")
    switches = (
        *("IsLogging", "IsMultiRegionTrail", "IncludeGlobalServiceEvents"),
        "EnableLogFileValidation",
    )
    return [f"{name} is off" for name in switches if properties.get(name) is not True]


def check_the_trail_goes_to_its_own_bucket_key_and_log(template: Template) -> list[str]:
    expected = {
        "S3BucketName": template.name("TrailBucket"),
        "KMSKeyId": template.arn("TrailKey"),
        "CloudWatchLogsLogGroupArn": template.arn("TrailLogGroup"),
        "CloudWatchLogsRoleArn": template.arn("TrailLogRole"),
    }
    found = template.properties("Trail")
    findings = [
        f"{name}: {found.get(name)}" for name in expected if found.get(name) != expected[name]
    ]
    waits_for = set(as_list(template.resources["Trail"].get("DependsOn")))
    if waits_for != {"TrailBucketPolicy", "TrailLogPolicy"}:
        findings.append(f"it waits for {waits_for}")
    return findings


def check_nobody_deletes_the_trail(template: Template) -> list[str]:
    policy = bucket_policy(template, "TrailBucket")
    file = f"{template.arn('TrailBucket')}/AWSLogs/any"
    findings = [
        f"s3:{action} is not denied"
        for action in DELETING
        if not denies(policy, f"s3:{action}", file)
    ]
    properties = template.raw["Resources"]["TrailBucket"]["Properties"]
    retention = (
        properties.get("ObjectLockConfiguration", {}).get("Rule", {}).get("DefaultRetention", {})
    )
    if properties.get("ObjectLockEnabled") is not True:
        findings.append("no lock")
    if retention != {"Mode": {"Ref": "TrailLockMode"}, "Days": {"Ref": "TrailLockDays"}}:
        findings.append(f"locked for {retention}")
    parameters = template.parameters
    if parameters["TrailLockMode"]["Default"] != "COMPLIANCE":
        findings.append("the lock has a way out by default")
    if parameters["TrailLockDays"]["Default"] < 365:
        findings.append("locked for less than a year")
    return findings


def check_the_trail_is_kept_for_a_year(template: Template) -> list[str]:
    findings = []
    (rule,) = [each for each in lifecycle_rules(template, "TrailBucket") if each["Id"] == "trail"]
    if rule["ExpirationInDays"] != template.parameter_value("TrailRetentionDays"):
        findings.append(f"it expires after {rule['ExpirationInDays']}")
    if template.parameters["TrailRetentionDays"]["MinValue"] < 365:
        findings.append("it may expire within twelve months")
    for name in ("TrailBucket", "TrailKey", "TrailLogGroup"):
        resource = template.resources[name]
        if resource.get("DeletionPolicy") != "RetainExceptOnCreate":
            findings.append(f"{name} goes with the stack")
        if resource.get("UpdateReplacePolicy") != "Retain":
            findings.append(f"{name} goes when it is replaced")
    return findings


def check_the_trail_alone_writes_into_its_bucket(template: Template) -> list[str]:
    trail, bucket = template.arn("Trail"), template.arn("TrailBucket")
    findings = []
    for statement in bucket_policy(template, "TrailBucket"):
        if statement["Effect"] == "Deny":
            continue
        if principals(statement) != {"cloudtrail.amazonaws.com"}:
            findings.append(f"{statement['Sid']}: {principals(statement)}")
        if condition_values(statement, "StringEquals", "aws:SourceArn") != [trail]:
            findings.append(f"{statement['Sid']}: for any trail")
        where = (as_list(statement["Action"]), as_list(statement["Resource"]))
        if where not in (
            (["s3:GetBucketAcl"], [bucket]),
            (["s3:PutObject"], [f"{bucket}/AWSLogs/{ACCOUNT}/*"]),
        ):
            findings.append(f"{statement['Sid']}: {where}")
    return findings


def check_the_trails_key_serves_the_trail_alone(template: Template) -> list[str]:
    trail = template.arn("Trail")
    group = template.arn("TrailLogGroup").removesuffix(":*")
    findings = []
    for statement in key_policy(template, "TrailKey"):
        who, sid = principals(statement), statement["Sid"]
        if who == {"cloudtrail.amazonaws.com"}:
            if condition_values(statement, "StringEquals", "aws:SourceArn") != [trail]:
                findings.append(f"{sid}: for any trail")
            if set(as_list(statement["Action"])) - {"kms:DescribeKey", "kms:GenerateDataKey"}:
                findings.append(f"{sid}: {statement['Action']}")
        elif who == {f"logs.{REGION}.amazonaws.com"}:
            context = "kms:EncryptionContext:aws:logs:arn"
            if condition_values(statement, "ArnEquals", context) != [group]:
                findings.append(f"{sid}: for any log group")
        elif who != {f"arn:aws:iam::{ACCOUNT}:root"}:
            findings.append(f"{sid}: {who}")
        elif sid != "Administer" and condition_values(
            statement, "StringEquals", "kms:ViaService"
        ) != [f"s3.{REGION}.amazonaws.com"]:
            findings.append(f"{sid}: not through S3 alone")
    return findings


def check_the_trail_alone_writes_its_log(template: Template) -> list[str]:
    findings = []
    roles = template.of_type("AWS::IAM::Role")
    if set(roles) != {"TrailLogRole"}:
        findings.append(f"{set(roles)}")
    for statement in statements(roles["TrailLogRole"]["AssumeRolePolicyDocument"]):
        if principals(statement) != {"cloudtrail.amazonaws.com"}:
            findings.append(f"assumed by {principals(statement)}")
        if condition_values(statement, "StringEquals", "aws:SourceArn") != [template.arn("Trail")]:
            findings.append("assumed for any trail")
    streams = template.arn("TrailLogGroup").removesuffix("*")
    for statement in identity_statements(template, "TrailLogRole"):
        if set(as_list(statement["Action"])) != {"logs:CreateLogStream", "logs:PutLogEvents"}:
            findings.append(f"{statement['Action']}")
        if statement["Resource"] != f"{streams}log-stream:{ACCOUNT}_CloudTrail_{REGION}*":
            findings.append(f"{statement['Resource']}")
    return findings


def check_filters_read_the_trail_and_the_record(template: Template) -> list[str]:
    findings = []
    record = pipeline_template().name("AuditLogGroup")
    for name, properties in template.of_type("AWS::Logs::MetricFilter").items():
        expected = record if name == RECORD else template.name("TrailLogGroup")
        if properties["LogGroupName"] != expected:
            findings.append(f"{name} reads {properties['LogGroupName']}")
        (counting,) = properties["MetricTransformations"]
        if counting["MetricValue"] != "1" or "Dimensions" in counting:
            findings.append(f"{name} counts {counting}")
    return findings
