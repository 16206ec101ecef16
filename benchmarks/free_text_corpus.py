"""Sentences with card numbers and with numbers that are none, each labelled; nobody's numbers.

The sentences around them are written by hand in several languages, a third of the numbers have no
label beside them, and every number of another system is made as that system makes it.
"""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from pipeline.samples.cards import luhn_check_digit, synthetic_pans

PLAIN_LENGTHS = (13, 14, 15, 16, 19)  # of the cards that stand without any word beside them


@dataclass(frozen=True, slots=True)
class Sample:
    """A text, the kind of number in it, and the PANs that are to be found there."""

    kind: str
    text: str = field(repr=False)
    pans: tuple[bytes, ...] = field(repr=False)


LABELLED = (
    "card {}",
    "Card number: {}",
    "customer paid with {} and wants it back",
    'the form said {{"cardNumber": "{}", "amount": 12.50}}',
    "PAN={} exp 12/27",
    "pls charge my visa {} thx",
    "cc#{}, valid thru 09/28",
    "Kartennummer {} wurde abgelehnt",
    "Die Karte {} ist gesperrt.",
    "Ma carte bancaire n° {} a été volée",
    "numéro de carte : {}",
    "mi tarjeta es {}",
    "número do cartão {}",
    "carta di credito {} scaduta",
    "kaartnummer: {}",
    "numer karty {} odrzucony",
    "номер карты {} не работает",
    "我的卡号是{},请查一下",
    "カード番号: {}",
    "kart no: {}",
    "his mastercard ({}) was declined twice",
    "card_number={}&amount=100",
)
BARE = (
    "{}",
    "please refund to {} today",
    "I was told to use {} instead.",
    "Kunde hat {} angegeben",
    "il a donné {} au téléphone hier soir",
    "<b>{}</b>",
    '"{}"',
    "2026-11-23 10:15 {} declined",
    "{} is what she gave us",
    "old: {}; new one follows",
    "approved 25.00 EUR {} Berlin",
)


def _chunked(pan: str, separator: str) -> str:
    sizes = {15: (4, 6, 5), 14: (4, 6, 4)}.get(len(pan), (4, 4, 4, 4, 3))
    parts, at = [], 0
    for size in sizes:
        parts.append(pan[at : at + size])
        at += size
    return separator.join(filter(None, parts))


SPELLINGS: Sequence[Callable[[str], str]] = (
    lambda pan: pan,
    lambda pan: pan,
    lambda pan: pan,
    lambda pan: _chunked(pan, " "),
    lambda pan: _chunked(pan, " "),
    lambda pan: _chunked(pan, "-"),
    lambda pan: _chunked(pan, "."),
    lambda pan: _chunked(pan, " - "),
    lambda pan: _chunked(pan, "\u00a0"),
    lambda pan: pan[:4] + " " + pan[4:],
    lambda pan: pan[:8] + " " + pan[8:],
    lambda pan: pan.translate({48 + digit: 0xFF10 + digit for digit in range(10)}),
)


def _digits(rng: random.Random, count: int) -> str:
    return "".join(rng.choice("0123456789") for _ in range(count))


def _reference(rng: random.Random) -> str:
    return _digits(rng, 16)


def _reference_that_passes(rng: random.Random) -> str:
    body = rng.choice(("4", "51", "55", "2221", "6011", "62", "35")) + _digits(rng, 15)
    return body[:15] + luhn_check_digit(body[:15])


def _imei(rng: random.Random) -> str:
    body = rng.choice(("35", "86", "01", "99")) + _digits(rng, 12)
    return body + luhn_check_digit(body)


def _iccid(rng: random.Random) -> str:
    body = "89" + rng.choice(("49", "1", "44", "86")) + _digits(rng, 18)
    body = body[:18]
    number = body + luhn_check_digit(body)
    return rng.choice((number, _chunked(number, " ")))


