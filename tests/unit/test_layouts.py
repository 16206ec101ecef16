"""The layout grammar: what it takes, and what it says about what it does not take."""

from __future__ import annotations

import hashlib
import tomllib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.aws.layout_catalogue import built_in_layout, built_in_names
from pipeline.core.layout_documents import MAX_LAYOUT_BYTES, model_of_table, parse_layout
from pipeline.core.layouts import Layout
from pipeline.errors import LayoutError, PermanentError

LEAST = 'name = "x"\n[columns.card]\nrole = "pan"\n'
FULL = """
name = "acme-2026"
description = "Everything that a layout can say"
scope = "acquirer-1"

[format]
type = "delimited"
delimiter = "|"
quote = "'"
escape = "\\\\"
header = false
fields = ["kind", "card", "backup", "amount", "on", "at", "n", "ok", "note", "code", "who"]
encoding = "cp1252"
null_values = ["", "NULL"]
preamble_until = "begin"
comments = ["#"]
footer_lines = 1
trim = true
short_rows = "pad"
long_rows = "cut_empty"

[records]
field = 1
[records.types.header]
match = "H"
role = "skip"
[records.types.batch]
match = ["B", "BATCH"]
role = "section_header"
[records.types.payment]
match = "D"
[records.types.batch_end]
match = "E"
role = "section_trailer"
totals = {count_field = 2, of = ["payment", "batch_end"]}
[records.types.trailer]
match = "T"
role = "trailer"
[records.types.trailer.totals]
count_field = 2
sum_field = 3
sum_column = "amount"

[columns]
card = {role = "pan", luhn = "require", empty = "reject"}
backup = {role = "pan", luhn = "count", empty = "keep"}
amount = {role = "keep", type = "decimal(12,2)"}
on = {role = "keep", type = "date", format = "%d.%m.%Y"}
at = {role = "keep", type = "timestamp", format = "%Y%m%d %H:%M:%S"}
n = {role = "keep", type = "integer", guard = "exact"}
ok = {role = "keep", type = "boolean"}
note = {role = "text"}
code = {role = "drop"}

[options]
token_mode = "one_time"
guard_action = "redact"
customer_id = "who"
"""


def mistakes(document: str, *, expected_name: str | None = None) -> tuple[str, ...]:
    with pytest.raises(LayoutError) as caught:
        parse_layout(document.encode(), expected_name)
    assert caught.value.code == "invalid_layout"
    assert caught.value.detail == "; ".join(caught.value.mistakes)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    return caught.value.mistakes


def with_settings(text: str, table: str = "format") -> str:
    return f"{LEAST}[{table}]\n{text}\n"


def with_types(types: str) -> str:
    return f"{LEAST}[records.types]\n{types}\n"


def with_totals(totals: str) -> str:
    return with_types(f'd = {{}}\nt = {{match = "T", role = "trailer", totals = {{{totals}}}}}')


def test_the_least_layout_names_a_pan_column() -> None:
    layout = parse_layout(LEAST.encode())
    assert layout.pan_columns == layout.named_columns == ("card",)
    assert layout.scope == "default"
    assert (layout.format.delimiter, layout.format.quote) == (",", '"')
    assert layout.format.header
    assert layout.options.token_mode == "per_pan"
    assert layout.options.guard_action == "reject"


def test_a_layout_can_say_everything_at_once() -> None:
    layout = parse_layout(FULL.encode(), "acme-2026")
    assert layout.pan_columns == ("card", "backup")
    assert layout.named_columns[-1] == "who"
    assert layout.columns["amount"].type.precision == 12
    assert layout.columns["amount"].type.scale == 2
    assert layout.format.encoding == "cp1252"


@pytest.mark.parametrize("name", built_in_names())
def test_a_layout_that_ships_with_the_product_is_valid(name: str) -> None:
    document = built_in_layout(name)
    assert document is not None
    assert parse_layout(document, name).pan_columns


