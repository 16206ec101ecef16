"""The audit record of one access: who, when, what, why, and how it ended; no PAN, no digit of one.

PCI DSS v4.0.1, 10.2.1.1 and 10.2.2.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from pipeline.core.grants import Action, Caller
from pipeline.core.receipts import iso_time

RECORD_VERSION = 1


@dataclass(frozen=True, slots=True)
class AuditedItem:
    """One token of an access: None for what has not the form of a token, which may be a PAN.

    `unwrapped_by` is the id of the KMS request that unwrapped the data key, which CloudTrail shows
    as `requestID`.
    """

    token: str | None
    outcome: str
    data_key_id: str | None = None
    unwrapped_by: str | None = None


@dataclass(frozen=True, slots=True)
class Access:
    """One access, as it is to be recorded. `grant` is the one that it was made under, if any.

    `canary` says that one of the tokens is a canary, which raises an alarm.
    """

    caller: Caller
    action: Action
    outcome: Literal["answered", "refused"]
    reason: str | None = None
    grant: str | None = None
    purpose: str | None = None
    view: str | None = None
    scope: str | None = None
    job_id: str | None = None
    items: Sequence[AuditedItem] = field(default_factory=tuple)
    canary: bool = False


def audit_line(access: Access, at: datetime) -> str:
    """The record as one line of JSON."""
    caller = access.caller
    record: dict[str, Any] = {
        "record": "access",
        "version": RECORD_VERSION,
        "at": iso_time(at),
        "request_id": caller.request_id,
        "action": access.action,
        "outcome": access.outcome,
        "reason": access.reason,
        "principal": caller.principal,
        "session": caller.session,
        "source_ip": caller.source_ip,
        "grant": access.grant,
        "purpose": access.purpose,
        "view": access.view,
        "scope": access.scope,
        "job_id": access.job_id,
        "canary": access.canary,
        "items": [_item(item) for item in access.items],
    }
    return json.dumps(record, separators=(",", ":"))


def _item(item: AuditedItem) -> dict[str, Any]:
    shown = {
        "token": item.token,
        "outcome": item.outcome,
        "data_key_id": item.data_key_id,
        "kms_request_id": item.unwrapped_by,
    }
    return {name: value for name, value in shown.items() if value is not None or name == "token"}
