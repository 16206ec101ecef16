"""The last line of defence of the logs, with the first one removed: code that logs card numbers."""

from __future__ import annotations

import base64
import gzip
import io
import itertools
import json
import logging
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from urllib.parse import quote

import pytest
from aws_lambda_powertools import Logger

from pipeline import log_filter
from pipeline.core import guard
from pipeline.core.leaks import LeakScanner
from pipeline.errors import PermanentError, TransientError
from pipeline.handlers.edge import contained

PAN = "4485733190264179"
MISTYPED = "4485733190264178"
SCANNER = LeakScanner([PAN.encode(), MISTYPED.encode()], card_like=False)
_NUMBERS = itertools.count()
SPACED = " ".join(PAN[at : at + 4] for at in range(0, 16, 4))

FORMS: dict[str, str] = {
    "plain": PAN,
    "mistyped": MISTYPED,
    "grouped": SPACED,
    "base64": base64.b64encode(f"card {PAN}!".encode()).decode(),
    "percent": quote(SPACED),
    "JSON escapes": "".join(f"\\u{ord(digit):04x}" for digit in PAN),
    "gzip in base64": base64.b64encode(gzip.compress(PAN.encode())).decode(),
    "gzip as bytes": repr(gzip.compress(PAN.encode())),
    "bytes": repr(PAN.encode()),
}