def _iban(rng: random.Random) -> str:
    country, length = rng.choice((("DE", 18), ("FR", 23), ("ES", 20), ("NL", 14), ("IT", 22)))
    body = _digits(rng, length)
    tail = "".join(str(int(each, 36)) for each in body + country + "00")
    number = f"{country}{98 - int(tail) % 97:02d}{body}"
    return rng.choice((number, " ".join(number[at : at + 4] for at in range(0, len(number), 4))))


def _phone(rng: random.Random) -> str:
    shapes = ("+49 {3} {4} {4}", "+1 ({3}) {3}-{4}", "0049 {3} {8}", "+44 {4} {6}", "+34{9}")
    shapes += ("tel 49{11}", "Telefon 0043 {3} {7}", "call 44{10}", "+86 {3} {4} {4}")
    text = rng.choice(shapes)
    for count in range(1, 12):
        while f"{{{count}}}" in text:
            text = text.replace(f"{{{count}}}", _digits(rng, count), 1)
    return text


def _timestamp(rng: random.Random) -> str:
    epoch = str(rng.randint(1_500_000_000, 1_900_000_000))
    date = f"20{rng.randint(10, 30)}{rng.randint(1, 12):02d}{rng.randint(1, 28):02d}"
    clock = f"{rng.randint(0, 23):02d}{_digits(rng, 4)}"
    return rng.choice(
        (epoch + _digits(rng, 3), epoch + _digits(rng, 6), date + clock, date + clock + "000",
         f"{date}-{clock}-{_digits(rng, 6)}")
    )  # fmt: skip


def _tracking(rng: random.Random) -> str:
    return rng.choice(
        (
            f"1Z{_digits(rng, 16)}",
            f"1Z999AA{_digits(rng, 11)}",
            f"FedEx {_digits(rng, 12)}",
            f"FedEx tracking number {_digits(rng, 15)}",
            f"DHL {_digits(rng, 10)}",
            f"Sendungsnummer {_digits(rng, 14)}",
            f"JJD{_digits(rng, 18)}",
            f"USPS {rng.choice(('9400', '9205', '9361'))}{_digits(rng, 18)}",
            " ".join(["9400", *(_digits(rng, 4) for _ in range(4)), _digits(rng, 2)]),
            f"colis {_digits(rng, 13)}",
        )
    )


def _uuid(rng: random.Random) -> str:
    number = uuid.UUID(int=rng.getrandbits(128))
    all_digits = "-".join(_digits(rng, count) for count in (8, 4, 4, 4, 12))
    return rng.choice((str(number), number.hex, all_digits, f"{rng.getrandbits(256):064x}"))


def _amount(rng: random.Random) -> str:
    number = rng.randint(1_000_000_000, 999_999_999_999)
    plain, cents = f"{number:,}", _digits(rng, 2)
    return rng.choice(
        (f"{plain}.{cents} USD", f"{plain.replace(',', '.')},{cents} EUR", f"{number}.{cents}",
         f"0.{_digits(rng, 16)}", f"{plain.replace(',', ' ')},{cents} zł")
    )  # fmt: skip


def _url(rng: random.Random) -> str:
    return rng.choice(
        (
            f"https://shop.example/orders/{_reference_that_passes(rng)}",
            f"https://example.org/item/{_reference_that_passes(rng)}?ref=mail",
            f"https://example.org/t?trackingId={_reference_that_passes(rng)}",
            f"www.example.com/p/{_reference_that_passes(rng)}.html",
        )
    )


def _national_id(rng: random.Random) -> str:
    return rng.choice(
        (f"NIR {rng.choice('12')} {_digits(rng, 2)} 05 {_digits(rng, 2)} {_digits(rng, 3)} "
         f"{_digits(rng, 3)} {_digits(rng, 2)}", f"CNPJ {_digits(rng, 14)}",
         f"Aadhaar {_digits(rng, 4)} {_digits(rng, 4)} {_digits(rng, 4)}",
         f"CPF {_digits(rng, 3)}.{_digits(rng, 3)}.{_digits(rng, 3)}-{_digits(rng, 2)}",
         f"身份证 11010119{_digits(rng, 10)}",
         f"AHV 756.{_digits(rng, 4)}.{_digits(rng, 4)}.{_digits(rng, 2)}")
    )  # fmt: skip


