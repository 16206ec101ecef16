"""Control totals: what a trailer record claims, against what the file held."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from decimal import Context, Decimal

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.core.layouts import Records
from pipeline.errors import PermanentError

_AMOUNT = pa.decimal128(38, 6)
_AMOUNT_PATTERN = r"^[+-]?[0-9]{1,26}(\.[0-9]{1,6})?$"
_CLAIM = re.compile(r"[+-]?[0-9]{1,40}(\.[0-9]{1,6})?")
_EXACT = Context(prec=60)


class ControlTotals:
    """Adds up the detail records of a file and holds its trailer against them."""

    def __init__(self, records: Records | None) -> None:
        self._rules = records.trailer_totals if records else None
        self._count = 0
        self._sum = Decimal(0)
        self._unreadable_amounts = 0
        self._trailer: Sequence[str] | None = None

    def so_far(self) -> Mapping[str, str] | None:
        """What they came to, for `go_on`; None behind the trailer, which is part of the file."""
        if self._rules is None:
            return {}
        if self._trailer is not None:
            return None
        return {
            "count": str(self._count),
            "sum": str(self._sum),
            "unreadable_amounts": str(self._unreadable_amounts),
        }

    def go_on(self, earlier: Mapping[str, str]) -> None:
        """Adds to what an earlier part of the file came to."""
        self._count = int(earlier.get("count", "0"))
        self._sum = Decimal(earlier.get("sum", "0"))
        self._unreadable_amounts = int(earlier.get("unreadable_amounts", "0"))

    def add(self, details: pa.Table, count: int) -> None:
        """Takes `count` detail records into account, of which `details` could be read."""
        if self._rules is None:
            return
        self._count += count
        self._unreadable_amounts += count - details.num_rows
        if self._rules.sum_column:
            self._add_amounts(details.column(self._rules.sum_column))

    def add_unreadable(self) -> None:
        """Takes a detail record into account that is not even to be split into fields."""
        self._count += 1
        self._unreadable_amounts += 1

    def _add_amounts(self, amounts: pa.ChunkedArray) -> None:
        amounts = pc.utf8_trim_whitespace(amounts)
        readable = amounts.filter(pc.match_substring_regex(amounts, _AMOUNT_PATTERN))
        self._unreadable_amounts += len(amounts) - len(readable)
        total = pc.sum(readable.cast(_AMOUNT)).as_py()
        self._sum = _EXACT.add(self._sum, total if total is not None else 0)

    def take_trailer(self, fields: Sequence[str]) -> None:
        """Remembers the trailer record."""
        self.forbid_after_trailer()
        self._trailer = fields

    def forbid_after_trailer(self) -> None:
        """Raises `records_after_trailer`: a file that goes on after its end is two files."""
        if self._trailer is not None and self._rules is not None:
            raise PermanentError("records_after_trailer", "records follow the trailer")

    def verify(self) -> bool:
        """Raises unless the trailer agrees; True when a trailer confirmed the number of rows."""
        if self._rules is None:
            return False
        if self._trailer is None:
            raise PermanentError("trailer_missing", "the file ends without its trailer record")
        if self._rules.count_field is not None:
            claimed = self._claimed(self._rules.count_field)
            if claimed != self._count:
                raise PermanentError(
                    "trailer_mismatch", f"the trailer's count is not the {self._count} records read"
                )
        if self._rules.sum_field is not None:
            self._verify_sum(self._claimed(self._rules.sum_field))
        return self._rules.count_field is not None

    def _verify_sum(self, claimed: Decimal) -> None:
        if self._unreadable_amounts:
            raise PermanentError(
                "trailer_mismatch",
                f"{self._unreadable_amounts} records hold no amount that could be added up",
            )
        if claimed != self._sum:
            raise PermanentError("trailer_mismatch", "the trailer's sum is not that of the records")

    def _claimed(self, field: int) -> Decimal:
        trailer = self._trailer or ()
        text = trailer[field - 1].strip() if field <= len(trailer) else ""
        if not _CLAIM.fullmatch(text):
            raise PermanentError(
                "trailer_mismatch", f"field {field} of the trailer is not a number"
            )
        return Decimal(text)
