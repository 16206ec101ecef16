"""Numbers as people and ledgers write them, made into plain ones: `1.234,50-` is -1234.50."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import pyarrow as pa
import pyarrow.compute as pc

_GROUP_MARKS = {
    "": "",
    ".": r"\.",
    ",": ",",
    "'": "['\u2019]",
    " ": "[ \u00a0\u2009\u202f]",
}


@dataclass(frozen=True)
class NumberMarks:
    """What stands before the decimals, and between the thousands; nothing if it is empty."""

    decimal: str = "."
    group: str = ""

    @cached_property
    def _pattern(self) -> str:
        """RE2: the sign before, whole digits, decimals, the sign behind."""
        group = _GROUP_MARKS[self.group]
        whole = rf"[0-9]{{1,3}}(?:{group}[0-9]{{3}})+|[0-9]+" if group else "[0-9]+"
        decimals = rf"(?:{_GROUP_MARKS[self.decimal]}(?P<decimals>[0-9]+))?"
        return rf"^\s*(?P<before>[+-]?)(?P<whole>{whole}){decimals}(?P<behind>-?)\s*$"

    def plain(self, cells: pa.Array) -> pa.Array:
        """The cells (`string`) with a point and a sign before; what is no such number stays.

        A number whose marks stand elsewhere becomes `?`, which is none: `1.234` must not be read
        as a little more than one where the point parts thousands, nor the other way round.
        """
        if self == PLAIN and not pc.any(pc.ends_with(cells, "-")).as_py():
            return cells
        parts = pc.extract_regex(cells, self._pattern)
        found = pc.match_substring_regex(cells, self._pattern)
        before, whole, decimals, behind = (
            pc.struct_field(parts, at) for at in ("before", "whole", "decimals", "behind")
        )
        if self.group:
            whole = pc.replace_substring_regex(whole, _GROUP_MARKS[self.group], "")
        point = pc.if_else(pc.equal(decimals, ""), "", ".")
        written = pc.binary_join_element_wise(before, behind, whole, point, decimals, "")
        return pc.if_else(found, written, pc.if_else(pc.is_valid(cells), "?", cells))


PLAIN = NumberMarks()
