"""Reads the filter patterns that CloudWatch Logs takes for JSON: as much of them as ours use.

Amazon CloudWatch Logs user guide, "Filter pattern syntax": selectors, `=` and `!=` on strings with
`*` at any place, `EXISTS`, `NOT EXISTS`, `IS TRUE`, `&&` before `||`, parentheses.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from tests.policies import matches as matches_wildcards

MAX_CHARACTERS = 1024  # CloudWatch Logs API reference, PutMetricFilter
MISSING = object()

Test = Callable[[Any], bool]
_TOKEN = re.compile(
    r'\s*(?:(?P<selector>\$(?:\.\w+|\[\d+\])+)|(?P<text>"[^"]*")'
    r"|(?P<sign>NOT EXISTS|EXISTS|IS TRUE|&&|\|\||!=|=|[(){}]))"
)


class FilterPattern:
    """A pattern. Whether a field that is missing "differs" is left to `missing_differs`: what we
    write must not depend on it."""

    def __init__(self, text: str, *, missing_differs: bool) -> None:
        self._missing_differs = missing_differs
        self._tokens = tokens(text)
        self._take("{")
        self._test = self._any()
        self._take("}")
        if self._tokens:
            raise ValueError(f"more behind the end: {self._tokens}")

    def matches(self, event: Mapping[str, Any]) -> bool:
        return self._test(event)

    def _any(self) -> Test:
        tests = [self._all()]
        while self._tokens[0] == "||":
            self._take("||")
            tests.append(self._all())
        return lambda event: any(test(event) for test in tests)

    def _all(self) -> Test:
        tests = [self._one()]
        while self._tokens[0] == "&&":
            self._take("&&")
            tests.append(self._one())
        return lambda event: all(test(event) for test in tests)

    def _one(self) -> Test:
        if self._tokens[0] == "(":
            self._take("(")
            test = self._any()
            self._take(")")
            return test
        return self._comparison(self._tokens.pop(0), self._tokens.pop(0))

    def _comparison(self, selector: str, sign: str) -> Test:
        match sign:
            case "EXISTS":
                return lambda event: value_at(event, selector) is not MISSING
            case "NOT EXISTS":
                return lambda event: value_at(event, selector) is MISSING
            case "IS TRUE":
                return lambda event: value_at(event, selector) is True
        wanted = self._tokens.pop(0).strip('"')

        def compare(event: Any) -> bool:
            value = value_at(event, selector)
            if value is MISSING:
                return sign == "!=" and self._missing_differs
            return matches_wildcards(wanted, str(value)) == (sign == "=")

        return compare

    def _take(self, token: str) -> None:
        if self._tokens.pop(0) != token:
            raise ValueError(f"no {token}")


def tokens(text: str) -> list[str]:
    found, at = [], 0
    while at < len(text.rstrip()):
        token = _TOKEN.match(text, at)
        if token is None:
            raise ValueError(f"cannot read {text[at:]}")
        found.append(token[0].strip())
        at = token.end()
    return found


def value_at(event: Any, selector: str) -> Any:
    """The value that `$.a.b[0]` selects; null is a value, too, and told apart from nothing."""
    for name, index in re.findall(r"\.(\w+)|\[(\d+)\]", selector):
        if name and isinstance(event, Mapping) and name in event:
            event = event[name]
        elif index and isinstance(event, list) and int(index) < len(event):
            event = event[int(index)]
        else:
            return MISSING
    return event
