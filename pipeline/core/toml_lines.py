"""On which line of a TOML document each of its settings stands.

`tomllib` reads a document, but does not say where anything was. This goes over one that it has
read, and needs to understand no more of it than where statements, strings and brackets end.
"""

from __future__ import annotations

import re
import tomllib
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

Path = tuple[int | str, ...]

# Comments, strings of all four kinds, line ends, brackets, and what stands between those.
_TOKEN = re.compile(
    r"#[^\n]*"
    r'|"""(?:\\.|[^\\])*?"{3,5}|' + r"'''.*?'{3,5}"
    r'|"(?:\\.|[^"\\\n])*"|' + r"'[^'\n]*'"
    r"""|\n|[\[\]{}=,]|[^#"'\n\[\]{}=,]+|.""",
    re.DOTALL,
)
_OPENING, _CLOSING = frozenset("[{"), frozenset("]}")


def lines_of_settings(document: str) -> dict[Path, int]:
    """The line (from 1) of each table and setting of a valid document, by its path.

    Elements of arrays are in it by their index, from 0.
    """
    return _Lines().over(document.replace("\r\n", "\n"))


class _Token:
    __slots__ = ("line", "text")

    def __init__(self, text: str, line: int) -> None:
        self.text = text
        self.line = line


class _Lines:
    def __init__(self) -> None:
        self._lines: dict[Path, int] = {}
        self._table: Path = ()
        self._elements: Counter[Path] = Counter()  # of arrays of tables

    def over(self, document: str) -> dict[Path, int]:
        for statement in _statements(document):
            if statement[0].text == "[":
                self._enter_table(statement)
            else:
                self._setting(self._table, statement)
        return self._lines

    def _enter_table(self, statement: Sequence[_Token]) -> None:
        is_element = len(statement) > 1 and statement[1].text == "["
        brackets = 2 if is_element else 1
        path = self._of_latest_element(_names(statement[brackets:-brackets]), is_element=is_element)
        self._table = path
        self._note(path, statement[0].line)

    def _of_latest_element(self, names: Sequence[str], *, is_element: bool) -> Path:
        """The path of a table header; a name of an array of tables means its latest element."""
        path: Path = ()
        for at, name in enumerate(names):
            path = (*path, name)
            if is_element and at == len(names) - 1:
                self._elements[path] += 1
            if path in self._elements:
                path = (*path, self._elements[path] - 1)
        return path

    def _setting(self, table: Path, tokens: Sequence[_Token]) -> None:
        """A key, its `=` and its value."""
        equals = next((at for at, token in enumerate(tokens) if token.text == "="), len(tokens))
        path = (*table, *_names(tokens[:equals]))
        self._note(path, tokens[0].line)
        self._value(path, tokens[equals + 1 :])

    def _value(self, path: Path, tokens: Sequence[_Token]) -> None:
        if not tokens or tokens[0].text not in _OPENING:
            return
        for at, item in enumerate(_items(tokens[1:-1])):
            if tokens[0].text == "{":
                self._setting(path, item)
            else:
                self._note((*path, at), item[0].line)
                self._value((*path, at), item)

    def _note(self, path: Path, line: int) -> None:
        for length in range(1, len(path) + 1):
            self._lines.setdefault(path[:length], line)


def _statements(document: str) -> Iterator[list[_Token]]:
    """Headers and settings, each without blanks and comments."""
    depth, line = 0, 1
    statement: list[_Token] = []
    for match in _TOKEN.finditer(document):
        text = match[0]
        depth += (text in _OPENING) - (text in _CLOSING)
        if text == "\n" and depth == 0 and statement:
            yield statement
            statement = []
        elif text.strip() and not text.startswith("#"):
            statement.append(_Token(text.strip(), line))
        line += text.count("\n")
    if statement:
        yield statement


def _items(tokens: Sequence[_Token]) -> Iterator[list[_Token]]:
    """What commas part, those within brackets left alone."""
    depth = 0
    item: list[_Token] = []
    for token in tokens:
        depth += (token.text in _OPENING) - (token.text in _CLOSING)
        if token.text == "," and depth == 0:
            if item:
                yield item
            item = []
        else:
            item.append(token)
    if item:
        yield item


def _names(tokens: Sequence[_Token]) -> list[str]:
    """The names in a key: bare, quoted or dotted."""
    key: Any = tomllib.loads("".join(token.text for token in tokens) + "=0")
    names = []
    while isinstance(key, dict):
        name, key = next(iter(key.items()))
        names.append(name)
    return names
