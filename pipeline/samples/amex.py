"""An American Express reconciliation file (GRRCN), delimited, layout `amex-grrcn`.

    HEADER, SUMMARY, then for each submission SUBMISSION, TRANSACTN and TXNPRICING,
    then CHARGEBACK and ADJUSTMENT, and a TRAILER with the number of all records.

Cells are quoted, and lines are filled up with spaces behind the last quote, as the fixed-length
form of the file leaves them.
"""

from itertools import islice
from typing import BinaryIO

from pipeline.samples.cards import synthetic_pans
from pipeline.samples.transactions import TRADING_DAY, amounts_cents

LINE_CHARACTERS = 420
_MERCHANT = "6317000017"
_DAY = f"{TRADING_DAY:%Y%m%d}"
_TRANSACTIONS_PER_SUBMISSION = 20
_EVERY_NTH_IS_CHARGED_BACK = 15
_EVERY_NTH_IS_ADJUSTED = 25


def amex_pans(count: int, seed: int) -> list[str]:
    """Card numbers that such a file holds: American Express ones, and a few of JCB."""
    fit = (pan for pan in synthetic_pans(40 * count, seed) if _is_accepted(pan))
    return list(islice(fit, count))


def _is_accepted(pan: str) -> bool:
    return pan[:2] in ("34", "37") or (pan.startswith("35") and len(pan) == 16)


def write_amex_grrcn(stream: BinaryIO, transactions: int, cards: int, seed: int) -> None:
    """Write a file with that many transactions, their prices, and some that were disputed."""
    pans, cents = amex_pans(cards, seed), amounts_cents(seed)
    amounts = [cents[at % len(cents)] for at in range(transactions)]
    records: list[list[str]] = [["HEADER", "0000000001", _DAY, "120000", "GRRCN", "02.01"]]
    records.append(["SUMMARY", _MERCHANT, "002", "0000000042", _DAY, "USD", _amount(sum(amounts))])
    for at, amount in enumerate(amounts):
        pan = pans[at % len(pans)]
        if at % _TRANSACTIONS_PER_SUBMISSION == 0:
            of_submission = amounts[at : at + _TRANSACTIONS_PER_SUBMISSION]
            records.append(
                ["SUBMISSION", *_payment(), _MERCHANT, _DAY, _amount(sum(of_submission))]
            )
        records += [_transaction(at, pan, amount), _pricing(at, pan, amount)]
    for at, amount in enumerate(amounts):
        pan = pans[at % len(pans)]
        if at % _EVERY_NTH_IS_CHARGED_BACK == 3:
            records.append(_dispute("CHARGEBACK", at, pan, -amount))
        if at % _EVERY_NTH_IS_ADJUSTED == 7:
            records.append(_dispute("ADJUSTMENT", at, pan, amount))
    records.append(["TRAILER", "0000000001", f"{len(records) + 1:07d}"])
    for record in records:
        line = ",".join(f'"{cell}"' for cell in record)
        stream.write((line.ljust(LINE_CHARACTERS) + "\r\n").encode())


def _payment() -> list[str]:
    return [_MERCHANT, "002", "0000000042", _DAY, "USD"]


def _amount(cents: int) -> str:
    """A sign, which is a space for a credit, and fifteen digits, two of them decimals."""
    return f"{'-' if cents < 0 else ' '}{abs(cents):015d}"


def _invoice(at: int) -> str:
    return f"INV{at + 1:08d}"


def _transaction(at: int, pan: str, amount: int) -> list[str]:
    submission = [_MERCHANT, _DAY, _DAY, f"S{at // _TRANSACTIONS_PER_SUBMISSION:05d}", "USD"]
    about = ["STORE 01", _invoice(at), "", pan, "", _amount(amount), _amount(amount), _DAY]
    ids = ["101500", f"T{at + 1:014d}", f"{100000 + at}", "TERM0001", "5812", "", ""]
    flags = ["N", "", "", "", "", "N", "", "", "", "", "", "", "", ""]
    return ["TRANSACTN", *_payment(), *submission, *about, *ids, *flags]


def _pricing(at: int, pan: str, amount: int) -> list[str]:
    about = [_MERCHANT, "STORE 01", "", _invoice(at), "", pan, _amount(amount), _DAY]
    return ["TXNPRICING", *_payment(), *about, "1A", f" {250000:021d}", "0002500", f" {0:021d}"]


def _dispute(kind: str, at: int, pan: str, amount: int) -> list[str]:
    about = [_MERCHANT, _DAY, "STORE 01", _invoice(at), "", pan, "", _DAY, "S00001", "USD"]
    why = [f"{kind[:2]}{at + 1:06d}", "", "Goods, services or credit not received"]
    amounts = [_amount(each) for each in (amount, 0, 0, 0, amount)]
    return [kind, *_payment(), *about, *why, *amounts, "0002500", "0000000", "", "691"]
