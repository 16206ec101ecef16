"""boto3 for the local stack: whatever the caller's AWS settings are, it reaches only 127.0.0.1."""

import os
from typing import Any

import boto3
from botocore.client import BaseClient
from botocore.config import Config
from botocore.session import Session as BotocoreSession

REGION = "us-east-1"
DUMMY_ACCESS_KEY = "test"
DUMMY_SECRET_KEY = "test"

# No profile and no configuration file of the caller: (config name, variables, default, conversion).
SESSION_VARIABLES: dict[str, tuple[Any, Any, Any, Any]] = {
    "profile": (None, None, None, None),
    "config_file": (None, None, os.devnull, None),
    "credentials_file": (None, None, os.devnull, None),
}
DIRECT = Config(proxies={}, use_dualstack_endpoint=False, use_fips_endpoint=False)


class LoopbackSession(BotocoreSession):
    """A botocore session whose every client talks to one endpoint, past any proxy."""

    def __init__(self, endpoint_url: str) -> None:
        super().__init__(session_vars=SESSION_VARIABLES)
        self._endpoint_url = endpoint_url

    def create_client(self, service_name: str, *args: Any, **kwargs: Any) -> BaseClient:
        """Create a client as botocore does, for this endpoint unless another is named."""
        kwargs["endpoint_url"] = kwargs.get("endpoint_url") or self._endpoint_url
        config = kwargs.get("config")
        kwargs["config"] = DIRECT.merge(config) if config else DIRECT
        return super().create_client(service_name, *args, **kwargs)


def loopback_session(endpoint_url: str) -> boto3.Session:
    """Return a boto3 session for an engine, with dummy credentials."""
    return boto3.Session(
        aws_access_key_id=DUMMY_ACCESS_KEY,
        aws_secret_access_key=DUMMY_SECRET_KEY,
        region_name=REGION,
        botocore_session=LoopbackSession(endpoint_url),
    )