_REFERENCES = (
    "ref {}", "reference number: {}", "RRN {}", "processor ref. {} settled", "txn_id={}",
    "Referenznummer {}", "référence {}", "referencia: {}", "número de referencia {}",
    "riferimento n. {}", "номер операции {}", "参考号{}", '"transactionId": "{}"', "ARN {}",
)  # fmt: skip
_ORDERS = (
    "invoice {}", "Rechnung Nr. {} vom Montag", "facture n° {}", "your order {} has shipped",
    "Bestellnummer: {}", "pedido {}", "factura {}", "INV-{}", "заказ № {}", "订单号{}",
    "ordine numero {}", "{} is the invoice number", "customer id {}", "orderId={}",
)  # fmt: skip
_ALONE = ("{}", "see {} below", "{} ok", "Wir haben {} erhalten", "voir {} ci-joint", "at {} done")

DECOYS: dict[str, tuple[Sequence[str], Callable[[random.Random], str]]] = {
    "16-digit references": (_REFERENCES, _reference),
    "16-digit references like cards": (_REFERENCES, _reference_that_passes),
    "16-digit numbers without a word": (_ALONE, _reference),
    "invoices and orders like cards": (_ORDERS, _reference_that_passes),
    "IMEI": (("IMEI {}", "imei: {}", *_ALONE), _imei),
    "ICCID": (("SIM {}", "ICCID {}", *_ALONE), _iccid),
    "IBAN": (("IBAN {}", "Konto {}", *_ALONE), _iban),
    "telephone numbers": (_ALONE, _phone),
    "national ids": (_ALONE, _national_id),
    "timestamps": (_ALONE, _timestamp),
    "tracking numbers": (_ALONE, _tracking),
    "UUIDs and hashes": (("id {}", "request {}", *_ALONE), _uuid),
    "amounts": (_ALONE, _amount),
    "addresses": (_ALONE, _url),
}


def corpus(seed: int, each: int = 300) -> list[Sample]:
    """So many samples of every kind; the same ones for the same seed."""
    rng = random.Random(seed)
    pans = synthetic_pans(3 * each, seed)
    plain = [pan for pan in pans if _says_card_by_itself(pan)]
    samples = [_with_card(rng, "cards with a word", LABELLED, pan) for pan in pans[:each]]
    samples += [_with_card(rng, "cards without a word", BARE, pan) for pan in plain[:each]]
    for kind, (sentences, number) in DECOYS.items():
        texts = [rng.choice(sentences).format(number(rng)) for _ in range(each)]
        samples += [Sample(kind, text, ()) for text in texts]
    samples += [_with_both(rng, pan) for pan in plain[-each:]]
    return samples


def _says_card_by_itself(pan: str) -> bool:
    is_maestro = pan.startswith("5000")
    return len(pan) in PLAIN_LENGTHS and not pan.startswith("1") and not is_maestro


def _with_card(rng: random.Random, kind: str, sentences: Sequence[str], pan: str) -> Sample:
    return Sample(
        kind, rng.choice(sentences).format(rng.choice(SPELLINGS)(pan)), (pan.encode("ascii"),)
    )


def _with_both(rng: random.Random, pan: str) -> Sample:
    sentences, number = rng.choice(list(DECOYS.values()))
    decoy = rng.choice(sentences).format(number(rng))
    card = _with_card(rng, "", LABELLED, pan)
    halves = [decoy, card.text]
    rng.shuffle(halves)
    return Sample("cards beside other numbers", "; ".join(halves), card.pans)
