"""The last line of defence of the logs: no log line leaves the process with a card number in it.

The first line is that our own code logs ids, codes and counts only, and that libraries are held at
warnings. This one stands behind all code, our own included. It works on the text that a handler is
about to write, so message, arguments, extra fields and traceback pass through it alike. Metrics
do not: they are printed, not logged.
"""

from __future__ import annotations

import json
import logging
import re
import sys
import threading
from typing import Any

from pipeline.core import guard
from pipeline.core.decoding import decoded_views, holds_archive

LIBRARIES = frozenset(
    {
        "aws_lambda_powertools",
        "aws_xray_sdk",
        "boto3",
        "botocore",
        "s3transfer",
        "smart_open",
        "urllib3",
    }
)
MAX_LINE_CHARACTERS = 64 * 1024  # what our own code logs has a few hundred
WITHHELD = "withheld: the line could hold a card number"
UNFORMATTED = "withheld: the line could not be formatted"

# A version 4 UUID (Lambda's request id) and an X-Ray trace id; hexadecimal digits can look like a
# card's. One without a letter is not spared: it could be a card.
_IDS = re.compile(
    r"(\b(?=[0-9-]*[a-f])(?:"
    r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"
    r"|1-[0-9a-f]{8}-[0-9a-f]{24})\b)"
)
# Check digit or not: a PAN that was mistyped is cardholder data too. 12 digits are AWS accounts.
_DIGITS = re.compile(rf"\d{{{guard.MIN_RUN_DIGITS},}}")
_GROUPS = re.compile(r"\d{4}([ -])(?:\d{4}\1\d{4}\1\d+|\d{6}\1\d{4,})")
# Compressed bytes as Python, JSON or base64 spell them: nobody can tell what is in them.
_COMPRESSED = re.compile(r"H4sI|\\x1f\\+x8b|\\u001f(?:\\u008b|\x8b|\\ufffd|\ufffd)|\x1f\x8b")

_logger = logging.getLogger(__name__)
_format_unfiltered = logging.Handler.format


def install() -> None:
    """Puts the filter before every handler, those of today and those to come.

    It replaces `logging.Handler.format`, the one place that every handler's text comes from: a
    handler's formatter can be replaced after we have seen it, and handlers can be added later.
    What a handler then fails to write, it keeps to itself: the standard library would print the
    arguments of the call on stderr.

    Warnings become log lines; of an error that nobody can catch, in a thread or a destructor, its
    kind does. The interpreter would print their text on stderr.

    Doing it again does no harm, and brings libraries back to warnings that were set free since.
    """
    logging.Handler.format = _format  # type: ignore[assignment, method-assign]
    logging.raiseExceptions = False
    logging.captureWarnings(True)
    if sys.unraisablehook is sys.__unraisablehook__:
        sys.unraisablehook = _log_kind
    if threading.excepthook is threading.__excepthook__:
        threading.excepthook = _log_kind
    _hold_libraries()


def _log_kind(uncaught: sys.UnraisableHookArgs | threading.ExceptHookArgs) -> None:
    _logger.warning("nobody could catch a %s", uncaught.exc_type.__name__)


def _hold_libraries() -> None:
    """At DEBUG these log requests, responses and what they carry."""
    for name in LIBRARIES:
        logger = logging.getLogger(name)
        logger.setLevel(max(logger.level, logging.WARNING))
    for name, child in logging.root.manager.loggerDict.items():
        if isinstance(child, logging.Logger) and name.split(".")[0] in LIBRARIES and child.level:
            child.setLevel(max(child.level, logging.WARNING))


def _format(handler: logging.Handler, record: logging.LogRecord) -> str:
    try:
        line = _format_unfiltered(handler, record)
    except Exception:  # noqa: BLE001 - whatever it is, its text may repeat what was to be logged
        return _withheld(handler, record, UNFORMATTED)
    clean = redacted_line(line)
    return _withheld(handler, record, WITHHELD) if clean is None else clean


def _withheld(handler: logging.Handler, record: logging.LogRecord, why: str) -> str:
    """A line in the handler's own format, with logger, level and place, and `why` for a message."""
    bare = logging.LogRecord(
        record.name, record.levelno, record.pathname, record.lineno, why, (), None, record.funcName
    )
    try:
        clean = redacted_line(_format_unfiltered(handler, bare))
    except Exception:  # noqa: BLE001 - a handler that cannot format anything
        clean = None
    if clean is not None:
        return clean
    name = record.name if is_clean(record.name) else ""
    return json.dumps(
        {"level": logging.getLevelName(record.levelno), "logger": name, "message": why}
    )


def redacted_line(line: str) -> str | None:
    """The line with a marker for each card number; None where that cannot be vouched for.

    A line of JSON stays one: there, a number that looks like a card becomes a text.
    """
    if len(line) > MAX_LINE_CHARACTERS:
        return None
    if is_clean(line):
        return line
    clean = _redacted_json(line) if line.startswith("{") else redacted(line)
    return clean if clean is not None and is_clean(clean) else None


def redacted(text: str) -> str:
    """The text with a marker for whatever has as many digits as a card, check digit right or not.

    Request ids, trace ids and account numbers stay.
    """
    pieces = _IDS.split(text)
    pieces[::2] = [_redacted_piece(piece) for piece in pieces[::2]]
    return "".join(pieces)


def is_clean(text: str) -> bool:
    """Whether there is no card number in the text, nor in what it could be decoded to."""
    if _COMPRESSED.search(text) or redacted(text) != text:
        return False
    without_ids = _IDS.sub("", text).encode("utf-8", "surrogatepass")
    return not any(map(_could_hold_card, decoded_views(without_ids)))


def _could_hold_card(view: bytes) -> bool:
    text = view.decode("latin-1")
    return holds_archive(view) or _redacted_piece(text) != text


def _redacted_piece(text: str) -> str:
    text = guard.redacted(text)
    for pattern in (_GROUPS, _DIGITS):
        text = pattern.sub(guard.REDACTED, text)
    return text


def _redacted_json(line: str) -> str | None:
    try:
        document = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return json.dumps(_redacted_value(document), separators=(",", ":"), ensure_ascii=False)


def _redacted_value(value: Any) -> Any:
    if isinstance(value, dict):
        return {redacted(name): _redacted_value(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_redacted_value(each) for each in value]
    text = str(value)
    clean = redacted(text)
    return value if clean == text else clean
