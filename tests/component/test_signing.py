"""Our signatures are those of AWS's own client."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from unittest import mock

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import ReadOnlyCredentials
from hypothesis import given
from hypothesis import strategies as st

from pipeline.aws.signing import Signer, Target

MOMENT = datetime(2026, 11, 25, 12, 0, 59, 999_000, tzinfo=UTC)
HEADERS = (
    ("content-type", "application/x-amz-json-1.0"),
    ("x-amz-target", "DynamoDB_20120810.BatchGetItem"),
)
TARGET = Target("dynamodb", "eu-west-1", "dynamodb.eu-west-1.amazonaws.com", "/", HEADERS)


def _as_botocore_signs(body: bytes, credentials: ReadOnlyCredentials) -> dict[str, str]:
    request = AWSRequest("POST", f"https://{TARGET.host}/", headers=dict(HEADERS), data=body)
    with mock.patch("botocore.auth.get_current_datetime", return_value=MOMENT):
        SigV4Auth(credentials, "dynamodb", "eu-west-1").add_auth(request)
    return {name.lower(): value for name, value in request.headers.items()}


@pytest.mark.parametrize("token", [None, "a-session-token/+="])
@given(body=st.binary(max_size=300))
def test_a_request_is_signed_as_botocore_signs_it(token: str | None, body: bytes) -> None:
    credentials = ReadOnlyCredentials("AKIDEXAMPLE", "secret/key+x", token)
    ours = Signer(TARGET, lambda: credentials, lambda: MOMENT).headers(body)
    theirs = _as_botocore_signs(body, credentials)
    assert ours["authorization"] == theirs["authorization"]
    assert {name: ours[name] for name in theirs} == theirs


def test_credentials_that_were_renewed_are_used_within_a_second() -> None:
    held = [ReadOnlyCredentials("FIRST", "secret", "t1")]
    now = [MOMENT]
    signer = Signer(TARGET, lambda: held[-1], lambda: now[-1])
    assert "Credential=FIRST/" in signer.headers(b"{}")["authorization"]
    held.append(ReadOnlyCredentials("SECOND", "secret", "t2"))
    now.append(MOMENT + timedelta(seconds=1))
    headers = signer.headers(b"{}")
    assert "Credential=SECOND/20261125/" in headers["authorization"]
    assert headers["x-amz-security-token"] == "t2"


def test_what_is_prepared_hides_the_keys() -> None:
    signer: Any = Signer(
        TARGET, lambda: ReadOnlyCredentials("A", "hushhush", "session-hush"), lambda: MOMENT
    )
    signer.headers(b"{}")
    assert "hushhush" not in repr(signer._prepared)
    assert "session-hush" not in repr(signer._prepared)
    assert repr(signer._prepared.signing_key) not in repr(signer._prepared)
