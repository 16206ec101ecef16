"""The card-present day in structured formats: JSON, Parquet, ORC, Avro, XLSX.

Nothing is compressed, so that the bytes do not depend on a version of a compression library.
"""

import io
import json
import struct
import zipfile
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from typing import Any, BinaryIO
from xml.sax.saxutils import escape

from pipeline.samples.merchants import all_terminals
from pipeline.samples.settlement import write_settlement_csv
from pipeline.samples.transactions import (
    NOTES,
    TRADING_DAY,
    amounts_cents,
    approvals,
    decimal_text,
    reference_prefixes,
    settlement_dates,
    transaction_blocks,
)

STRUCTURED_COLUMNS = (
    "transaction_id",
    "transaction_time",
    "merchant_id",
    "merchant_name",
    "mcc",
    "terminal_id",
    "card_number",
    "entry_mode",
    "amount",
    "currency",
    "settlement_date",
    "reference",
    "note",
)
_CARD_DIGITS = 16  # of the cards in files that hold them as numbers
_FIRST_MOMENT = (1980, 1, 1, 0, 0, 0)  # the earliest that a zip archive can state
_SYNC_MARKER = b"pantok's samples"
_STORED_BLOCK_BYTES = 0xFFFF


def _rows(rows: int, cards: int, seed: int) -> Iterator[dict[str, Any]]:
    """The transactions as typed values."""
    terminals, amounts, approved = all_terminals(), amounts_cents(seed), approvals(seed)
    days, hours = settlement_dates(), reference_prefixes()
    midnight = datetime.combine(TRADING_DAY, time(), UTC)
    for block in transaction_blocks(rows, cards, seed):
        for number, pan, second, terminal, approval, amount, note in zip(*block, strict=True):
            shop = terminals[terminal]
            yield {
                "transaction_id": f"TX{number:010d}",
                "transaction_time": midnight + timedelta(seconds=second),
                "merchant_id": shop.merchant_id,
                "merchant_name": shop.merchant_name,
                "mcc": shop.mcc,
                "terminal_id": shop.terminal_id,
                "card_number": pan,
                "entry_mode": approved[approval][0],
                "amount": Decimal(amounts[amount]) / 100,
                "currency": shop.currency,
                "settlement_date": days[second // 3600],
                "reference": f"{hours[second // 3600]}{number % 1_000_000:06d}",
                "note": NOTES[note] or None,
            }


def _json_object(row: dict[str, Any]) -> str:
    """A transaction as a payment interface sends it: nested, the amount a number."""
    amount = decimal_text(int(row["amount"] * 100))
    document = {
        "transaction_id": row["transaction_id"],
        "transaction_time": row["transaction_time"].isoformat().replace("+00:00", "Z"),
        "merchant": {
            "id": row["merchant_id"],
            "name": row["merchant_name"],
            "mcc": row["mcc"],
            "terminal_id": row["terminal_id"],
        },
        "payment": {
            "card": {"number": row["card_number"], "entry_mode": row["entry_mode"]},
            "amount": "<amount>",
            "currency": row["currency"],
        },
        "settlement_date": row["settlement_date"].isoformat(),
        "reference": row["reference"],
    }
    if row["note"] is not None:
        document["note"] = row["note"]
    return json.dumps(document, ensure_ascii=False).replace('"<amount>"', amount)


def write_json_lines(stream: BinaryIO, rows: int, cards: int, seed: int) -> None:
    """Write an object on each line (layout `card-present-jsonl`)."""
    for row in _rows(rows, cards, seed):
        stream.write(_json_object(row).encode() + b"\n")


def write_json_document(stream: BinaryIO, rows: int, cards: int, seed: int) -> None:
    """Write a document with an array of objects in it (layout `card-present-json`)."""
    objects = ",\n    ".join(_json_object(row) for row in _rows(rows, cards, seed))
    head = f'{{\n  "business_day": "{TRADING_DAY}",\n  "transactions": [\n    '
    stream.write(f'{head}{objects}\n  ],\n  "count": {rows}\n}}\n'.encode())


def _arrow_table(rows: list[dict[str, Any]], card: Any) -> Any:
    import pyarrow as pa  # noqa: PLC0415  only who writes these files needs it

    kinds = dict.fromkeys(STRUCTURED_COLUMNS, pa.string())
    kinds |= {
        "transaction_time": pa.timestamp("us", "UTC"),
        "card_number": card,
        "amount": pa.decimal128(12, 2),
        "settlement_date": pa.date32(),
    }
    return pa.Table.from_pylist(rows, pa.schema(kinds))


def write_parquet(
    stream: BinaryIO, rows: int, cards: int, seed: int, *, rows_a_group: int = 100
) -> None:
    """Write typed columns, card numbers as text (layout `card-present-parquet`)."""
    import pyarrow as pa  # noqa: PLC0415
    import pyarrow.parquet as pq  # noqa: PLC0415

    table = _arrow_table(list(_rows(rows, cards, seed)), pa.string())
    pq.write_table(
        table, stream, compression="none", row_group_size=rows_a_group, store_schema=False
    )


def write_orc(stream: BinaryIO, rows: int, cards: int, seed: int) -> None:
    """Write typed columns, card numbers of 16 digits as integers (layout `card-present-orc`)."""
    import pyarrow as pa  # noqa: PLC0415
    import pyarrow.orc  # noqa: PLC0415

    chosen = [
        row | {"card_number": int(row["card_number"])}
        for row in _rows(rows, cards, seed)
        if len(row["card_number"]) == _CARD_DIGITS
    ]
    pyarrow.orc.write_table(_arrow_table(chosen, pa.int64()), stream, compression="uncompressed")


def write_avro(stream: BinaryIO, rows: int, cards: int, seed: int) -> None:
    """Write nested records with logical types (layout `card-present-avro`)."""
    import fastavro  # noqa: PLC0415

    nested = [
        {
            **{name: row[name] for name in ("transaction_id", "transaction_time")},
            "merchant": {name: row[f"merchant_{name}"] for name in ("id", "name")},
            "card": {"number": row["card_number"], "entry_mode": row["entry_mode"]},
            **{name: row[name] for name in ("amount", "currency", "settlement_date", "note")},
        }
        for row in _rows(rows, cards, seed)
    ]
    fastavro.writer(stream, _AVRO_SCHEMA, nested, codec="null", sync_marker=_SYNC_MARKER)


def _record(name: str, *fields: tuple[str, Any]) -> dict[str, Any]:
    named = [{"name": field, "type": kind} for field, kind in fields]
    return {"type": "record", "name": name, "fields": named}


_AVRO_SCHEMA = _record(
    "transaction",
    ("transaction_id", "string"),
    ("transaction_time", {"type": "long", "logicalType": "timestamp-micros"}),
    ("merchant", _record("merchant", ("id", "string"), ("name", "string"))),
    ("card", _record("card", ("number", "string"), ("entry_mode", "string"))),
    ("amount", {"type": "bytes", "logicalType": "decimal", "precision": 12, "scale": 2}),
    ("currency", "string"),
    ("settlement_date", {"type": "int", "logicalType": "date"}),
    ("note", ["null", "string"]),
)


def write_workbook(stream: BinaryIO, rows: int, cards: int, seed: int) -> None:
    """Write a workbook as a back office sends it, a title above (layout `card-present-xlsx`).

    Card numbers are text cells, amounts numbers, days dates.
    """
    lines = [_sheet_row(1, [_text(f"Card payments of {TRADING_DAY}")])]
    lines.append(_sheet_row(3, [_text(name) for name in STRUCTURED_COLUMNS]))
    for at, row in enumerate(_rows(rows, cards, seed), start=4):
        lines.append(_sheet_row(at, [_cell(row[name]) for name in STRUCTURED_COLUMNS]))
    sheet = f'<worksheet xmlns="{_MAIN}"><sheetData>{"".join(lines)}</sheetData></worksheet>'
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:
        for name, content in {**_WORKBOOK_PARTS, "xl/worksheets/sheet1.xml": sheet}.items():
            archive.writestr(zipfile.ZipInfo(name, _FIRST_MOMENT), _XML + content)


def _sheet_row(number: int, cells: list[str]) -> str:
    placed = [
        cell.replace("<c", f'<c r="{chr(65 + at)}{number}"', 1)
        for at, cell in enumerate(cells)
        if cell
    ]
    return f'<row r="{number}">{"".join(placed)}</row>'


def _text(value: str) -> str:
    return f'<c t="inlineStr"><is><t>{escape(value)}</t></is></c>'


def _cell(value: Any) -> str:
    match value:
        case None:
            return ""
        case Decimal():
            return f"<c><v>{value}</v></c>"
        case datetime():
            days = (value - datetime(1899, 12, 30, tzinfo=UTC)) / timedelta(days=1)
            return f'<c s="2"><v>{days!r}</v></c>'
        case str():
            return _text(value)
        case _:
            days = (value - datetime(1899, 12, 30, tzinfo=UTC).date()).days
            return f'<c s="1"><v>{days}</v></c>'


_XML = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
_MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006"
_TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml"
_WORKBOOK_PARTS = {
    "[Content_Types].xml": (
        f'<Types xmlns="{_PACKAGE}/content-types">'
        '<Default Extension="rels" '
        'ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        f'<Override PartName="/xl/workbook.xml" ContentType="{_TYPE}.sheet.main+xml"/>'
        f'<Override PartName="/xl/styles.xml" ContentType="{_TYPE}.styles+xml"/>'
        f'<Override PartName="/xl/worksheets/sheet1.xml" ContentType="{_TYPE}.worksheet+xml"/>'
        "</Types>"
    ),
    "_rels/.rels": (
        f'<Relationships xmlns="{_PACKAGE}/relationships"><Relationship Id="rId1" '
        f'Type="{_OFFICE}/officeDocument" Target="xl/workbook.xml"/></Relationships>'
    ),
    "xl/workbook.xml": (
        f'<workbook xmlns="{_MAIN}" xmlns:r="{_OFFICE}"><sheets>'
        '<sheet name="Payments" sheetId="1" r:id="rId1"/></sheets></workbook>'
    ),
    "xl/_rels/workbook.xml.rels": (
        f'<Relationships xmlns="{_PACKAGE}/relationships">'
        f'<Relationship Id="rId1" Type="{_OFFICE}/worksheet" Target="worksheets/sheet1.xml"/>'
        f'<Relationship Id="rId2" Type="{_OFFICE}/styles" Target="styles.xml"/></Relationships>'
    ),
    "xl/styles.xml": (
        f'<styleSheet xmlns="{_MAIN}"><fonts count="1"><font/></fonts>'
        '<fills count="1"><fill><patternFill patternType="none"/></fill></fills>'
        '<borders count="1"><border/></borders>'
        '<cellStyleXfs count="1"><xf/></cellStyleXfs><cellXfs count="3"><xf/>'
        '<xf numFmtId="14" applyNumberFormat="1"/><xf numFmtId="22" applyNumberFormat="1"/>'
        '</cellXfs><cellStyles count="1">'
        '<cellStyle name="Normal" xfId="0" builtinId="0"/></cellStyles></styleSheet>'
    ),
}


def write_zip_of_parts(stream: BinaryIO, rows: int, cards: int, seed: int) -> None:
    """Write a zip archive of two settlement files, each with its header (layout `card-present`)."""
    whole = io.BytesIO()
    write_settlement_csv(whole, rows, cards, seed)
    header, *lines = whole.getvalue().splitlines(keepends=True)
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:
        for name, part in (
            ("morning.csv", lines[: rows // 2]),
            ("evening.csv", lines[rows // 2 :]),
        ):
            archive.writestr(zipfile.ZipInfo(name, _FIRST_MOMENT), b"".join([header, *part]))


def write_gzip(stream: BinaryIO, rows: int, cards: int, seed: int) -> None:
    """Write a gzip file of settlement rows, stored and not packed (RFC 1952, RFC 1951 3.2.4)."""
    whole = io.BytesIO()
    write_settlement_csv(whole, rows, cards, seed)
    content = whole.getvalue()
    stream.write(b"\x1f\x8b\x08\x00" + bytes(4) + b"\x00\xff")
    for at in range(0, len(content), _STORED_BLOCK_BYTES):
        piece = content[at : at + _STORED_BLOCK_BYTES]
        is_last = at + _STORED_BLOCK_BYTES >= len(content)
        stream.write(struct.pack("<BHH", is_last, len(piece), len(piece) ^ 0xFFFF) + piece)
    stream.write(struct.pack("<II", zlib.crc32(content), len(content)))