@pytest.fixture
def unfiltered(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Logging as it was before anything installed the filter, and again afterwards."""
    monkeypatch.setattr(logging.Handler, "format", log_filter._format_unfiltered)
    monkeypatch.setattr(logging, "raiseExceptions", True)
    monkeypatch.setattr(sys, "unraisablehook", sys.__unraisablehook__)
    monkeypatch.setattr(threading, "excepthook", threading.__excepthook__)
    levels = {name: logging.getLogger(name).level for name in log_filter.LIBRARIES}
    yield
    logging.captureWarnings(False)
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)


@pytest.fixture
def filtered(unfiltered: None) -> None:
    log_filter.install()


def _own() -> tuple[Logger, io.StringIO]:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    return Logger(service=f"filter-{next(_NUMBERS)}", logger_handler=handler), stream


def _crash(value: str) -> None:
    raise ValueError(f"cannot cast {value}")


def _with_traceback(logger: Logger, value: str) -> None:
    try:
        _crash(value)
    except ValueError:
        logger.exception("crashed")


WAYS: dict[str, Callable[[Logger, str], None]] = {
    "message": lambda logger, value: logger.info(f"read {value}"),
    "arguments": lambda logger, value: logger.info("read %s", value),
    "wrong arguments": lambda logger, value: logger.info("read %d rows", value),
    "extra fields": lambda logger, value: logger.info("read", extra={"cell": value}),
    "nested fields": lambda logger, value: logger.info("read", extra={"row": {"cells": [value]}}),
    "key of a field": lambda logger, value: logger.info("read", extra={"row": {value: 1}}),
    "number": lambda logger, value: logger.info(
        "read", extra={"cell": int(value) if value.isdigit() else value}
    ),
    "traceback": _with_traceback,
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("way", WAYS)
def test_nothing_that_is_logged_on_purpose_comes_out(
    filtered: None, way: str, form: str, capfd: pytest.CaptureFixture[str]
) -> None:
    logger, stream = _own()
    WAYS[way](logger, FORMS[form])
    line = stream.getvalue()
    assert SCANNER.leaks_in(line.encode()) == []
    assert line == "" or json.loads(line)
    assert SCANNER.leaks_in("".join(capfd.readouterr()).encode()) == []


@pytest.mark.parametrize("way", sorted(set(WAYS) - {"wrong arguments"}))
def test_without_the_filter_it_does_come_out(unfiltered: None, way: str) -> None:
    logger, stream = _own()
    WAYS[way](logger, PAN)
    assert SCANNER.leaks_in(stream.getvalue().encode())


def test_what_is_no_card_number_stays_as_it_is(filtered: None) -> None:
    logger, stream = _own()
    facts = {
        "job_id": "job_6tok5sahhchio7bet4erbxqbfi",
        "rows_read": 123_456_789_012,
        "key": "arn:aws:kms:us-east-1:123456789012:key/8476a536-e9f4-41e8-9739-2dfe598c3fcd",
        "trace": "1-5759e988-bd862e3fe1be46a994272793",
        "seconds": 1.234567,
    }
    logger.info("committed", extra=facts)
    line = json.loads(stream.getvalue())
    assert {name: line[name] for name in facts} == facts


def test_a_handler_that_is_added_later_is_filtered_too(filtered: None) -> None:
    stream = io.StringIO()
    logger = logging.getLogger("added-later")
    handler = logging.StreamHandler(stream)
    logger.addHandler(handler)
    try:
        logger.warning("read %s", PAN)
    finally:
        logger.removeHandler(handler)
    assert "read" in stream.getvalue()
    assert SCANNER.leaks_in(stream.getvalue().encode()) == []


@pytest.mark.parametrize("library", ["botocore.endpoint", "smart_open.s3", "urllib3", "boto3"])
def test_libraries_are_held_at_warnings(unfiltered: None, library: str) -> None:
    logging.getLogger(library).setLevel(logging.DEBUG)
    log_filter.install()
    assert logging.getLogger(library).getEffectiveLevel() >= logging.WARNING


@pytest.mark.parametrize("library", sorted(log_filter.LIBRARIES))
def test_libraries_do_not_follow_a_root_that_is_set_to_debug(
    unfiltered: None, library: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.root, "level", logging.DEBUG)
    logging.getLogger(library).setLevel(logging.NOTSET)
    log_filter.install()
    assert not logging.getLogger(f"{library}.some.child").isEnabledFor(logging.INFO)


def test_loggers_of_others_keep_their_level(unfiltered: None) -> None:
    logger = logging.getLogger("boto3ish.child")
    logger.setLevel(logging.DEBUG)
    log_filter.install()
    assert logger.level == logging.DEBUG


def test_hooks_that_somebody_else_has_put_in_stay(
    unfiltered: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def theirs(_uncaught: object) -> None:
        """Somebody else's."""

    monkeypatch.setattr(sys, "unraisablehook", theirs)
    monkeypatch.setattr(threading, "excepthook", theirs)
    log_filter.install()
    assert (sys.unraisablehook, threading.excepthook) == (theirs, theirs)


def test_a_warning_becomes_a_line_without_its_card_number(
    filtered: None, caplog: pytest.LogCaptureFixture
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(True)
        warnings.warn(f"odd cell {PAN}", stacklevel=1)
    assert SCANNER.leaks_in(caplog.text.encode()) == []


BESIDE_THE_LOGS = f"""
import logging, sys, threading, warnings
from pipeline.log_filter import install

class Broken:
    def write(self, text):
        raise OSError("{PAN}")

class Careless:
    def __del__(self):
        raise ValueError("{PAN}")

def crash():
    raise ValueError("{PAN}")

logging.basicConfig(level=logging.INFO)
install()
warnings.warn("odd cell {PAN}")
Careless()
thread = threading.Thread(target=crash)
thread.start()
thread.join()
logging.root.addHandler(logging.StreamHandler(Broken()))
logging.error("read %s", "{PAN}")
"""


def test_what_the_interpreter_prints_by_itself_holds_no_card_number() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "always", "-c", BESIDE_THE_LOGS], capture_output=True, check=True
    )
    said = done.stdout + done.stderr
    assert SCANNER.leaks_in(said) == []
    assert b"odd cell [" in said
    assert said.count(b"nobody could catch a ValueError") == 2
    assert b"Logging error" not in said


def test_a_line_is_searched_up_to_a_limit_and_withheld_beyond_it() -> None:
    longest = "x" * log_filter.MAX_LINE_CHARACTERS
    assert log_filter.redacted_line(longest) == longest
    assert log_filter.redacted_line(longest + "x") is None


