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
