"""Text cells become typed cells, or are said not to be of that type."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.core.columns import Column
from pipeline.core.scrub import arrow_type, cast_column, last4

WRONG = "not of that type"


def keep(type_: str, format_: str = "") -> Column:
    settings = {"format": format_} if format_ else {}
    return Column.model_validate({"role": "keep", "type": type_, **settings})


def cast(cells: list[str], type_: str, format_: str = "", nulls: tuple[str, ...] = ("",)) -> Any:
    """The values, with `WRONG` where a cell is not of the type and None where it is missing."""
    column = keep(type_, format_)
    typed, wrong = cast_column(pa.array(cells, pa.string()), column, nulls)
    assert typed.type == arrow_type(column.type)
    assert wrong.type == pa.bool_()
    assert len(typed) == len(wrong) == len(cells)
    assert wrong.null_count == 0
    typed.validate(full=True)
    values = typed.to_pylist()
    for value, is_wrong in zip(values, wrong.to_pylist(), strict=True):
        assert value is None or not is_wrong
    return [
        WRONG if is_wrong else value
        for value, is_wrong in zip(values, wrong.to_pylist(), strict=True)
    ]


INTEGERS = {
    "0": 0,
    "1": 1,
    "-1": -1,
    "+1": 1,
    " 7 ": 7,
    "007": 7,
    "0" * 40 + "7": 7,
    "-0": 0,
    "9" * 18: 10**18 - 1,
    "-" + "9" * 18: 1 - 10**18,
    "1" + "0" * 18: WRONG,
    "9223372036854775808": WRONG,
    "99999999999999999999999999": WRONG,
    "1.0": WRONG,
    "1.": WRONG,
    "1,000": WRONG,
    "1_000": WRONG,
    "1e3": WRONG,
    "0x10": WRONG,
    "--1": WRONG,
    "+": WRONG,
    "+-1": WRONG,
    "1 2": WRONG,
    "1-": -1,
    " ": WRONG,
    "NaN": WRONG,
    "\N{ARABIC-INDIC DIGIT TWO}": WRONG,
    "\N{FULLWIDTH DIGIT TWO}": WRONG,
    "1\n2": WRONG,
    "1\x00": WRONG,
    "": None,
}
DECIMALS = {
    "0": "0.00",
    "1": "1.00",
    "1.5": "1.50",
    "1.50": "1.50",
    "-1.55": "-1.55",
    "+1.55": "1.55",
    " 1.5 ": "1.50",
    "0001.5": "1.50",
    "1.5000": "1.50",
    "-0.00": "0.00",
    "99999.99": "99999.99",
    "-99999.99": "-99999.99",
    "0" * 60 + "1.5": "1.50",
    "100000": WRONG,
    "100000.00": WRONG,
    "99999.995": WRONG,
    "1.005": WRONG,
    "1.5001": WRONG,
    "1E2": WRONG,
    "1.5e0": WRONG,
    "1E+02": WRONG,
    "1,50": WRONG,
    "1.000,50": WRONG,
    "1,000.50": WRONG,
    ".5": WRONG,
    "5.": WRONG,
    ".": WRONG,
    "-": WRONG,
    "1.5-": Decimal("-1.5"),
    "(1.50)": WRONG,
    "$1.50": WRONG,
    "NaN": WRONG,
    "Infinity": WRONG,
    " ": WRONG,
    "": None,
}
DATES = {
    "2024-02-29": date(2024, 2, 29),
    " 2024-02-29 ": date(2024, 2, 29),
    "1900-02-28": date(1900, 2, 28),
    "0001-01-01": date(1, 1, 1),
    "9999-12-31": date(9999, 12, 31),
    "2023-02-29": WRONG,
    "1900-02-29": WRONG,
    "2024-02-30": WRONG,
    "2024-02-31": WRONG,
    "2024-04-31": WRONG,
    "2024-13-01": WRONG,
    "2024-00-10": WRONG,
    "2024-01-00": WRONG,
    "2024-01-32": WRONG,
    "0000-00-00": WRONG,
    "0000-01-05": WRONG,
    "10000-01-05": WRONG,
    "24-01-05": WRONG,
    "2024-1-5": WRONG,
    "2024/01/05": WRONG,
    "20240105": WRONG,
    "2024-01-05T00:00:00": WRONG,
    "2024-01-05\x00": WRONG,
    "05.01.2024": WRONG,
    "": None,
}
NOON = datetime(2024, 2, 29, 12, 0, tzinfo=UTC)
TIMESTAMPS = {
    "2024-02-29T12:00:00Z": NOON,
    "2024-02-29T12:00:00": NOON,
    "2024-02-29 12:00:00": NOON,
    "2024-02-29 12:00": NOON,
    "2024-02-29T12:00Z": NOON,
    " 2024-02-29T12:00Z ": NOON,
    "2024-02-29T13:30:00+01:30": NOON,
    "2024-02-29T13:30:00+0130": NOON,
    "2024-02-29T00:00:00-12:00": NOON,
    "2024-03-01T02:00:00+14:00": NOON,
    "2024-02-29T12:00:00.5": NOON + timedelta(milliseconds=500),
    "2024-02-29T12:00:00.000001Z": NOON + timedelta(microseconds=1),
    "2024-02-29T12:00:00.0000001Z": WRONG,
    "2024-02-29T12:00:00+01": WRONG,
    "2024-02-29T12:00:00+99:99": WRONG,
    "2024-02-29T24:00:00": WRONG,
    "2024-02-29T12:60:00": WRONG,
    "2024-02-29T12:00:60": WRONG,
    "2023-02-29T12:00:00": WRONG,
    "2024-04-31T12:00:00+02:00": WRONG,
    "2024-02-29t12:00:00z": WRONG,
    "2024-02-29": WRONG,
    "0000-01-05T00:00:00": WRONG,
    "9999-12-31T23:59:59-01:00": WRONG,
    "0001-01-01T00:00:00+01:00": WRONG,
    "1709208000": WRONG,
    "": None,
}
BOOLEANS = {
    **dict.fromkeys(["true", "TRUE", "t", "Yes", "y", "1", " true "], True),
    **dict.fromkeys(["false", "False", "F", "no", "N", "0"], False),
    **dict.fromkeys(["2", "on", "off", "-1", "truee", " ", "\N{FULLWIDTH DIGIT ONE}"], WRONG),
    "": None,
}
ALL_CELLS = {
    "integer": INTEGERS,
    "decimal(7,2)": {
        cell: value if value in (WRONG, None) else Decimal(value)
        for cell, value in DECIMALS.items()
    },
    "date": DATES,
    "timestamp": TIMESTAMPS,
    "boolean": BOOLEANS,
}
CASES = [
    (type_, cell, value) for type_, cells in ALL_CELLS.items() for cell, value in cells.items()
]


@pytest.mark.parametrize(("type_", "cell", "value"), CASES)
def test_a_cell_is_this_value(type_: str, cell: str, value: object) -> None:
    assert cast([cell], type_) == [value]


@pytest.mark.parametrize("type_", ALL_CELLS)
def test_cells_do_not_touch_their_neighbours(type_: str) -> None:
    cells = ALL_CELLS[type_]
    assert cast(list(cells), type_) == list(cells.values())
    assert cast(list(reversed(cells)), type_) == list(reversed(cells.values()))


def test_text_stays_as_it_is() -> None:
    cells = [" a ", "1E5", "\x00", "ü€😀", "null"]
    assert cast(cells, "string") == cells


def test_null_values_are_the_layouts_and_no_others() -> None:
    cells = ["", "NULL", "null", " NULL", "1"]
    assert cast(cells, "integer", nulls=("NULL",)) == [WRONG, None, WRONG, WRONG, 1]
    assert cast(cells, "string", nulls=("NULL", "")) == [None, None, "null", " NULL", "1"]
    assert cast(cells, "string", nulls=()) == cells


@pytest.mark.parametrize("type_", [*ALL_CELLS, "string"])
def test_a_column_without_cells_or_of_missing_ones_is_a_column(type_: str) -> None:
    assert cast([], type_) == []
    assert cast([""], type_) == [None]
    assert cast(["", ""], type_) == [None, None]


@pytest.mark.parametrize(
    ("type_", "cell", "value"),
    [
        ("decimal(38,0)", "9" * 38, "9" * 38),
        ("decimal(38,0)", "9" * 39, WRONG),
        ("decimal(38,38)", "0." + "9" * 38, "0." + "9" * 38),
        ("decimal(38,38)", "1", WRONG),
        ("decimal(38,38)", "0.0", "0"),
        ("decimal(38,10)", "9" * 28 + "." + "9" * 10, "9" * 28 + "." + "9" * 10),
        ("decimal(38,10)", "9" * 29, WRONG),
        ("decimal(2,2)", "0.99", "0.99"),
        ("decimal(2,2)", "1.00", WRONG),
        ("decimal(1,0)", "9", "9"),
        ("decimal(1,0)", "10", WRONG),
        ("decimal(5,0)", "5.", "5"),
        ("decimal(5,0)", "5.000", "5"),
        ("decimal(5,0)", "5.001", WRONG),
    ],
)
def test_precision_and_scale_are_kept_to_the_digit(type_: str, cell: str, value: str) -> None:
    assert cast([cell], type_) == [WRONG if value == WRONG else Decimal(value)]


@pytest.mark.parametrize("type_", ["decimal(12,2)", "decimal(38,0)", "decimal(38,10)"])
@pytest.mark.parametrize("zeros", [24, 25, 26, 37, 38, 39, 45, 60, 61, 77, 100])
def test_a_decimal_of_too_many_zeros_is_refused_and_never_another_number(
    type_: str, zeros: int
) -> None:
    for cell in ("1." + "0" * zeros, "1.5" + "0" * zeros, "0" * zeros + "1.5", "0" * zeros):
        (value,) = cast([cell], type_)
        assert value == WRONG or value == Decimal(cell)


@settings(max_examples=100)
@given(
    precision=st.integers(1, 38),
    data=st.data(),
    cell=st.from_regex(r"[+-]?[0-9]{0,30}(\.[0-9]{0,20})?", fullmatch=True),
)
def test_a_decimal_is_exact_or_refused(precision: int, data: st.DataObject, cell: str) -> None:
    scale = data.draw(st.integers(0, precision))
    (value,) = cast([cell], f"decimal({precision},{scale})")
    if value is None:
        assert cell == ""
    elif value != WRONG:
        assert value == Decimal(cell)
        assert len(value.as_tuple().digits) <= max(precision, scale + 1)


DATE_FORMATS = {
    "%d/%m/%Y": {
        "29/02/2024": date(2024, 2, 29),
        "1/2/2024": date(2024, 2, 1),
        "29/02/2023": WRONG,
        "31/04/2024": WRONG,
        "30/02/2024": WRONG,
        "04/05/24": WRONG,
        "25/12/24": WRONG,
        "12/31/2024": WRONG,
        "2024-02-29": WRONG,
        "29/02/2024x": WRONG,
        "29/02/2024\x00": WRONG,
        "29/ 2/2024": WRONG,
    },
    "%Y%m%d": {
        "20240229": date(2024, 2, 29),
        "20230229": WRONG,
        "20240431": WRONG,
        "00000000": WRONG,
        "240229": WRONG,
        "2402 29": WRONG,
        "202402 9": WRONG,
        "2024229": WRONG,
        "20240229120000": WRONG,
    },
    "%y%m%d": {
        "240229": date(2024, 2, 29),
        "680101": date(2068, 1, 1),
        "690101": date(1969, 1, 1),
        "230229": WRONG,
    },
    "%d%b%Y": {"29FEB2024": date(2024, 2, 29), "29feb2023": WRONG, "29XYZ2024": WRONG},
    "%Y%j": {
        "2024060": date(2024, 2, 29),
        "2024366": date(2024, 12, 31),
        "2023365": date(2023, 12, 31),
        "2023366": WRONG,
        "2024367": WRONG,
        "2024000": WRONG,
    },
    "%d %B %Y": {"29 February 2024": date(2024, 2, 29), "1 March 2024": date(2024, 3, 1)},
    "%m.%Y (%d)": {"02.2024 (29)": date(2024, 2, 29), "2.2024 (1)": date(2024, 2, 1)},
    "%Y%%%m%%%d": {"2024%02%29": date(2024, 2, 29)},
}


@pytest.mark.parametrize("date_format", DATE_FORMATS)
def test_a_date_in_a_format_of_its_own_is_read_or_refused(date_format: str) -> None:
    cells = DATE_FORMATS[date_format]
    assert cast(list(cells), "date", date_format) == list(cells.values())
    for cell, value in cells.items():
        assert cast([cell], "date", date_format) == [value]


TIMESTAMP_FORMATS = {
    "%Y%m%d%H%M%S": {
        "20240229120000": NOON,
        "20230229120000": WRONG,
        "20240229250000": WRONG,
        "240229120000": WRONG,
        "2024022912": WRONG,
        "20240229126100": WRONG,
        "": None,
    },
    "%d.%m.%Y %I:%M %p": {"29.02.2024 12:00 PM": NOON, "29.02.2024 13:00 PM": WRONG},
    "%Y-%m-%d": {"2024-02-29": NOON.replace(hour=0)},
    "%Y-%m-%dT%H:%M:%S%z": {
        "2024-02-29T12:00:00+0000": NOON,
        "2024-02-29T13:30:00+01:30": NOON,
        "2024-02-29T07:00:00-0500": NOON,
        "2023-02-29T12:00:00+0000": WRONG,
        "2023-02-31T23:00:00-0500": WRONG,
        "2024-02-30T00:00:00+0500": WRONG,
        "2024-04-31T00:00:00+1400": WRONG,
        "2024-02-29T12:00:00": WRONG,
    },
}


@pytest.mark.parametrize("timestamp_format", TIMESTAMP_FORMATS)
def test_a_timestamp_in_a_format_of_its_own_is_read_or_refused(timestamp_format: str) -> None:
    cells = TIMESTAMP_FORMATS[timestamp_format]
    assert cast(list(cells), "timestamp", timestamp_format) == list(cells.values())
    for cell, value in cells.items():
        assert cast([cell], "timestamp", timestamp_format) == [value]


@settings(max_examples=100)
@given(st.dates(min_value=date(1000, 1, 1)), st.sampled_from(["", "%Y%m%d", "%d/%m/%Y", "%Y%j"]))
def test_every_date_of_the_calendar_is_read(day: date, date_format: str) -> None:
    cell = day.strftime(date_format) if date_format else day.isoformat()
    assert cast([cell], "date", date_format) == [day]


@settings(max_examples=100)
@given(
    st.integers(1000, 2100),
    st.integers(0, 14),
    st.integers(0, 33),
    st.sampled_from(["", "%Y-%m-%d", "%Y%m%d", "%d/%m/%Y"]),
)
def test_no_other_day_is_made_of_one_that_does_not_exist(
    year: int, month: int, day: int, date_format: str
) -> None:
    cells = {
        "": f"{year:04}-{month:02}-{day:02}",
        "%Y-%m-%d": f"{year:04}-{month:02}-{day:02}",
        "%Y%m%d": f"{year:04}{month:02}{day:02}",
        "%d/%m/%Y": f"{day:02}/{month:02}/{year:04}",
    }
    try:
        expected: object = date(year, month, day)
    except ValueError:
        expected = WRONG
    assert cast([cells[date_format]], "date", date_format) == [expected]


KINDS = [
    ("string", ""),
    ("integer", ""),
    ("decimal(12,2)", ""),
    ("decimal(38,38)", ""),
    ("decimal(38,0)", ""),
    ("boolean", ""),
    ("date", ""),
    ("timestamp", ""),
    *[("date", each) for each in DATE_FORMATS],
    *[("timestamp", each) for each in TIMESTAMP_FORMATS],
]
NEARLY = st.one_of(
    st.text(max_size=12),
    st.text("0123456789+-.,:/TZ eE%", max_size=24),
    st.from_regex(r"[0-9]{4}-[01][0-9]-[0-3][0-9]([T ][0-2][0-9]:[0-6][0-9].{0,12})?"),
    st.from_regex(r"[+-]?0{0,50}[0-9]{0,50}(\.[0-9]{0,50}0{0,50})?", fullmatch=True),
    st.sampled_from([cell for cells in ALL_CELLS.values() for cell in cells]),
)


@pytest.mark.parametrize(("type_", "format_"), KINDS)
@settings(max_examples=40)
@given(cells=st.lists(NEARLY, max_size=6))
def test_any_text_is_typed_or_refused_and_nothing_raises(
    type_: str, format_: str, cells: list[str]
) -> None:
    together = cast(cells, type_, format_)
    assert together == [cast([cell], type_, format_)[0] for cell in cells]


def test_last4_are_the_last_four_digits() -> None:
    digits = pa.array(["4111111111111111", None, "001234567890", "6212345678901234567"])
    assert last4(digits).to_pylist() == ["1111", None, "7890", "4567"]
    assert last4(pa.array([], pa.string())).to_pylist() == []


@settings(max_examples=100)
@given(
    literal=st.text(max_size=4).map(lambda text: text.replace("%", "%%"))
    | st.text(" !\"#$&'()*+,-./:;<=>?@[\\]^_`{|}~\t\n\x00\x01", min_size=1, max_size=3),
    day=st.dates(min_value=date(1000, 1, 1)),
)
def test_what_stands_between_the_numbers_of_a_format_is_plain_text(literal: str, day: date) -> None:
    text = literal.replace("%%", "%")
    cell = f"{day.year:04}-{text}{day.month:02}{day.day:02}"
    for kind in ("date", "timestamp"):
        (value,) = cast([cell], kind, f"%Y-{literal}%m%d")
        assert value == WRONG or (value.year, value.month, value.day) == day.timetuple()[:3]
        if literal.isascii() and literal.isprintable() and not literal.strip("%").isspace():
            assert value != WRONG


@pytest.mark.parametrize("type_", ["date", "decimal(6,2)", "integer"])
@pytest.mark.parametrize("different", [1, 600, 990, 2000])
def test_a_long_column_is_cast_as_its_cells_are(type_: str, different: int) -> None:
    cells = _long_column(type_, different, 4000)
    one_by_one = {cell: cast([cell], type_)[0] for cell in set(cells)}
    assert cast(cells, type_) == [one_by_one[cell] for cell in cells]


def test_a_column_whose_values_repeat_behind_different_ones_is_cast_too() -> None:
    cells = [*_long_column("integer", 1000, 1000), *["7", "x", ""] * 1000]
    assert cast(cells, "integer") == [*range(1000), *[7, WRONG, None] * 1000]


def _long_column(type_: str, different: int, rows: int) -> list[str]:
    first = date(2024, 1, 1)
    values = {
        "date": lambda at: (first + timedelta(days=at)).isoformat(),
        "decimal(6,2)": lambda at: f"{at / 100:.2f}",
        "integer": str,
    }
    cells = [values[type_](at % different) for at in range(rows)]
    if different > 1 and type_ != "integer":
        cells[5:rows:700] = ["x"] * len(cells[5:rows:700])
        cells[6:rows:900] = [""] * len(cells[6:rows:900])
    return cells