@pytest.mark.parametrize(
    "text",
    [
        base64.b64encode(gzip.compress(b"cut off"))[:12].decode(),
        base64.b64encode(b"x" + gzip.compress(b"nothing in it")).decode(),
        "44857331-9026-4178-8000-000000000000",
    ],
    ids=["the beginning of an archive", "an archive in base64", "an id without a letter"],
)
def test_what_could_hold_a_card_number_is_not_vouched_for(text: str) -> None:
    assert not log_filter.is_clean(text)


def test_the_name_of_a_field_is_redacted_and_the_line_stays() -> None:
    line = log_filter.redacted_line(f'{{"{PAN}":1,"rows":2}}')
    assert line is not None
    assert list(json.loads(line).values()) == [1, 2]
    assert PAN not in line


def test_of_a_line_of_json_what_is_no_card_number_stays_as_it_is() -> None:
    document = {"message": f"read {PAN}", "cells": ["x", int(PAN), 7], "rows": 2, "more": None}
    line = log_filter.redacted_line(json.dumps(document))
    assert line is not None
    marker = guard.REDACTED
    assert json.loads(line) == document | {"message": f"read {marker}", "cells": ["x", marker, 7]}


@pytest.mark.parametrize("line", ['{"rows":  2, "place": "caf\u00e9"}', "read  2 rows"])
def test_a_line_without_a_card_number_stays_as_it_is(line: str) -> None:
    assert log_filter.redacted_line(line) == line


@pytest.mark.parametrize("line", [f"{{broken {PAN}", f"{{{PAN}", "{" * 10_000 + PAN])
def test_a_line_that_begins_like_json_and_is_none_is_withheld(line: str) -> None:
    assert log_filter.redacted_line(line) is None


def _formatted(formatter: logging.Formatter, name: str, message: str) -> str:
    """What a handler with that formatter writes of a message."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(formatter)
    handler.handle(logging.LogRecord(name, logging.INFO, "", 1, message, (), None))
    return stream.getvalue()


def test_what_is_withheld_leaves_a_line_in_the_handlers_own_format(filtered: None) -> None:
    too_long = "x" * log_filter.MAX_LINE_CHARACTERS
    line = _formatted(logging.Formatter("%(levelname)s|%(name)s|%(message)s"), "reader", too_long)
    assert line == f"INFO|reader|{log_filter.WITHHELD}\n"


def test_a_format_that_holds_a_card_number_itself_leaves_level_logger_and_reason(
    filtered: None,
) -> None:
    line = _formatted(logging.Formatter(f"{{{PAN} %(message)s"), "reader", "read")
    assert json.loads(line) == {
        "level": "INFO",
        "logger": "reader",
        "message": log_filter.WITHHELD,
    }


def test_a_handler_that_cannot_format_anything_writes_no_name_that_is_a_card_number(
    filtered: None,
) -> None:
    class Unable(logging.Formatter):
        def format(self, record: logging.LogRecord) -> str:
            raise ValueError(PAN)

    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(Unable())
    handler.handle(logging.LogRecord(PAN, logging.INFO, "", 1, "read", (), None))
    assert json.loads(stream.getvalue())["message"] == log_filter.UNFORMATTED
    assert PAN not in stream.getvalue()


@pytest.mark.parametrize("error", [ValueError, KeyError, PermanentError, TransientError])
def test_no_foreign_text_leaves_a_handler(unfiltered: None, error: type[Exception]) -> None:
    @contained
    def handler(_event: object, _context: object) -> None:
        raise error(f"cell {PAN}")

    with pytest.raises((PermanentError, TransientError)) as raised:
        handler({}, None)
    assert raised.value.__context__ is None
    assert raised.value.__cause__ is None
    assert SCANNER.leaks_in(repr(raised.value).encode()) == []
