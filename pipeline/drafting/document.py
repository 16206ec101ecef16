"""A draft as a commented TOML document, for a person to go on from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pipeline.drafting.columns import DraftColumn
from pipeline.drafting.draft import Draft

_ESCAPES = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t", "\r": "\\r"}
_BARE = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-")


def document_of(draft: Draft) -> str:
    """The layout with what was found out about each column above it; it holds no values."""
    return "\n".join([*_head(draft), *_tables(draft), *_columns(draft)]).rstrip("\n") + "\n"


def _head(draft: Draft) -> Iterator[str]:
    seen = "the whole file" if draft.is_whole else "the beginning of the file"
    yield f"# Drafted from {draft.rows:,} rows, {seen}. Go through it line by line: what a column"
    yield "# is for, a program can only guess. What is not named here is dropped. Then:"
    yield f"#   pantok layouts check {draft.name}.toml"
    yield f"#   pantok inspect FILE --layout {draft.name}.toml"
    yield f"#   pantok layouts add {draft.name}.toml"
    yield f"name = {inline(draft.name)}"
    yield 'version = "1"'
    yield 'description = ""'
    yield ""


def _tables(draft: Draft) -> Iterator[str]:
    for note in draft.notes:
        yield f"# {note}"
    yield from table("format", draft.settings)
    yield from _record_types(draft.records)


def _record_types(records: Mapping[str, object]) -> Iterator[str]:
    """The record types, each a table of its own."""
    types = records.get("types")
    plain = {key: value for key, value in records.items() if key != "types"}
    if plain:
        yield from table("records", plain)
    for name, each in types.items() if isinstance(types, Mapping) else ():
        yield from table(f"records.types.{_key(name)}", each)


def _columns(draft: Draft) -> Iterator[str]:
    for each in draft.columns:
        yield f"# {each.why}"
        yield from table(f"columns.{_key(each.name)}", _settings(each))


def _settings(each: DraftColumn) -> dict[str, object]:
    settings = each.column.model_dump(exclude_unset=True)
    if "type" in settings:
        kind = each.column.type
        settings["type"] = kind.kind
        if kind.kind == "decimal":
            settings["type"] = f"decimal({kind.precision},{kind.scale})"
    return settings


def table(name: str, settings: Mapping[str, object]) -> Iterator[str]:
    """A TOML table, those within it behind it, and a blank line; what is deeper stands inline."""
    inner = {key: value for key, value in settings.items() if isinstance(value, Mapping)}
    plain = {key: value for key, value in settings.items() if key not in inner}
    if plain or not inner:
        yield f"[{name}]"
        yield from (f"{_key(key)} = {inline(value)}" for key, value in plain.items())
        yield ""
    for key, value in inner.items():
        yield f"[{name}.{_key(key)}]"
        yield from (f"{_key(deep)} = {inline(each)}" for deep, each in value.items())
        yield ""


def inline(value: object) -> str:
    """A value as TOML writes it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return str(value)
    if isinstance(value, Mapping):
        pairs = ", ".join(f"{_key(str(key))} = {inline(each)}" for key, each in value.items())
        return f"{{ {pairs} }}"
    if isinstance(value, list | tuple):
        return _array([inline(each) for each in value])
    return '"' + "".join(map(_escaped, str(value))) + '"'


def _array(items: list[str]) -> str:
    short = f"[{', '.join(items)}]"
    if len(short) <= 80:
        return short
    return "\n".join(["[", *(f"    {item}," for item in items), "]"])


def _escaped(character: str) -> str:
    if character in _ESCAPES:
        return _ESCAPES[character]
    if ord(character) < 0x20 or ord(character) == 0x7F:
        return f"\\u{ord(character):04x}"
    return character


def _key(name: str) -> str:
    return name if name and set(name) <= _BARE else inline(name)
