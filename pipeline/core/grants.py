"""Grants: which IAM principal may ask the vault for what, why, how clearly and how often.

A grants document is TOML. Whom it does not name may do nothing (PCI DSS v4.0.1, 7.2.1, 7.2.2).
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal, Self

from pydantic import Field, ValidationError, field_validator, model_validator

from pipeline.core.envelope import TOKEN_PATTERN
from pipeline.core.strict import Strict
from pipeline.errors import PermanentError

MAX_ROWS_PER_JOB = 1_000_000
MAX_DOCUMENT_BYTES = 256 * 1024  # it is one item of a table, of which DynamoDB takes 400 KB

Action = Literal["tokenize", "detokenize", "describe", "bulk"]
WITH_PURPOSE = frozenset({"detokenize", "bulk"})
View = Literal["masked", "full"]

# No digits: a purpose is written into the audit log, and a card number must not be.
PURPOSE_PATTERN = r"^[a-z](?:[a-z-]{0,46}[a-z])?$"
SCOPE_PATTERN = r"^[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?$"

_PRINCIPAL = re.compile(
    r"arn:aws[a-z-]*:(?:iam|sts)::\d{12}:(?:root|(?:role|user|federated-user)/[\w+=,.@/*-]+)"
)
_ASSUMED_ROLE = re.compile(r"(arn:aws[a-z-]*):sts::(\d{12}):assumed-role/([^/]+)/(.+)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks: the principal's ARN without its session, the session's name, whence, in which call.

    A role's ARN has no path here: what STS tells of an assumed role leaves it out.
    """

    principal: str
    session: str
    source_ip: str
    request_id: str


def principal_of(user_arn: str) -> tuple[str, str]:
    """The principal behind a caller's ARN, and the session's name ("" where there is none).

    All sessions of a role are one principal: whoever may choose the name of a session could
    otherwise begin a new limit with each.
    """
    match = _ASSUMED_ROLE.fullmatch(user_arn)
    if match is None:
        return user_arn, ""
    return f"{match[1]}:iam::{match[2]}:role/{match[3]}", match[4]


class Grant(Strict):
    """What some principals may do, up to a number of tokens each minute and day."""

    name: str = Field(pattern=PURPOSE_PATTERN)
    principals: tuple[str, ...] = Field(min_length=1)
    actions: tuple[Action, ...] = Field(min_length=1)
    scopes: tuple[str, ...] = Field(min_length=1)
    purposes: tuple[str, ...] = ()
    view: View = "masked"
    per_minute: int = Field(ge=1)
    per_day: int = Field(ge=1)
    rows_per_job: int | None = Field(default=None, ge=1, le=MAX_ROWS_PER_JOB)

    @field_validator("principals")
    @classmethod
    def _names_principals_of_an_account(cls, patterns: tuple[str, ...]) -> tuple[str, ...]:
        for at, pattern in enumerate(patterns, start=1):
            if not _PRINCIPAL.fullmatch(pattern):
                raise ValueError(f"number {at} is no ARN of a role, user or root of one account")
            if ":role/" in pattern and pattern.count("/") > 1:
                raise ValueError(f"number {at} has a path, which callers' roles come without")
        return patterns

    @field_validator("scopes")
    @classmethod
    def _scopes_are_names(cls, scopes: tuple[str, ...]) -> tuple[str, ...]:
        return _all_match(scopes, SCOPE_PATTERN)

    @field_validator("purposes")
    @classmethod
    def _purposes_are_words(cls, purposes: tuple[str, ...]) -> tuple[str, ...]:
        return _all_match(purposes, PURPOSE_PATTERN)

    @model_validator(mode="after")
    def _detokenizing_has_a_purpose(self) -> Self:
        if bool(WITH_PURPOSE & set(self.actions)) != bool(self.purposes):
            raise ValueError("purposes belong to detokenize and bulk, which need one at least")
        if self.view == "full" and "detokenize" not in self.actions:
            raise ValueError("view belongs to the action detokenize")
        if ("bulk" in self.actions) != (self.rows_per_job is not None):
            raise ValueError("rows_per_job belongs to the action bulk, which needs it")
        return self

    def covers(self, principal: str, action: Action, purpose: str, view: View) -> bool:
        """Whether the grant lets the principal do that, for that purpose and in that view."""
        return (
            action in self.actions
            and (action not in WITH_PURPOSE or purpose in self.purposes)
            and (action != "detokenize" or view == "masked" or self.view == "full")
            and any(_matches(pattern, principal) for pattern in self.principals)
        )


class Grants(Strict):
    """All grants of a deployment, in the order of their document.

    `canaries` are tokens that nobody has any business with: whoever asks for one raises an alarm,
    whatever is answered.
    """

    grants: tuple[Grant, ...] = ()
    canaries: frozenset[Annotated[str, Field(pattern=f"^{TOKEN_PATTERN.pattern}$")]] = frozenset()

    @model_validator(mode="after")
    def _names_differ(self) -> Self:
        names = [grant.name for grant in self.grants]
        if len(set(names)) < len(names):
            raise ValueError("two grants have the same name")
        return self

    def covering(
        self, principal: str, action: Action, purpose: str = "", view: View = "masked"
    ) -> Grant | None:
        """The first grant that covers it; None, which is the default, if there is none."""
        asked = (principal, action, purpose, view)
        return next((grant for grant in self.grants if grant.covers(*asked)), None)


NO_GRANTS = Grants()


def parse_grants(document: bytes) -> Grants:
    """The grants of a TOML document; raises `PermanentError` `invalid_grants` with its mistakes."""
    if len(document) > MAX_DOCUMENT_BYTES:
        raise PermanentError("invalid_grants", f"longer than {MAX_DOCUMENT_BYTES} bytes")
    try:
        return Grants.model_validate(tomllib.loads(document.decode()))
    except UnicodeDecodeError:
        raise PermanentError("invalid_grants", "not UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        raise PermanentError("invalid_grants", f"not TOML: {error}") from None
    except ValidationError as error:
        mistakes = "; ".join(
            f"{'.'.join(map(str, each['loc']))}: {each['msg']}"
            for each in error.errors(include_input=False, include_url=False)
        )
        raise PermanentError("invalid_grants", mistakes) from None


def _all_match(names: Sequence[str], pattern: str) -> tuple[str, ...]:
    for at, name in enumerate(names, start=1):
        if not re.fullmatch(pattern, name):
            raise ValueError(f"number {at} is not a name of lower-case letters and dashes")
    return tuple(names)


def _matches(pattern: str, principal: str) -> bool:
    """`*` stands for any characters but a slash, so that it never crosses into a path."""
    expression = re.escape(pattern).replace(r"\*", "[^/]*")
    return re.fullmatch(expression, principal) is not None
