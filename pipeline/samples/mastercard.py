"""Mastercard IPM clearing files (layout `mastercard-ipm` and its variants).

A header (1644/697), first presentments (1240/200), a trailer (1644/695) with the number of
messages in PDS 0306.
"""

import struct
from collections.abc import Iterator, Mapping
from typing import BinaryIO

from pipeline.samples.merchants import all_terminals
from pipeline.samples.transactions import (
    TRADING_DAY,
    Progress,
    amounts_cents,
    approvals,
    clock_time,
    reference_prefixes,
    transaction_blocks,
)

DATA_BYTES = 1012
_FILL = b"\x40\x40"
_END = struct.pack(">I", 0)
_ICA = "000000123456"
# Digits of the length before an element; all others that are written here have a fixed length.
_LENGTH_DIGITS = {
    **dict.fromkeys((2, 31, 32, 33, 35, 43, 45, 93, 94, 95, 100), 2),
    **dict.fromkeys((48, 54, 55, 62, 63, 72, 111, 123, 124, 125), 3),
}
_EVERY_NTH_NAMES_A_CARD = 40
# An application cryptogram, a track 2 (which readers must not keep) and a transaction date.
_CHIP_DATA = "9F2608A1B2C3D4E5F60718" + "5711{track2}" + "9A03260302"


def write_ipm(
    stream: BinaryIO,
    rows: int,
    cards: int,
    seed: int,
    *,
    encoding: str = "latin-1",
    blocked: bool = False,
    progress: Progress | None = None,
) -> None:
    """Write `rows` presentments between header and trailer.

    Now and then DE 72 or PDS 0501 names a card, and chip data holds a full track.
    """
    sink = Blocking(stream) if blocked else None
    write = sink.write if sink else stream.write
    for record in _messages(rows, cards, seed, encoding, progress):
        write(struct.pack(">I", len(record)) + record)
    write(_END)
    if sink:
        sink.finish()


class Blocking:
    """Writes blocks of 1,012 bytes, each with two fill bytes behind it."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._rest = b""

    def write(self, data: bytes) -> None:
        """Writes the blocks that are full."""
        self._rest += data
        while len(self._rest) >= DATA_BYTES:
            self._stream.write(self._rest[:DATA_BYTES] + _FILL)
            self._rest = self._rest[DATA_BYTES:]

    def finish(self) -> None:
        """Fills up the last block."""
        if self._rest:
            self._stream.write(self._rest.ljust(DATA_BYTES, _FILL[:1]) + _FILL)


def message(kind: str, elements: Mapping[int, str | bytes], encoding: str = "latin-1") -> bytes:
    """An IPM message of elements; text is encoded, bytes stand as they are."""
    bits, body = 1 << 127, b""
    for number in sorted(elements):
        digits = _LENGTH_DIGITS.get(number)
        value = elements[number]
        data = value.encode(encoding) if isinstance(value, str) else value
        bits |= 1 << (128 - number)
        body += f"{len(data):0{digits}d}".encode(encoding) + data if digits else data
    return kind.encode(encoding) + bits.to_bytes(16, "big") + body


def private_data(subelements: Mapping[str, str]) -> str:
    """Private data subelements: tag, length, value of each."""
    return "".join(f"{tag}{len(value):03d}{value}" for tag, value in subelements.items())


def _messages(
    rows: int, cards: int, seed: int, encoding: str, progress: Progress | None
) -> Iterator[bytes]:
    file_id = f"002{TRADING_DAY:%y%m%d}0000012345600001"
    yield message(
        "1644",
        {24: "697", 48: private_data({"0105": file_id, "0122": "T"}), 71: f"{1:08d}"},
        encoding,
    )
    presentments = _Presentments(seed)
    for block in transaction_blocks(rows, cards, seed):
        for number, pan, second, terminal, approval, amount, _ in zip(*block, strict=True):
            elements = presentments.of(number, pan, second, terminal, approval, amount)
            yield message("1240", elements, encoding)
        if progress is not None:
            progress(block.numbers.stop)
    totals = private_data({"0105": file_id, "0301": f"{0:016d}", "0306": f"{rows + 2:08d}"})
    yield message("1644", {24: "695", 48: totals, 71: f"{rows + 2:08d}"}, encoding)


class _Presentments:
    """The tables of a file."""

    def __init__(self, seed: int) -> None:
        self._terminals = all_terminals()
        self._amounts = amounts_cents(seed)
        self._approvals = approvals(seed)
        self._hours = reference_prefixes()

    def of(
        self, number: int, pan: str, second: int, terminal: int, approval: int, amount: int
    ) -> dict[int, str | bytes]:
        """The elements of a first presentment."""
        shop = self._terminals[terminal]
        name = shop.merchant_name.encode("ascii", "replace").decode()[:22]
        elements: dict[int, str | bytes] = {
            2: pan,
            3: "000000",
            4: f"{self._amounts[amount]:012d}",
            12: f"{TRADING_DAY:%y%m%d}{clock_time(second).replace(':', '')}",
            22: "510101513344",
            24: "200",
            26: shop.mcc,
            31: f"7000000{TRADING_DAY:%y%j}"[:12] + f"{number % 10**11:011d}",
            33: "123456",
            37: f"{self._hours[second // 3600]}{number % 1_000_000:06d}",
            38: self._approvals[approval][1],
            41: shop.terminal_id[:8].ljust(8),
            42: shop.merchant_id.ljust(15),
            43: f"{name}\\1 SAMPLE STREET\\SAMPLE CITY\\12345        USA",
            48: private_data(self._private(number, pan)),
            49: "840",
            71: f"{number + 2:08d}",
            94: "123456",
        }
        if number % _EVERY_NTH_NAMES_A_CARD == 3:
            elements[72] = f"CARDHOLDER ALSO USED {pan} THAT DAY"
        if number % _EVERY_NTH_NAMES_A_CARD == 5:
            track = f"{pan}D28122011234567890"[:34].ljust(34, "F")
            elements[55] = bytes.fromhex(_CHIP_DATA.format(track2=track))
        return elements

    def _private(self, number: int, pan: str) -> dict[str, str]:
        private = {"0023": "CT6", "0158": "MCC1US00B75", "0165": "M"}
        if number % _EVERY_NTH_NAMES_A_CARD == 9:
            private["0501"] = f"00{pan}01"
        return private
