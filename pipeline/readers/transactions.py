"""The transactions of a Visa clearing file, put together from their component records."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.core.clearing_formats import (
    CTF_ACCOUNT,
    CTF_ACCOUNT_DIGITS,
    CTF_COMPONENTS,
    CTF_CONTROL,
    CTF_EXTENSION_DIGITS,
    CTF_RECORD_BYTES,
    Ctf,
)
from pipeline.readers.cells import Cells, bytes_of, fixed_size
from pipeline.readers.fixed_framing import RecordBlock
from pipeline.readers.rendering import rendered

COMPONENT = 4  # the position of its number in a component record
_NO_EXTENSION = ("", "0" * CTF_EXTENSION_DIGITS)


class TransactionBlock:
    """Consecutive transactions: a component record 0 and those that follow it, each."""

    def __init__(self, block: RecordBlock, settings: Ctf) -> None:
        self._settings = settings
        self._codec = block.codec
        self._lengths = block.lengths
        blank = block.codec.blank * CTF_RECORD_BYTES
        self._with_blank = fixed_size(bytes_of(block.records) + blank, CTF_RECORD_BYTES)
        self._records = block.records
        self._components = self._text(COMPONENT, COMPONENT)
        is_first = pc.equal(self._components, CTF_COMPONENTS[0])
        leads = pc.or_(is_first, pa.array([True] + [False] * (len(block) - 1)))
        self._first = pc.indices_nonzero(leads).cast(pa.int64())
        self._group = pc.subtract(pc.cumulative_sum(leads.cast(pa.int64())), 1)
        self._record_codes = self._text(1, 2)
        self.codes: list[str] = self._record_codes.take(self._first).to_pylist()

    def _text(self, start: int, end: int) -> pa.Array:
        return self._codec.text(self._codec.column(self._records, start, end)).text

    @cached_property
    def rows(self) -> list[int]:
        """The transactions, by index, without headers, trailers and what is to be skipped."""
        left_out = {*CTF_CONTROL, *self._settings.skip}
        return [at for at, code in enumerate(self.codes) if code not in left_out]

    @cached_property
    def faults(self) -> Mapping[int, str]:
        """Why a transaction (by index) cannot be a row."""
        known = self._settings.account_starts
        faults = {
            at: "unknown_record_type" for at, code in enumerate(self.codes) if code not in known
        }
        own_code = pc.equal(
            self._record_codes, self._record_codes.take(self._first.take(self._group))
        )
        is_known = pc.is_in(self._components, value_set=pa.array(list(CTF_COMPONENTS)))
        strangers = self._group.filter(pc.invert(pc.and_(own_code, is_known)))
        faults |= dict.fromkeys(strangers.to_pylist(), "orphan_component")
        if self._components[0].as_py() != CTF_COMPONENTS[0]:
            faults[0] = "orphan_component"
        faults |= dict.fromkeys(self._repeating, "repeated_component")
        for at, length in enumerate(self._lengths or ()):
            if self._is_wrong(length):
                faults[self._group[at].as_py()] = "wrong_record_length"
        return faults

    def _is_wrong(self, length: int) -> bool:
        if self._settings.short_lines == "pad":
            return length > self._settings.record_bytes
        return length != self._settings.record_bytes

    @cached_property
    def _repeating(self) -> list[int]:
        """The transactions that have a component more than once."""
        places = pa.table({"group": self._group, "component": self._components})
        counts = places.group_by(["group", "component"]).aggregate([([], "count_all")])
        repeated: list[int] = counts.filter(pc.greater(counts["count_all"], 1))["group"].to_pylist()
        return repeated

    @cached_property
    def _present(self) -> set[str]:
        """The components that occur at all."""
        return set(self._components.unique().to_pylist())

    @cached_property
    def _places(self) -> dict[str, pa.Array]:
        """By component, where each transaction has it; the blank record where it has not."""
        return {}

    def _of(self, component: str) -> pa.FixedSizeBinaryArray:
        """That component record of each transaction, a blank one where there is none."""
        if component not in self._places:
            at = pc.indices_nonzero(pc.equal(self._components, component)).cast(pa.int64())
            every = pa.array(range(len(self._first)), pa.int64())
            own = at.take(pc.index_in(every, value_set=self._group.take(at)))
            self._places[component] = pc.fill_null(own, len(self._records))
        return self._with_blank.take(self._places[component])

    def cells(self, name: str) -> Cells:
        """A column, one cell for each transaction."""
        if name == CTF_ACCOUNT:
            return self._accounts()
        field = self._settings.all_fields.get(name)
        component = field.tcr if field is not None else name.removeprefix("tcr")
        if component not in self._present:
            return Cells(pa.array([""] * len(self.codes), pa.string()))
        if field is not None:
            return self._codec.read(self._of(component), field)
        return self._codec.text(self._of(component))

    def reason(self, name: str) -> str:
        """How a cell of the column is called that cannot be read."""
        field = self._settings.all_fields.get(name)
        return "invalid_zoned" if field and field.type == "zoned" else "invalid_encoding"

    def _accounts(self) -> Cells:
        """Account numbers with their extensions, if they have one; filling zeros taken away."""
        records = self._of(CTF_COMPONENTS[0])
        codes = pa.array(self.codes, pa.string())
        accounts = pa.array([""] * len(codes), pa.string())
        by_start: dict[int, list[str]] = {}
        for code, start in self._settings.account_starts.items():
            by_start.setdefault(start, []).append(code)
        for start, group in by_start.items():
            is_here = pc.is_in(codes, value_set=pa.array(group, pa.string()))
            if pc.any(is_here).as_py():
                accounts = pc.if_else(is_here, self._accounts_at(records, start), accounts)
        return Cells(accounts)

    def _accounts_at(self, records: pa.FixedSizeBinaryArray, start: int) -> pa.Array:
        end = start + CTF_ACCOUNT_DIGITS
        number = self._codec.text(self._codec.column(records, start, end - 1)).text
        extension = self._codec.text(
            self._codec.column(records, end, end + CTF_EXTENSION_DIGITS - 1)
        ).text
        has_none = pc.is_in(extension, value_set=pa.array(_NO_EXTENSION, pa.string()))
        extended = pc.binary_join_element_wise(number, extension, "")
        return pc.if_else(has_none, pc.ascii_ltrim(number, "0"), extended)

    def rendered(self, at: int) -> bytes:
        """All columns of one transaction."""
        start = self._first[at].as_py()
        end = self._first[at + 1].as_py() if at + 1 < len(self._first) else len(self._records)
        records = self._records.slice(start, end - start)
        alone = TransactionBlock(RecordBlock(records, self._codec, 0), self._settings)
        return rendered((name, alone._whole(name)) for name in self._settings.columns)

    def _whole(self, name: str) -> str:
        """The cell of the first transaction; of a repeated component, every record."""
        if name.startswith("tcr") and name not in self._settings.all_fields:
            is_it = pc.equal(self._components, name.removeprefix("tcr"))
            return "\n".join(self._codec.text(self._records.filter(is_it)).text.to_pylist())
        cell: str = self.cells(name).text[0].as_py()
        return cell