def test_columns_that_totals_and_customers_need_must_be_in_the_file() -> None:
    document = LEAST + (
        '[options]\ncustomer_id = "who"\n'
        '[records.types]\nd = {}\n[records.types.t]\nmatch = "T"\nrole = "trailer"\n'
        'totals = {sum_field = 1, sum_column = "sum"}\n'
    )
    assert parse_layout(document.encode()).named_columns == ("card", "who", "sum")


@pytest.mark.parametrize(
    ("document", "mistake"),
    [
        ("", "name: Field required"),
        ('name = "x"', "columns: Field required"),
        ('name = "x"\n[columns]', "columns: at least one column needs role = 'pan' or 'text'"),
        (
            'name = "x"\n[columns.a]\nrole = "keep"',
            "columns: at least one column needs role = 'pan' or 'text'",
        ),
        (LEAST + "[columns.b]", "columns.b.role: Field required"),
        (LEAST + '[columns.b]\nrole = "kept"', "columns.b.role: Input should be"),
        (LEAST + '[columns.b]\nrole = "keep"\ntype = "text"', "columns.b.type: must be one of"),
        (LEAST + '[columns.b]\nrole = "keep"\ntype = {kind = "date"}', "columns.b.type: must be"),
        (LEAST + '[columns.b]\nrole = "keep"\ntype = "decimal(39,2)"', "columns.b.type: decimal"),
        (LEAST + '[columns.b]\nrole = "keep"\ntype = "decimal(0,0)"', "columns.b.type: decimal"),
        (LEAST + '[columns.b]\nrole = "keep"\ntype = "decimal(2,3)"', "columns.b.type: decimal"),
        (LEAST + '[columns.b]\nrole = "keep"\ntype = "decimal(12)"', "columns.b.type: must be"),
        (LEAST + '[columns.b]\nrole = "keep"\nguard = "none"', "columns.b.guard: Input should"),
        (LEAST + '[columns.b]\nrole = "keep"\ntpye = "date"', "columns.b.tpye: unknown setting;"),
        (LEAST + '[columns.b]\nrole = "drop"\ntype = "date"', "columns.b: type cannot be set"),
        (LEAST + '[columns.b]\nrole = "text"\nguard = "exact"', "columns.b: guard cannot be set"),
        (LEAST + '[columns.b]\nrole = "keep"\nluhn = "count"', "columns.b: luhn cannot be set"),
        (LEAST + 'pad = "9"', "columns.card.pad: Input should be"),
        (LEAST + "digits = 20", "columns.card.digits: Input should be less than or equal to 19"),
        (LEAST + 'extract = "[0-9]+"', "columns.card.extract: must be a regular expression"),
        (LEAST + 'extract = "(?P<pan>"', "columns.card.extract: must be a regular expression"),
        (LEAST + '[columns.b]\nrole = "keep"\npad = "0"', "columns.b: pad cannot be set"),
        (LEAST + 'type = "string"', "columns.card: type cannot be set for role pan"),
        (LEAST + '[columns.b]\nrole = "keep"\nformat = "%Y"', "columns.b: format belongs to"),
        (LEAST + '[columns.card_token]\nrole = "keep"', "columns: a kept column has the name"),
        (LEAST + '[columns.card_last4]\nrole = "text"', "columns: a kept column has the name"),
        (LEAST + '[columns.cvv2]\nrole = "keep"', "columns.cvv2: sensitive authentication data"),
        (LEAST + '[columns.cvv2]\nrole = "text"', "columns.cvv2: sensitive authentication data"),
        (LEAST + '[columns.Track2]\nrole = "pan"', "columns.Track2: sensitive authentication"),
        (LEAST.replace('"x"', '"X"'), "name: String should match pattern"),
        (LEAST.replace('"x"', '"a/b"'), "name: String should match pattern"),
        (LEAST.replace('"x"', '"-a"'), "name: String should match pattern"),
        (LEAST.replace('"x"', '"x\\n"'), "name: String should match pattern"),
        (LEAST.replace('"x"', f'"{"x" * 65}"'), "name: String should match pattern"),
        (LEAST.replace('"x"', "7"), "name: Input should be a valid string"),
        ('scope = "a b"\n' + LEAST, "scope: String should match pattern"),
        ('scop = "a"\n' + LEAST, "scop: unknown setting; did you mean scope?"),
        ('zzz = "a"\n' + LEAST, "zzz: unknown setting"),
        (with_settings('delimiter = ""'), "format.delimiter: String should have at least 1"),
        (with_settings('delimiter = "123456789"'), "format.delimiter: String should have at most"),
        (with_settings('delimiter = "\\n"'), "format.delimiter: cannot hold a line end"),
        (with_settings('delimiter = "|\\r"'), "format.delimiter: cannot hold a line end"),
        (with_settings('delimiter = "\\u0000"'), "format.delimiter: cannot hold a line end or a"),
        (with_settings('quote = "«"'), "format.quote: must be one ASCII character"),
        (with_settings("quote = \"''\""), "format.quote: must be one ASCII character"),
        (with_settings('quote = "\\u0000"'), "format.quote: must be one ASCII character"),
        (with_settings('escape = "\\n"'), "format.escape: must be one ASCII character"),
        (with_settings('quote = ","'), "format: quote and delimiter must differ"),
        (with_settings('escape = ","'), "format: escape must differ from quote and delimiter"),
        (with_settings("escape = '\"'"), "format: escape must differ from quote and delimiter"),
        (with_settings('delimiter = "||"'), "format: a delimiter that is not one ASCII character"),
        (with_settings('delimiter = "¦"'), "format: a delimiter that is not one ASCII character"),
        (
            with_settings('delimiter = "||"\nquote = ""\nescape = "!"'),
            "format: a delimiter that is not one ASCII character needs quote = '' and no escape",
        ),
        (with_settings("header = false"), "format: fields must name the columns"),
        (with_settings('fields = ["card"]'), "format: fields can only be set when header = false"),
        (
            with_settings('header = false\nfields = ["card", "a", "a"]'),
            "format: fields names a column twice",
        ),
        (
            with_settings('header = false\nfields = ["pan"]'),
            "columns.card: is not among format.fields",
        ),
        (
            with_settings('header = false\nfields = ["card"]') + '[options]\ncustomer_id = "who"',
            "options.customer_id: is not among format.fields",
        ),
        (with_settings("fields = [1]"), "format.fields.0: Input should be a valid string"),
        (with_settings('header = "maybe"'), "format.header: Input should be a valid boolean"),
        (
            with_settings('embedded_newlines = true\nquote = ""'),
            "format: embedded_newlines needs a quote character",
        ),
        (with_settings('type = "csv"'), "format.type: must be one of delimited, "),
        (with_settings('type = "xlsx"\nheader = false'), "format: needs either a header or fields"),
        (with_settings('seperator = "|"'), "format.seperator: unknown setting"),
        (with_settings('encodng = "utf-8"'), "format.encodng: unknown setting; did you mean enc"),
        (with_settings('encoding = "utf-9"'), "format.encoding: is not an encoding that Python"),
        (with_settings('encoding = ""'), "format.encoding: is not an encoding that Python"),
        (with_settings('encoding = "\\u0000"'), "format.encoding: is not an encoding that Pyth"),
        (with_settings('encoding = "hex"'), "format.encoding: is not an encoding of text files"),
        (with_settings('encoding = "zip"'), "format.encoding: is not an encoding of text files"),
        (with_settings('encoding = "rot13"'), "format.encoding: is not an encoding of text file"),
        (with_settings('encoding = "idna"'), "format.encoding: is not an encoding of text files"),
        (with_settings('encoding = "unicode_escape"'), "format.encoding: is not an encoding of"),
        (with_settings("", "records"), "records.types: Field required"),
        (with_settings("types = {}", "records"), "records.types: Dictionary should have at least"),
        (with_types("d = {}"), "records: needs a type with match"),
        (with_types('"D d" = {}'), "records.types.D d.[key]: String should match pattern"),
        (with_types('d = {match = ""}'), "records.types.d.match.0: String should have at least 1"),
        (with_types('d = {match = "D", kind = 1}'), "records.types.d.kind: unknown setting"),
        (with_types('d = {mach = "D"}'), "records.types.d.mach: unknown setting; did you mean mat"),
        (with_types('d = {match = "D", role = "x"}'), "records.types.d.role: Input should be"),
        (with_types('d = {match = "H\\n"}'), "records: no match may hold a line end"),
        (with_types('a = {match = "H"}\nb = {match = ["HD"]}'), "records: no match may begin with"),
        (with_types('a = {match = "H"}\nb = {match = ["x", "H"]}'), "records: two types have the"),
        (with_types('a = {match = "H"}\nb = {}\nc = {}'), "records: only one type can be without"),
        (with_types('h = {match = "H", role = "skip"}'), "records: needs a type of role detail"),
        (with_types('d = {}\nh = {role = "skip"}'), "records.types.h: match is required"),
        (
            with_types('d = {}\nh = {match = "H", role = "skip", fields = ["a"]}'),
            "records.types.h: fields can only be set for role detail",
        ),
        (
            with_types('d = {match = "D", fields = ["a", "a"]}'),
            "records.types.d: fields names a column twice",
        ),
        (
            with_types('d = {match = "D", fields = ["card"]}\ne = {match = "E"}'),
            "records: either all types of role detail have fields, or none has",
        ),
        (
            with_types('d = {match = "D", fields = ["card"]}'),
            "records: types with fields of their own need format.header = false",
        ),
        (
            with_types('d = {match = "D", fields = ["a"]}') + "[format]\nheader = false",
            "columns.card: is not among format.fields",
        ),
        (
            with_types(
                'd = {}\nt = {match = "T", role = "trailer"}\nu = {match = "U", role = "trailer"}'
            ),
            "records: only one type can have the role trailer",
        ),
        (
            with_types('d = {}\nh = {match = "H", role = "skip", totals = {count_field = 1}}'),
            "records.types.h: totals can only be set for the roles trailer and section_trailer",
        ),
        (with_totals(""), "records.types.t.totals: needs count_field or sum_field"),
        (with_totals("sum_field = 1"), "records.types.t.totals: sum_field and sum_column belong"),
        (with_totals("count_field = 0"), "records.types.t.totals.count_field: Input should be"),
        (with_totals('count_field = 1, of = ["x"]'), "records: types.t.totals.of: names a type"),
        (
            with_totals('sum_field = 1, sum_column = "card"'),
            "records.types.t.totals: a sum of PANs may be a PAN",
        ),
        (
            with_settings('embedded_newlines = true\ncomments = ["#"]'),
            "format: comments and footer_lines need embedded_newlines = false",
        ),
        (
            with_settings('preamble_lines = 1\npreamble_until = "x"'),
            "format: preamble_lines and preamble_until exclude each other",
        ),
        (
            with_settings('comments = ["a\\n"]'),
            "format: preamble_until and comments are beginnings",
        ),
        (with_settings('comments = [""]'), "format.comments.0: String should have at least 1"),
        (with_settings("footer_lines = -1"), "format.footer_lines: Input should be greater than"),
        (with_settings("preamble_lines = 1001"), "format.preamble_lines: Input should be less"),
        (
            with_settings("embedded_newlines = true") + '[records.types]\nd = {match = "D"}',
            "records: can only be told apart where each record is a line",
        ),
        (with_settings('token_mode = "x"', "options"), "options.token_mode: Input should be"),
        (with_settings('guard_action = "x"', "options"), "options.guard_action: Input should be"),
        (with_settings('customer_id = "card"', "options"), "options.customer_id: cannot be a"),
        (with_settings('customer_id = ""', "options"), "options.customer_id: String should have"),
        (with_settings('customer_id = "CVV"', "options"), "options.customer_id: cannot be a"),
    ],
)
def test_a_mistake_is_named_with_its_place(document: str, mistake: str) -> None:
    found = mistakes(document)
    assert any(each.startswith(mistake) for each in found), found


