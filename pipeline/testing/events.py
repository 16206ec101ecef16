"""Events as AWS sends them to functions."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pipeline.core.messages import upload_message
from pipeline.model import Upload


def sqs_event(*bodies: str, receive_count: int = 1) -> dict[str, Any]:
    """The event that Lambda gets for these message bodies."""
    return {
        "Records": [
            {
                "messageId": f"message-{at}",
                "receiptHandle": f"handle-{at}",
                "body": body,
                "attributes": {"ApproximateReceiveCount": str(receive_count)},
                "messageAttributes": {},
                "eventSource": "aws:sqs",
                "eventSourceARN": "arn:aws:sqs:us-east-1:000000000000:work",
                "awsRegion": "us-east-1",
            }
            for at, body in enumerate(bodies)
        ]
    }


def s3_event(upload: Upload, event_name: str = "ObjectCreated:Put") -> str:
    """The message body that S3 sends about an object."""
    message = upload_message(upload)
    message["Records"][0]["eventName"] = event_name
    return json.dumps(message)


def api_event(
    method: str,
    path: str,
    body: str | None = None,
    *,
    user_arn: str | None = "arn:aws:iam::000000000000:user/someone",
    headers: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """The event that a function gets from a REST API of API Gateway with IAM authorisation."""
    sent = {"content-type": "application/json", **(headers or {})}
    return {
        "resource": "/{proxy+}",
        "path": path,
        "httpMethod": method,
        "headers": sent,
        "multiValueHeaders": {name: [value] for name, value in sent.items()},
        "queryStringParameters": None,
        "multiValueQueryStringParameters": None,
        "pathParameters": None,
        "stageVariables": None,
        "requestContext": {
            "accountId": "000000000000",
            "apiId": "api",
            "httpMethod": method,
            "identity": {"userArn": user_arn, "sourceIp": "192.0.2.7"},
            "path": path,
            "requestId": "6e0e6d16-7ea0-4dba-9c7f-0a1b2c3d4e5f",
            "stage": "v1",
        },
        "body": body,
        "isBase64Encoded": False,
    }
