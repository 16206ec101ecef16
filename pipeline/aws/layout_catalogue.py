"""Layouts: the deployment's own under a URI, and those that ship with the product."""

from __future__ import annotations

import importlib.resources
import re
from typing import TYPE_CHECKING

import smart_open
from botocore.exceptions import BotoCoreError, ClientError

from pipeline.aws.faults import error_code, transient
from pipeline.core.layouts import MAX_LAYOUT_BYTES, Layout, parse_layout
from pipeline.errors import PermanentError, TransientError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?")
_ABSENT = frozenset({"NoSuchKey", "404", "NotFound"})
_BUILT_IN = importlib.resources.files("pipeline.layouts_builtin")


class UriLayouts:
    """Looks under a bucket prefix or folder first, then among the built-in layouts."""

    def __init__(self, uri: str, client: S3Client) -> None:
        self._uri = uri.rstrip("/")
        self._client = client

    def get(self, name: str) -> Layout:
        """The layout; raises `PermanentError` `unknown_layout`, or `LayoutError`."""
        if not _NAME.fullmatch(name):
            raise PermanentError(
                "unknown_layout", "the folder under incoming/ is not a layout's name"
            )
        document = self._own(name)
        if document is None:
            document = built_in_layout(name)
        if document is None:
            raise PermanentError("unknown_layout", f"no layout {name}: add {name}.toml")
        return parse_layout(document, expected_name=name)

    def _own(self, name: str) -> bytes | None:
        params = {"client": self._client} if self._uri.startswith("s3://") else {}
        try:
            with smart_open.open(
                f"{self._uri}/{name}.toml", "rb", transport_params=params
            ) as document:
                content: bytes = document.read(MAX_LAYOUT_BYTES + 1)
                return content
        except FileNotFoundError:
            return None
        except BotoCoreError as error:  # a time-out is an OSError too
            raise TransientError(
                "aws_unreachable", f"s3:GetObject: {type(error).__name__}"
            ) from None
        except OSError as error:
            cause = getattr(error, "backend_error", None)
            code = error_code(cause) if isinstance(cause, ClientError) else type(error).__name__
            if code in _ABSENT:
                return None
            raise transient("s3:GetObject", code) from None


def built_in_layout(name: str) -> bytes | None:
    """The TOML of a layout that ships with the product."""
    document = _BUILT_IN / f"{name}.toml"
    return document.read_bytes() if document.is_file() else None


def built_in_names() -> list[str]:
    """The layouts that ship with the product."""
    return sorted(
        item.name.removesuffix(".toml")
        for item in _BUILT_IN.iterdir()
        if item.name.endswith(".toml")
    )
