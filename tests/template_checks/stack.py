"""The stack as a whole: what outlives it, what can be set, what it tells."""

from tests.template import ACCOUNT, PSEUDO_PARAMETERS, Template

# Losing one of these loses card numbers, tokens, the way from one to the other, or their audit.
KEPT = (
    "AWS::DynamoDB::Table",
    "AWS::Logs::LogGroup",
    "AWS::S3::Bucket",
)
KEPT_KEYS = {
    *("VaultKey", "FingerprintKey", "QuarantineKey", "TokenizedKey"),
    *("AccessLogKey", "TablesKey", "LogsKey"),
}
BUCKETS = {
    "QuarantineBucket": "quarantine",
    "TokenizedBucket": "tokenized",
    "AccessLogBucket": "access-logs",
}
CONSTRAINTS = {"AllowedPattern", "AllowedValues", "MaxValue"}
OUTPUTS = {
    *("QuarantineBucket", "TokenizedBucket", "WorkQueueUrl", "DeadLetterQueueUrl"),
    *("VaultTable", "FingerprintsTable", "DataKeysTable", "JobsTable"),
    *("VaultKeyArn", "FingerprintKeyArn", "WorkerFunction", "WorkerLogGroup", "LayoutsUri"),
    *("ApiUrl", "GrantsTable", "LimitsTable", "AuditLogGroup"),
    *("TokenizeLogGroup", "DetokenizeLogGroup", "BulkKeyArn", "DetokenizeRoleArn"),
    *("WatchLogGroup", "WorkerRoleId", "TokenizeRoleId", "DetokenizeRoleId", "ReindexRoleId"),
    *("VaultKeeperRoleId", "KeyRotationRoleId", "VaultAuditRoleId", "AuditorRoleId"),
    *("RepairRoleId", "KeySetupRoleId", "GrantsRoleId", "KeyShredRoleId"),
}


def check_data_outlives_the_stack(template: Template) -> list[str]:
    kept = {*template.of_type(*KEPT), *KEPT_KEYS}
    findings = []
    for name in sorted(kept):
        resource = template.resources[name]
        if resource.get("DeletionPolicy") not in {"Retain", "RetainExceptOnCreate"}:
            findings.append(f"{name} goes with the stack")
        if resource.get("UpdateReplacePolicy") != "Retain":
            findings.append(f"{name} goes when it is replaced")
    return findings


def check_names_are_fixed(template: Template) -> list[str]:
    """Policies that come before a resource name it; the names are what they rely on."""
    names = {
        bucket: f"{PSEUDO_PARAMETERS['AWS::StackName']}-{part}-{ACCOUNT}"
        for bucket, part in BUCKETS.items()
    }
    return [
        f"{resource} is {template.name(resource)}"
        for resource, name in names.items()
        if template.name(resource) != name
    ]


def check_parameters_are_explained_and_bounded(template: Template) -> list[str]:
    findings = []
    for name, parameter in template.parameters.items():
        if not parameter.get("Description"):
            findings.append(f"{name} is not explained")
        if not CONSTRAINTS & parameter.keys():
            findings.append(f"{name} takes anything")
    return findings


def check_outputs_are_those_promised(template: Template) -> list[str]:
    return [f"{name}" for name in sorted(OUTPUTS ^ template.raw["Outputs"].keys())]