def test_all_mistakes_are_named_at_once() -> None:
    found = mistakes('name = "X"\n[columns.a]\nrole = "x"\n[format]\nquote = "xx"')
    assert [each.split(":")[0] for each in found] == ["name", "format.quote", "columns.a.role"]


def test_a_layout_repeats_the_name_of_its_file() -> None:
    assert mistakes(LEAST, expected_name="y") == (
        "name: must equal the layout's file name without .toml",
    )


@pytest.mark.parametrize(
    ("document", "mistake"),
    [
        ("name = ", "not valid TOML at end of document"),
        ("name = 'x'\nname = 'y'", "not valid TOML at end of document"),
        ("a", "not valid TOML"),
        ("[columns\n", "not valid TOML at line 1, column 9"),
        ("x = " + "[" * 20_000, "not valid TOML"),
        ("x = " + "1" * 5_000, "not valid TOML"),
        ("x = 2026-02-31", "not valid TOML"),
        ("\0", "not valid TOML at line 1, column 1"),
    ],
)
def test_what_is_no_toml_is_refused_with_its_place(document: str, mistake: str) -> None:
    assert len(mistakes(document)) == 1
    assert mistakes(document)[0].startswith(mistake)


def test_a_document_that_is_no_text_or_too_large_is_refused() -> None:
    for document in (b"\xff", LEAST.encode("utf-16"), b" " * (MAX_LAYOUT_BYTES + 1)):
        with pytest.raises(LayoutError):
            parse_layout(document)
    assert parse_layout(LEAST.encode() + b" " * (MAX_LAYOUT_BYTES - len(LEAST)))


