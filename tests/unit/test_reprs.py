"""What holds a PAN or a key does not show it."""

from __future__ import annotations

import io
import re
import traceback
from collections.abc import Callable

import pyarrow as pa
import pytest

from pipeline.core.distinct import DistinctPans
from pipeline.core.fingerprints import Fingerprinter
from pipeline.core.gather import gather
from pipeline.core.guard import find_pans
from pipeline.core.guard_columns import find_in_column
from pipeline.core.known_pans import KnownPans
from pipeline.core.pans import normalise
from pipeline.core.rows import check_rows
from pipeline.errors import LayoutError, PermanentError, TransientError
from pipeline.handlers.api_models import (
    CardToTokenize,
    DetokenizedToken,
    DetokenizeRequest,
    DetokenizeResponse,
    TokenizeRequest,
)
from pipeline.model import DataKey, Pans, SealedPan, WrappedDataKey
from pipeline.opening import OpenedItem
from pipeline.readers.delimited import read_delimited
from pipeline.tokenize_api import Card
from tests.unit.reading import a_layout

PAN = "4111111111111111"
PLAINTEXT = b"K" * 32


def known_pans(pans: list[bytes]) -> KnownPans:
    return KnownPans(pa.array([pan.decode() for pan in pans], pa.string()))


def text_batch() -> object:
    content = f"pan,note\n{PAN},see {PAN}\n1\n{PAN}\n".encode()
    (batch,) = read_delimited(io.BytesIO(content), a_layout("pan", "note"))
    return batch


def checked_rows(pan: str = PAN) -> object:
    columns = {"pan": [pan, "x"], "note": [PAN, PAN]}
    return check_rows(pa.RecordBatch.from_pydict(columns), a_layout("pan", "note"))


def distinct() -> DistinctPans:
    pans = DistinctPans()
    pans.add(Fingerprinter(PLAINTEXT, 1).fingerprints([PAN.encode()], "scope"))
    return pans


HOLDERS: dict[str, Callable[[], object]] = {
    "pans": lambda: Pans([PAN.encode()]),
    "data key": lambda: DataKey("dk_1", PLAINTEXT),
    "fingerprinter": lambda: Fingerprinter(PLAINTEXT, 1),
    "sealed pan": lambda: SealedPan("tok_x", b"c", "dk_1", "now", {"last4": "1111"}),
    "wrapped data key": lambda: WrappedDataKey("dk_1", b"w", "arn", "vault", {}, "now"),
    "text record batch": text_batch,
    "checked rows": checked_rows,
    "gathered pans": lambda: gather(checked_rows(), [PAN.encode()], one_time=False),  # type: ignore[arg-type]
    "hits": lambda: find_pans(f"see {PAN}"),
    "column scan": lambda: find_in_column(pa.array([f"see {PAN}"])),
    "known pans": lambda: known_pans([PAN.encode()]),
    "normalised pans": lambda: normalise(pa.array([PAN, "x", f" {PAN}"])),
    "distinct pans": distinct,
    "card of a caller": lambda: Card(PAN, PAN),
    "opened item": lambda: OpenedItem("tok_x", PAN),
    "request to tokenize": lambda: TokenizeRequest(items=[CardToTokenize(pan=PAN)]),
    "request to detokenize": lambda: DetokenizeRequest(purpose="x", tokens=[PAN]),
    "response of detokenizing": lambda: DetokenizeResponse(
        results=[DetokenizedToken(token="tok_x", pan=PAN)]
    ),
}


@pytest.mark.parametrize("holder", HOLDERS)
def test_it_is_not_shown(holder: str) -> None:
    value = HOLDERS[holder]()
    for shown in (repr(value), str(value), f"{value}", f"{value!r:.10000}", repr([value])):
        assert not re.search(r"\d{7}", re.sub(r"0x[0-9a-f]+", "", shown))
        assert "KKKK" not in shown


@pytest.mark.parametrize("holder", HOLDERS)
def test_it_is_not_shown_by_a_comparison_that_fails(holder: str) -> None:
    try:
        assert HOLDERS[holder]() == object()
    except AssertionError as error:
        shown = "".join(traceback.format_exception(error))
        assert PAN not in shown
        assert "KKKK" not in shown


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (PermanentError("no_rows"), "no_rows"),
        (PermanentError("no_rows", "the file is empty"), "no_rows: the file is empty"),
        (TransientError("throttled", "dynamodb"), "throttled: dynamodb"),
        (LayoutError(("a: x", "b: y")), "invalid_layout: a: x; b: y"),
    ],
)
def test_an_error_is_its_code_and_its_detail(error: Exception, text: str) -> None:
    assert str(error) == text
