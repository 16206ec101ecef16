"""What was done with a token or a job's keys: the record of accesses beside CloudTrail's events."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

# KMS operations on data keys; what else CloudTrail has does not name one.
KEY_EVENTS = (
    *("GenerateDataKey", "GenerateDataKeyWithoutPlaintext", "Decrypt", "ReEncrypt"),
    "CreateGrant",  # an approval: the context stands among its constraints
)
_CONTEXTS = ("encryptioncontext", "sourceencryptioncontext", "encryptioncontextequals")


@dataclass(frozen=True, slots=True)
class Traced:
    """One line of a trace. `request_id` is the API's in the record, and KMS's in CloudTrail."""

    at: str
    source: str
    event: str
    who: str
    what: str
    request_id: str
    kms_request_ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class KeyEvent:
    """A KMS event of CloudTrail, as far as it tells of a data key."""

    at: str
    name: str
    who: str
    request_id: str
    encryption_context: Mapping[str, str]


def key_event(document: Mapping[str, Any]) -> KeyEvent:
    """A KMS event from CloudTrail's JSON, whichever case its parameters are written in."""
    parameters = document.get("requestParameters") or {}
    by_name = {name.lower(): value for name, value in parameters.items()}
    constraints = by_name.get("constraints") or {}
    by_name |= {name.lower(): value for name, value in constraints.items()}
    found = [by_name[name] for name in _CONTEXTS if by_name.get(name)]
    context = found[0] if found else None
    identity = document.get("userIdentity") or {}
    return KeyEvent(
        at=str(document.get("eventTime", "")),
        name=str(document.get("eventName", "")),
        who=str(identity.get("arn", "")),
        request_id=str(document.get("requestID", "")),
        encryption_context=context if isinstance(context, dict) else {},
    )


def concerns(event: KeyEvent, names: Collection[str], request_ids: Collection[str]) -> bool:
    """Whether the event names one of those data keys or jobs, or is one of those requests."""
    context = event.encryption_context
    named = {context.get("data_key_id"), context.get("job_id")}
    return bool(named & set(names)) or event.request_id in request_ids


def kms_request_ids(records: Iterable[Mapping[str, Any]]) -> set[str]:
    """The KMS requests that the records of accesses name."""
    return {
        item["kms_request_id"]
        for record in records
        for item in record["items"]
        if "kms_request_id" in item
    }


def timeline(records: Iterable[Mapping[str, Any]], events: Iterable[KeyEvent]) -> list[Traced]:
    """Both in the order of time."""
    traced = [_of_record(record) for record in records] + [_of_event(event) for event in events]
    return sorted(traced, key=lambda each: (each.at[:19], each.source, each.at))


def _of_record(record: Mapping[str, Any]) -> Traced:
    facts = {
        "reason": record["reason"],
        "grant": record["grant"],
        "purpose": record["purpose"],
        "view": record["view"],
        "session": record["session"],
    }
    outcomes = sorted({item["outcome"] for item in record["items"]})
    what = [f"{record['outcome']}: {', '.join(outcomes)}" if outcomes else record["outcome"]]
    what += [f"{name} {value}" for name, value in facts.items() if value]
    return Traced(
        at=record["at"],
        source="audit log",
        event=record["action"],
        who=record["principal"],
        what="; ".join(what),
        request_id=record["request_id"],
        kms_request_ids=tuple(sorted(kms_request_ids([record]))),
    )


def _of_event(event: KeyEvent) -> Traced:
    context = ", ".join(f"{name} {value}" for name, value in event.encryption_context.items())
    return Traced(event.at, "CloudTrail", event.name, event.who, context, event.request_id)