@pytest.mark.parametrize(
    "date_format",
    ["%d/%m/%Y", "%Y%m%d", "%y%m%d", "%d%b%Y", "%d %B %Y", "%Y%j", "%a %d.%m.%y", "%Y%%%m%%%d"],
)
@pytest.mark.parametrize("kind", ["date", "timestamp"])
def test_a_date_format_with_year_month_and_day_is_taken(date_format: str, kind: str) -> None:
    document = LEAST + f'[columns.b]\nrole = "keep"\ntype = "{kind}"\nformat = "{date_format}"'
    assert parse_layout(document.encode()).columns["b"].format == date_format


@pytest.mark.parametrize(
    ("kind", "date_format"),
    [
        *[("timestamp", f"%Y-%m-%d {more}") for more in ("%T", "%f", "%c", "%s", "%U", "%", "%-d")],
        *[("date", f"%Y-%m-%d {more}") for more in ("%H", "%z", "%F", "%D", "%e", "%Q", "%")],
        ("date", "%d.%m"),
        ("date", "%Y-%m"),
        ("date", "%Y"),
        ("date", "%j"),
        ("timestamp", "%H:%M:%S"),
        ("date", "YYYY-MM-DD"),
    ],
)
def test_a_date_format_that_cannot_be_read_reliably_is_refused(kind: str, date_format: str) -> None:
    document = LEAST + f'[columns.b]\nrole = "keep"\ntype = "{kind}"\nformat = "{date_format}"'
    (mistake,) = mistakes(document)
    assert mistake.startswith("columns.b: format ")


