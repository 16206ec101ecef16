"""Functions: what starts them, what they are told, and what they may not say."""

from tests.policies import as_list, granted
from tests.template import Template
from tests.template_checks.access import identity_statements

ENVIRONMENT = {
    "ARROW_DEFAULT_MEMORY_POOL": "jemalloc",
    "PANTOK_QUARANTINE_BUCKET": {"Ref": "QuarantineBucket"},
    "PANTOK_TOKENIZED_BUCKET": {"Ref": "TokenizedBucket"},
    "PANTOK_WORK_QUEUE_URL": {"Ref": "WorkQueue"},
    "PANTOK_DEAD_LETTER_QUEUE_URL": {"Ref": "DeadLetterQueue"},
    "PANTOK_VAULT_TABLE": {"Ref": "VaultTable"},
    "PANTOK_FINGERPRINTS_TABLE": {"Ref": "FingerprintsTable"},
    "PANTOK_DATA_KEYS_TABLE": {"Ref": "DataKeysTable"},
    "PANTOK_JOBS_TABLE": {"Ref": "JobsTable"},
    "PANTOK_VAULT_KEY_ARN": {"Fn::GetAtt": ["VaultKey", "Arn"]},
    "PANTOK_LAYOUTS_URI": {"Fn::Sub": "s3://${QuarantineBucket}/layouts"},
    "PANTOK_MAX_RECEIVES": "5",
    "POWERTOOLS_SERVICE_NAME": "pantok",
    "POWERTOOLS_METRICS_NAMESPACE": "Pantok",
    "POWERTOOLS_LOG_LEVEL": {"Ref": "LogLevel"},
    "POWERTOOLS_LOGGER_LOG_EVENT": "false",
    "POWERTOOLS_TRACER_CAPTURE_RESPONSE": "false",
    "POWERTOOLS_TRACER_CAPTURE_ERROR": "false",
    "POWERTOOLS_DEV": "false",
}
API_ENVIRONMENT = {
    "PANTOK_VAULT_TABLE": {"Ref": "VaultTable"},
    "PANTOK_DATA_KEYS_TABLE": {"Ref": "DataKeysTable"},
    "PANTOK_VAULT_KEY_ARN": {"Fn::GetAtt": ["VaultKey", "Arn"]},
    "PANTOK_GRANTS_TABLE": {"Ref": "GrantsTable"},
    "PANTOK_LIMITS_TABLE": {"Ref": "LimitsTable"},
    "PANTOK_AUDIT_LOG_GROUP": {"Ref": "AuditLogGroup"},
    **{name: value for name, value in ENVIRONMENT.items() if name.startswith("POWERTOOLS_")},
}
WATCH_ENVIRONMENT = {
    "PANTOK_QUARANTINE_BUCKET": {"Ref": "QuarantineBucket"},
    "PANTOK_TOKENIZED_BUCKET": {"Ref": "TokenizedBucket"},
    "PANTOK_JOBS_TABLE": {"Ref": "JobsTable"},
    "PANTOK_RECEIPT_DUE_MINUTES": {"Ref": "ReceiptDueMinutes"},
    **{name: value for name, value in ENVIRONMENT.items() if name.startswith("POWERTOOLS_")},
}
FUNCTION_ENVIRONMENTS = {
    "WorkerFunction": ENVIRONMENT,
    "TokenizeFunction": API_ENVIRONMENT
    | {"PANTOK_FINGERPRINTS_TABLE": {"Ref": "FingerprintsTable"}},
    "DetokenizeFunction": API_ENVIRONMENT
    | {"PANTOK_BULK_KEY_ARN": {"Fn::GetAtt": ["BulkKey", "Arn"]}},
    "WatchFunction": WATCH_ENVIRONMENT,
}
TRACED = ("WorkerFunction", "TokenizeFunction", "DetokenizeFunction")
HANDLERS = {
    "WorkerFunction": "pipeline.handlers.work_queue.handler",
    "KeySetupFunction": "pipeline.handlers.key_setup.handler",
    "TokenizeFunction": "pipeline.handlers.api_tokenize.handler",
    "DetokenizeFunction": "pipeline.handlers.api_detokenize.handler",
    "WatchFunction": "pipeline.handlers.watch.handler",
}
ROLES = {name: name.replace("Function", "Role") for name in HANDLERS}
LOG_GROUPS = {name: name.replace("Function", "LogGroup") for name in HANDLERS}
LOG_LEVELS = {"INFO", "WARNING", "ERROR"}


def check_functions_get_their_settings(template: Template) -> list[str]:
    findings = []
    for function, expected in FUNCTION_ENVIRONMENTS.items():
        properties = template.raw["Resources"][function]["Properties"]
        found = properties["Environment"]["Variables"]
        findings += [
            f"{function} {name}: {found.get(name)}"
            for name in found.keys() | expected.keys()
            if found.get(name) != expected.get(name)
        ]
    return findings


def check_nobody_can_turn_on_debugging(template: Template) -> list[str]:
    levels = set(template.parameters["LogLevel"].get("AllowedValues", ["DEBUG"]))
    return [f"level {level}" for level in levels - LOG_LEVELS]


def check_functions_run_what_they_should(template: Template) -> list[str]:
    findings = []
    for function, properties in template.of_type("AWS::Lambda::Function").items():
        found = (properties["Handler"], properties["Runtime"], properties["Role"])
        expected = (HANDLERS[function], "python3.12", template.arn(ROLES[function]))
        if found != expected:
            findings.append(f"{function}: {found}")
        raw = template.raw["Resources"][function]["Properties"]
        if raw["CodeUri"] != "../build/lambda":
            findings.append(f"{function}: {raw['CodeUri']}")
        if raw["Architectures"] != [{"Ref": "Architecture"}]:
            findings.append(f"{function}: {raw['Architectures']}")
    return findings


