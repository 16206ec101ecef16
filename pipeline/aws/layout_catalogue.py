"""Layouts: the deployment's own under a URI, and those that ship with the product."""

from __future__ import annotations

import importlib.resources
import re
from functools import lru_cache
from typing import TYPE_CHECKING

from pipeline.aws.layout_documents import MAX_KEPT_DOCUMENTS, UriDocuments
from pipeline.core.folders import FOLDERS_DOCUMENT, NO_RULES, parse_folder_rules
from pipeline.core.jobs import layout_name_of, repaired_job_of
from pipeline.core.layout_documents import parse_layout
from pipeline.core.layouts import NAME, RESERVED_NAMES, Layout
from pipeline.errors import PermanentError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_BUILT_IN = importlib.resources.files("pipeline.layouts_builtin")


class UriLayouts:
    """Looks under a bucket prefix or folder first, then among the built-in layouts."""

    def __init__(self, uri: str, client: S3Client) -> None:
        self._documents = UriDocuments(uri, client)
        self._parsed = lru_cache(MAX_KEPT_DOCUMENTS)(parse_layout)
        self._parsed_rules = lru_cache(1)(parse_folder_rules)

    def name_for(self, key: str) -> str:
        """What the folder rules say of an object key, or else the key itself.

        Raises `LayoutError` when the rules have mistakes, `PermanentError` `pan_in_object_key`.
        """
        own_name = layout_name_of(key)
        if repaired_job_of(key) is not None:  # repairs are sent to the layout of their job
            return own_name
        document = self._documents.read(FOLDERS_DOCUMENT)
        rules = NO_RULES if document is None else self._parsed_rules(document)
        return rules.layout_for(key) or own_name

    def get(self, name: str) -> Layout:
        """The layout; raises `PermanentError` `unknown_layout`, or `LayoutError`."""
        document = self.document(name)
        if document is None:
            raise PermanentError("unknown_layout", f"no layout {name}: add {name}.toml")
        return self._parsed(document, name)

    def document(self, name: str) -> bytes | None:
        """The TOML of the layout, None if there is none; raises `PermanentError` for no name."""
        if not re.fullmatch(NAME, name) or name in RESERVED_NAMES:
            raise PermanentError(
                "unknown_layout", "the folder under incoming/ is not a layout's name"
            )
        own = self._documents.read(f"{name}.toml")
        return built_in_layout(name) if own is None else own


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
