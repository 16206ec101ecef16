"""From lines of delimited text to Arrow columns of text."""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from pipeline.core.formats import Delimited
from pipeline.errors import PermanentError
from pipeline.readers.framing import QuotedGrammar
from pipeline.readers.line_types import LINE_END


@dataclass(frozen=True, slots=True)
class Parsed:
    """The wanted columns (`string`) of those records that have a field for each name.

    `ordinals` (`int64`) say which of all records each row is, counted from 0, None if
    each is; `wrong` are the ordinals of the others.
    """

    table: pa.Table = field(repr=False)
    ordinals: pa.Array | None
    wrong: Sequence[int]

    @property
    def records(self) -> int:
        """How many there were."""
        return int(self.table.num_rows) + len(self.wrong)


def parse(
    text: bytes,
    names: Sequence[str],
    wanted: Sequence[str],
    dialect: Delimited,
    grammar: QuotedGrammar | None,
) -> Parsed:
    """Splits records into fields; those of another number of fields as the dialect says.

    `text` is valid UTF-8 whose quotes close, `grammar` the dialect's if it has quotes or escapes.
    Raises `PermanentError` `malformed_file`.
    """
    if dialect.has_plain_delimiter:
        table, ragged = _parse_plain(text, names, wanted, dialect)
    else:
        table, ragged = _parse_long_delimiter(text, names, wanted, dialect.delimiter)
    if not ragged:
        return Parsed(table, None, ())
    parsed = Parsed(table, _ordinals(table.num_rows, list(ragged)), list(ragged))
    if dialect.short_rows == dialect.long_rows == "reject":
        return parsed
    mended = _mended(ragged, len(names), dialect, grammar)
    return _with_mended(parsed, mended, names, wanted, dialect) if mended else parsed


def _with_mended(
    parsed: Parsed,
    mended: Mapping[int, bytes],
    names: Sequence[str],
    wanted: Sequence[str],
    dialect: Delimited,
) -> Parsed:
    again = parse(b"\n".join(mended.values()) + b"\n", names, wanted, _strict(dialect), None)
    if again.wrong or again.records != len(mended):
        return parsed
    ordinals = pa.concat_arrays([parsed.ordinals, pa.array(list(mended), pa.int64())])
    order = pc.sort_indices(ordinals)
    table = pa.concat_tables([parsed.table, again.table]).take(order)
    wrong = [at for at in parsed.wrong if at not in mended]
    return Parsed(table, ordinals.take(order), wrong)


def _strict(dialect: Delimited) -> Delimited:
    return dialect.model_copy(update={"short_rows": "reject", "long_rows": "reject"})


def _mended(
    ragged: Mapping[int, bytes], width: int, dialect: Delimited, grammar: QuotedGrammar | None
) -> dict[int, bytes]:
    """Records brought to their width, where the dialect allows it."""
    delimiter = dialect.delimiter.encode()
    mended: dict[int, bytes] = {}
    for ordinal, record in ragged.items():
        fields = grammar.fields(record) if grammar else record.split(delimiter)
        fitting = _fitted(fields, width, dialect) if fields else None
        if fitting and any(fitting):
            mended[ordinal] = delimiter.join(fitting)
    return mended


def _fitted(fields: list[bytes], width: int, dialect: Delimited) -> list[bytes] | None:
    surplus = fields[width:]
    if not surplus:
        missing = [b""] * (width - len(fields))
        return fields + missing if dialect.short_rows == "pad" else None
    quotes = dialect.quote.encode() + b" \t"
    is_empty = not any(each.strip(quotes) for each in surplus)
    can_be_cut = dialect.long_rows == "cut" or (dialect.long_rows == "cut_empty" and is_empty)
    return fields[:width] if can_be_cut else None


def _ordinals(rows: int, wrong: Sequence[int]) -> pa.Array:
    ordinals = pa.array(range(rows + len(wrong)), pa.int64())
    if not wrong:
        return ordinals
    return ordinals.filter(pc.invert(pc.is_in(ordinals, value_set=pa.array(wrong, pa.int64()))))


def _parse_plain(
    text: bytes, names: Sequence[str], wanted: Sequence[str], dialect: Delimited
) -> tuple[pa.Table, dict[int, bytes]]:
    ragged: dict[int, bytes] = {}
    places = {name: str(names.index(name)) for name in wanted}  # other names may occur twice
    if text.startswith(codecs.BOM_UTF8):
        text = b"\n" + text  # at the start the parser would take a mark away, here it is content

    def note(row: pyarrow.csv.InvalidRow) -> str:
        ragged[row.number - 1] = row.text.encode()
        return "skip"

    try:
        table = pyarrow.csv.read_csv(
            pa.BufferReader(text),
            pyarrow.csv.ReadOptions(
                use_threads=False,
                block_size=len(text) + 1,
                column_names=[str(at) for at in range(len(names))],
            ),
            pyarrow.csv.ParseOptions(
                delimiter=dialect.delimiter,
                quote_char=dialect.quote or False,
                double_quote=bool(dialect.quote),
                escape_char=dialect.escape or False,
                newlines_in_values=True,
                invalid_row_handler=note,
            ),
            pyarrow.csv.ConvertOptions(
                include_columns=list(places.values()),
                column_types=dict.fromkeys(places.values(), pa.string()),
                check_utf8=False,
                strings_can_be_null=False,
            ),
        )
    except pa.ArrowInvalid:
        raise PermanentError("malformed_file", "the delimited parser cannot go on") from None
    return table.rename_columns(list(wanted)), ragged


def _parse_long_delimiter(
    text: bytes, names: Sequence[str], wanted: Sequence[str], delimiter: str
) -> tuple[pa.Table, dict[int, bytes]]:
    lines = pa.array([line for line in LINE_END.split(text) if line], pa.binary())
    fields = pc.split_pattern(lines.cast(pa.string()), delimiter)
    fits = pc.equal(pc.list_value_length(fields), len(names))
    ragged = {at: lines[at].as_py() for at, fit in enumerate(fits.to_pylist()) if not fit}
    fitting = fields.filter(fits)
    columns = [pc.list_element(fitting, names.index(name)) for name in wanted]
    return pa.table(columns, names=list(wanted)), ragged


def split_fields(line: bytes, dialect: Delimited) -> list[str]:
    """The fields of one line.

    Raises `PermanentError` `malformed_record`.
    """
    text = line.decode("utf-8", "replace").rstrip("\r\n")
    if not dialect.quote or not dialect.has_plain_delimiter:
        return text.split(dialect.delimiter)
    try:
        rows = csv.reader(
            io.StringIO(text, newline=""),
            delimiter=dialect.delimiter,
            quotechar=dialect.quote,
            escapechar=dialect.escape or None,
        )
        return next(rows, [])
    except csv.Error:
        raise PermanentError("malformed_record", "a header or trailer cannot be split") from None