def check_functions_log_where_logs_are_kept_and_encrypted(template: Template) -> list[str]:
    findings = []
    for function, properties in template.of_type("AWS::Lambda::Function").items():
        group = LOG_GROUPS[function]
        if properties.get("LoggingConfig", {}).get("LogGroup") != template.name(group):
            findings.append(f"{function} logs elsewhere")
        raw = template.raw["Resources"][group]["Properties"]
        if raw.get("RetentionInDays") != {"Ref": "LogRetentionDays"}:
            findings.append(f"{group} keeps logs for {raw.get('RetentionInDays')}")
        if not raw.get("KmsKeyId"):
            findings.append(f"{group} is not encrypted")
    if min(template.parameters["LogRetentionDays"]["AllowedValues"]) < 365:
        findings.append("logs may be dropped within twelve months")
    return findings


def check_functions_are_traced(template: Template) -> list[str]:
    return [
        f"{function} is not traced"
        for function in TRACED
        if template.properties(function).get("TracingConfig") != {"Mode": "Active"}
    ]


def check_a_message_fails_alone(template: Template) -> list[str]:
    findings = []
    for name, properties in template.of_type("AWS::Lambda::EventSourceMapping").items():
        if properties.get("FunctionResponseTypes") != ["ReportBatchItemFailures"]:
            findings.append(f"{name}: one failure fails its neighbours")
        if properties.get("BatchSize") != 1:
            findings.append(f"{name}: {properties.get('BatchSize')} files at once")
        if properties["EventSourceArn"] != template.arn("WorkQueue"):
            findings.append(f"{name}: {properties['EventSourceArn']}")
    return findings or ([] if template.of_type("AWS::Lambda::EventSourceMapping") else ["no work"])


def check_concurrency_is_a_parameter(template: Template) -> list[str]:
    worker = template.raw["Resources"]["WorkerFunction"]["Properties"]
    scaling = [event["Properties"].get("ScalingConfig") for event in worker["Events"].values()]
    findings = []
    if scaling != [{"MaximumConcurrency": {"Ref": "MaximumConcurrency"}}]:
        findings.append(f"{scaling}")
    parameter = template.parameters["MaximumConcurrency"]
    limits = (parameter.get("MinValue"), parameter.get("Default"), parameter.get("MaxValue"))
    if limits != (2, 10, 1000):
        findings.append(f"{limits}")
    return findings


def check_functions_wait_for_their_rights_and_keys(template: Template) -> list[str]:
    needed = {
        "WorkerFunction": {"WorkerPolicy", "NetworkPolicy", "FingerprintDataKey"},
        "TokenizeFunction": {"TokenizePolicy", "NetworkPolicy", "FingerprintDataKey"},
        "DetokenizeFunction": {"DetokenizePolicy", "NetworkPolicy"},
        "KeySetupFunction": {"KeySetupPolicy"},
        "WatchFunction": {"WatchPolicy", "NetworkPolicy"},
    }
    return [
        f"{function} does not wait for {name}"
        for function, names in needed.items()
        for name in sorted(names - set(as_list(template.resources[function].get("DependsOn"))))
    ]


def check_the_fingerprint_key_is_made_once(template: Template) -> list[str]:
    expected = {
        "ServiceToken": template.arn("KeySetupFunction"),
        "ServiceTimeout": 300,
        "DataKeyId": "fingerprint-1",
        "DataKeysTable": template.name("DataKeysTable"),
        "KeyArn": template.arn("FingerprintKey"),
    }
    found = template.properties("FingerprintDataKey")
    return [f"{found}"] if found != expected else []


def check_the_watch_looks_four_times_an_hour(template: Template) -> list[str]:
    """Which is what it counts on when it looks at the receipts of the last hour alone."""
    watch = template.arn("WatchFunction")
    rules = {
        name: rule
        for name, rule in template.of_type("AWS::Events::Rule").items()
        if any(target["Arn"] == watch for target in rule["Targets"])
    }
    findings = [
        f"{name}: {rule.get('ScheduleExpression')}, {rule.get('State', 'ENABLED')}"
        for name, rule in rules.items()
        if rule.get("ScheduleExpression") != "rate(15 minutes)"
        or rule.get("State", "ENABLED") != "ENABLED"
    ]
    return findings if rules else ["nothing starts it"]


def check_functions_run_in_the_network_that_is_named(template: Template) -> list[str]:
    """All that touch card numbers or their keys; nothing of it unless a network is named."""
    subnets = template.parameter_value("FunctionSubnetIds")
    groups = template.parameter_value("FunctionSecurityGroupIds")
    outside = Template(template.raw, parameter_values={})
    findings = []
    for function in FUNCTION_ENVIRONMENTS:
        found = template.properties(function).get("VpcConfig")
        if found != {"SubnetIds": subnets, "SecurityGroupIds": groups}:
            findings.append(f"{function}: {found}")
        if outside.properties(function).get("VpcConfig"):
            findings.append(f"{function} is in a network unasked")
        role = identity_statements(outside, ROLES[function])
        if granted(role, {"ec2:CreateNetworkInterface"}, "*"):
            findings.append(f"{function} makes interfaces unasked")
    return findings
