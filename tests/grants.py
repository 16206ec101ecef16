"""Grants as tests write them: what is not said is the ordinary."""

from __future__ import annotations

import json
from collections.abc import Sequence


def grant(
    name: str,
    principals: Sequence[str],
    actions: Sequence[str],
    purposes: Sequence[str],
    *,
    scopes: Sequence[str] = ("default",),
    per_minute: int = 1000,
    per_day: int = 10_000,
    **more: str | int,
) -> str:
    """One grant of a document, as TOML."""
    fields = {
        "name": name,
        "principals": principals,
        "actions": actions,
        "scopes": scopes,
        "purposes": purposes,
        "per_minute": per_minute,
        "per_day": per_day,
    }
    lines = [f"{field} = {json.dumps(value)}" for field, value in (fields | more).items()]
    return "\n".join(["[[grants]]", *lines, ""])
