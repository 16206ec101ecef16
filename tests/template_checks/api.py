"""The API: signed requests alone come in, and nothing of a request is written down on the way."""

from typing import Any

from tests.template import Template

ROUTES = {
    ("/tokenize", "post"): "TokenizeFunction",
    ("/detokenize", "post"): "DetokenizeFunction",
    ("/tokens/{token}", "get"): "DetokenizeFunction",
    ("/bulk-jobs", "post"): "DetokenizeFunction",
    ("/bulk-jobs/slices", "post"): "DetokenizeFunction",
    ("/bulk-jobs/end", "post"): "DetokenizeFunction",
}


def operations(template: Template) -> dict[tuple[str, str], Any]:
    """(path, method) → operation of the API as it is deployed."""
    body = template.expanded["Resources"]["Api"]["Properties"]["Body"]
    return {
        (path, method): operation
        for path, methods in body["paths"].items()
        for method, operation in methods.items()
    }


def check_routes_lead_to_their_functions(template: Template) -> list[str]:
    found = {route: str(operation) for route, operation in operations(template).items()}
    findings = [f"{route}" for route in found.keys() ^ ROUTES.keys()]
    return findings + [
        f"{route} does not lead to {function}"
        for route, function in ROUTES.items()
        if f"${{{function}.Arn}}" not in found.get(route, "")
    ]


def check_requests_are_signed(template: Template) -> list[str]:
    body = template.expanded["Resources"]["Api"]["Properties"]["Body"]
    scheme = body.get("components", {}).get("securitySchemes", {}).get("AWS_IAM", {})
    findings = [
        f"{route}: {operation.get('security')}"
        for route, operation in operations(template).items()
        if operation.get("security") != [{"AWS_IAM": []}]
    ]
    if scheme.get("x-amazon-apigateway-authtype") != "awsSigv4":
        findings.append(f"the scheme is {scheme}")
    return findings


def check_callers_need_no_right_to_invoke_functions(template: Template) -> list[str]:
    return [
        f"{route}: called with {credentials}"
        for route, operation in operations(template).items()
        if (credentials := operation["x-amazon-apigateway-integration"].get("credentials"))
    ]


def check_no_request_is_written_down(template: Template) -> list[str]:
    """DataTraceEnabled logs bodies; execution logs, access logs and traces show paths."""
    findings = []
    for name, stage in template.of_type("AWS::ApiGateway::Stage").items():
        settings = stage.get("MethodSettings", [])
        if [each.get("ResourcePath") for each in settings] != ["/*"]:
            findings.append(f"{name}: settings for {settings}")
        for each in settings:
            if each.get("DataTraceEnabled") is not False or each.get("LoggingLevel") != "OFF":
                findings.append(f"{name}: logs requests")
            if each.get("CachingEnabled") is not False:
                findings.append(f"{name}: caches answers")
        if stage.get("AccessLogSetting"):
            findings.append(f"{name}: logs paths")
        if stage.get("TracingEnabled"):
            findings.append(f"{name}: traces URLs")
    return findings


def check_the_api_is_throttled(template: Template) -> list[str]:
    return [
        f"{name}: {each}"
        for name, stage in template.of_type("AWS::ApiGateway::Stage").items()
        for each in stage.get("MethodSettings", [])
        if not each.get("ThrottlingRateLimit") or not each.get("ThrottlingBurstLimit")
    ]


def check_refusals_of_api_gateway_repeat_nothing(template: Template) -> list[str]:
    body = template.expanded["Resources"]["Api"]["Properties"]["Body"]
    responses = body.get("x-amazon-apigateway-gateway-responses", {})
    findings = [kind for kind in ("DEFAULT_4XX", "DEFAULT_5XX") if kind not in responses]
    for kind, response in responses.items():
        texts = response.get("responseTemplates", {})
        if "application/json" not in texts or "$context.error" in str(texts):
            findings.append(f"{kind}: {texts}")
        headers = response.get("responseParameters", {})
        if headers.get("gatewayresponse.header.Cache-Control") != "'no-store'":
            findings.append(f"{kind}: may be cached")
    return findings


def check_the_record_is_kept_long(template: Template) -> list[str]:
    findings = []
    raw = template.raw["Resources"]["AuditLogGroup"]["Properties"]
    if raw.get("RetentionInDays") != {"Ref": "AuditRetentionDays"}:
        findings.append(f"for {raw.get('RetentionInDays')}")
    parameter = template.parameters["AuditRetentionDays"]
    if min(parameter["AllowedValues"]) < 365 or parameter["Default"] < 2557:
        findings.append("it may be dropped early")
    return findings
