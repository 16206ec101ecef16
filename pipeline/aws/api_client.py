"""Calls a deployment's API with signed requests (AWS Signature Version 4)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import boto3
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.exceptions import BotoCoreError
from botocore.httpsession import URLLib3Session

from pipeline.errors import PermanentError, TransientError

SIGNING_NAME = "execute-api"
TIMEOUT_SECONDS = 30  # API Gateway answers within 29


class ApiClient:
    """The API as its callers see it; who calls is whoever the session's credentials belong to."""

    def __init__(self, session: boto3.session.Session, url: str) -> None:
        self._session = session
        self._url = url.rstrip("/")
        self._http = URLLib3Session(timeout=TIMEOUT_SECONDS)

    def detokenize(
        self, tokens: Sequence[str], purpose: str, view: str = "masked"
    ) -> list[Mapping[str, Any]]:
        """One result for each token; raises what `call` raises."""
        document = {"tokens": list(tokens), "purpose": purpose, "view": view}
        results: list[Mapping[str, Any]] = self.call("POST", "/detokenize", document)["results"]
        return results

    def call(self, method: str, path: str, document: object = None) -> Mapping[str, Any]:
        """The answer; raises the problem's code as `PermanentError`, or `TransientError` if trying
        again may help.
        """
        status, answer = self.send(method, path, document)
        if status < 400:
            return answer
        code = str(answer.get("code", "refused"))
        detail = f"{answer.get('title', 'the API refused')} (request {answer.get('request_id')})"
        kind = TransientError if status in (429, 500, 502, 503, 504) else PermanentError
        raise kind(code, detail)

    def send(
        self, method: str, path: str, document: object = None
    ) -> tuple[int, Mapping[str, Any]]:
        """Status and JSON body; raises `TransientError` `aws_unreachable`."""
        body = None if document is None else json.dumps(document).encode()
        request = AWSRequest(method, self._url + path, data=body)
        request.headers["Content-Type"] = "application/json"
        self._sign(request)
        try:
            response = self._http.send(request.prepare())
            content = response.content
        except BotoCoreError as error:
            raise TransientError("aws_unreachable", f"API: {type(error).__name__}") from None
        return response.status_code, _json(content)

    def _sign(self, request: AWSRequest) -> None:
        credentials = self._session.get_credentials()
        if credentials is None:
            raise PermanentError("no_credentials", "the API takes signed requests only")
        region = self._session.region_name
        SigV4Auth(credentials.get_frozen_credentials(), SIGNING_NAME, region).add_auth(request)


def _json(content: bytes) -> Mapping[str, Any]:
    try:
        document = json.loads(content)
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}
