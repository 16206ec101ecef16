"""The environment, read once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

from pipeline.errors import PermanentError

ENVIRONMENT_PREFIX = "PANTOK_"


@dataclass(frozen=True, slots=True)
class Settings:
    """Where a deployment's parts are. Each field is the environment variable `PANTOK_<FIELD>`."""

    quarantine_bucket: str
    tokenized_bucket: str
    work_queue_url: str
    dead_letter_queue_url: str
    vault_table: str
    fingerprints_table: str
    data_keys_table: str
    jobs_table: str
    vault_key_arn: str
    layouts_uri: str
    max_receives: str = "5"

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Settings:
        """Raises `PermanentError` `missing_settings`, which names what is not set."""
        names = {field.name: ENVIRONMENT_PREFIX + field.name.upper() for field in fields(cls)}
        found = {field: environment[name] for field, name in names.items() if name in environment}
        missing = [names[field] for field in names if field not in {*found, "max_receives"}]
        if missing:
            raise PermanentError("missing_settings", ", ".join(missing))
        return cls(**found)


@dataclass(frozen=True, slots=True)
class ApiSettings:
    """Where the parts of a deployment are that the API needs, read like `Settings`.

    Only tokenization is told of the fingerprints' table, and only detokenization of the bulk key.
    """

    vault_table: str
    data_keys_table: str
    vault_key_arn: str
    grants_table: str
    limits_table: str
    audit_log_group: str
    fingerprints_table: str = ""
    bulk_key_arn: str = ""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> ApiSettings:
        """Raises `PermanentError` `missing_settings`, which names what is not set."""
        names = {field.name: ENVIRONMENT_PREFIX + field.name.upper() for field in fields(cls)}
        found = {field: environment[name] for field, name in names.items() if name in environment}
        optional = {"fingerprints_table", "bulk_key_arn"}
        missing = [names[field] for field in names if field not in found.keys() | optional]
        if missing:
            raise PermanentError("missing_settings", ", ".join(missing))
        return cls(**found)


@dataclass(frozen=True, slots=True)
class WatchSettings:
    """Where the parts of a deployment are that the watch compares, read like `Settings`."""

    quarantine_bucket: str
    tokenized_bucket: str
    jobs_table: str
    receipt_due_minutes: str

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> WatchSettings:
        """Raises `PermanentError` `missing_settings`, which names what is not set."""
        names = {field.name: ENVIRONMENT_PREFIX + field.name.upper() for field in fields(cls)}
        missing = [name for name in names.values() if name not in environment]
        if missing:
            raise PermanentError("missing_settings", ", ".join(missing))
        return cls(**{field: environment[name] for field, name in names.items()})