PLAUSIBLE = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 40),
    st.floats(),
    st.text(max_size=12),
    st.sampled_from(
        ["pan", "keep", "drop", "text", "full", "exact", "date", "timestamp", "decimal(12,2)"]
        + ["decimal(\N{ARABIC-INDIC DIGIT TWO},1)", "%Y%m%d", "%", "utf-8", "utf-16", "cp037"]
        + ["aliases", "encodings.aliases", "..", "mbcs", "undefined", "a" * 1000, "\ud800"]
    ),
)
ANYTHING = st.recursive(
    PLAUSIBLE,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)


@settings(max_examples=150)
@given(document=st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_any_bytes_are_a_layout_or_a_layout_error(document: bytes) -> None:
    try:
        parse_layout(document)
    except LayoutError as error:
        assert error.mistakes


@settings(max_examples=200)
@given(at=st.integers(0, len(FULL)), drop=st.integers(0, 20), insert=st.text(max_size=4))
def test_a_layout_that_was_damaged_is_a_layout_or_a_layout_error(
    at: int, drop: int, insert: str
) -> None:
    document = FULL[:at] + insert + FULL[at + drop :]
    try:
        parse_layout(document.encode())
    except LayoutError as error:
        assert all(error.mistakes)


def places(table: dict[str, Any], path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    found = []
    for name, value in table.items():
        found.append((*path, name))
        if isinstance(value, dict):
            found += places(value, (*path, name))
    return found


PLACES = places(tomllib.loads(FULL))


@settings(max_examples=300)
@given(place=st.sampled_from(PLACES), value=ANYTHING)
def test_any_value_in_any_place_is_taken_or_is_a_layout_error(
    place: tuple[str, ...], value: object
) -> None:
    document = tomllib.loads(FULL)
    table = document
    for name in place[:-1]:
        table = table[name]
    table[place[-1]] = value
    from_toml = to_toml(document)
    try:
        parse_layout(from_toml.encode("utf-8", "replace"))
    except LayoutError as error:
        assert all(error.mistakes)
    except PermanentError as error:  # pragma: no cover
        raise AssertionError(error.code) from error


def to_toml(value: Any) -> str:
    """An inline form; `null`, which TOML has not, becomes an invalid document."""
    if isinstance(value, dict):
        lines = [f"{quoted(name)} = {inline(item)}" for name, item in value.items()]
        return "\n".join(lines)
    return inline(value)


def inline(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{quoted(k)} = {inline(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(inline, value)) + "]"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return quoted(value)
    return str(value)


def quoted(text: str) -> str:
    return '"' + "".join(f"\\U{ord(character):08x}" for character in text) + '"'


SECRET = "s3cr3t"


@pytest.mark.parametrize("place", PLACES)
def test_no_value_is_echoed(place: tuple[str, ...]) -> None:
    for value in (SECRET, [SECRET], {"kind": SECRET}, f"{SECRET}\n", f"%{SECRET}"):
        document = tomllib.loads(FULL)
        table = document
        for name in place[:-1]:
            table = table[name]
        table[place[-1]] = value
        try:
            parse_layout(to_toml(document).encode())
        except LayoutError as error:
            assert SECRET not in str(error) + repr(error)


def test_a_layout_is_not_to_be_changed() -> None:
    layout = parse_layout(LEAST.encode())
    with pytest.raises(ValueError, match="frozen"):
        layout.name = "y"  # type: ignore[misc]
    assert isinstance(layout, Layout)


@pytest.mark.parametrize(
    ("version", "text"), [("3", "3"), ('"3"', "3"), ('"2026-11.b"', "2026-11.b"), ('""', "")]
)
def test_a_layout_can_have_a_version(version: str, text: str) -> None:
    assert parse_layout(f"version = {version}\n{LEAST}".encode()).version == text


@pytest.mark.parametrize(
    "version", ["true", "1.5", '"a b"', f'"{"x" * 33}"', '"4111111111111111"', "411111111111"]
)
def test_a_version_is_short_and_no_card_number(version: str) -> None:
    assert all(each.startswith("version: ") for each in mistakes(f"version = {version}\n{LEAST}"))


def test_a_layout_knows_the_digest_of_its_document() -> None:
    document = LEAST.encode()
    assert parse_layout(document).sha256 == hashlib.sha256(document).hexdigest()
    assert parse_layout(document + b"\n").sha256 != parse_layout(document).sha256


@pytest.mark.parametrize(
    ("place", "model"),
    [
        ((), "Layout"),
        (("format",), "Delimited"),
        (("format", "delimited"), "Delimited"),
        (("records",), "Records"),
        (("records", "types", "end"), "RecordType"),
        (("records", "types", "end", "totals"), "TrailerTotals"),
        (("decryption",), "Decryption"),
        (("columns", "card"), "Column"),
        (("columns", "type"), "Column"),
        (("columns", "options"), "Column"),
        (("options",), "Options"),
    ],
)
def test_each_table_is_known_by_its_place(place: tuple[str, ...], model: str) -> None:
    assert model_of_table(place).__name__ == model
