"""What the words around a number say it is: a card, something else, or nothing."""

from __future__ import annotations

import re
import unicodedata
from enum import Enum

NEAR_CHARACTERS = 100  # about a sentence
_MAX_CONNECTIVES = 6
_LONGEST_WITHOUT_PLURAL = 3  # letters: POS is a point of sale, and not some purchase orders


class Label(Enum):
    """What a word says of the number beside it.

    `OTHER` is a word that a card may stand behind now and then (a reference, an order), `SHORT`
    one of a numbering system whose numbers have 15 digits or fewer (telephones, GTIN, tax, most
    accounts: a longer account number is that of a card as well as another),
    `NEVER` one of another system whose numbers are as long as a card's (IMEI, ICCID, IBAN).
    """

    CARD = "card"
    OTHER = "other"
    SHORT = "short"
    NEVER = "never"


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


_CARD = _set(
    """card cc pan primaryaccount ccn cardholder visa mastercard amex americanexpress discover
    diners jcb unionpay maestro rupay verve troy debit credit plastic cvv cvc exp expiry expire
    expiring expiration valid paid pay paying charge charged funding
    carte bancaire cb paiement paye karte karten kreditkarten bezahlt gueltig
    tarjeta credito debito pagado pagada cartao cartoes pago pagato kaart kaarten betaald
    kortet betalt kortti kart karti karta karty kartu kredi karte kartya kartica"""
)
_CARD_ENDINGS = ("card", "karte", "karten", "kaart", "kort", "kortti", "kart", "karta", "kartya")
_OTHER = _set(
    """ref reference referenz referencia referencia riferimento referentie rrn arn trace
    invoice inv rechnung rechnungs facture factura fattura factuur fatura faktura
    order ord po bestell bestellung auftrag auftrags commande pedido ordine bestelling
    encomenda siparis zamowienie zamowienia objednavka tracking track trk parcel shipment shipping
    package consignment sendung sendungs paket colis suivi envio guia spedizione pacco pakket
    kargo takip przesylki ups fedex dhl usps awb waybill ticket case claim incident
    transaction txn trx trans transaktion transaktions transaccion operation operacion
    booking buchung buchungs reservation reserva policy police poliza contract vertrag vertrags
    contrat contrato serial seriennummer serie serien sku article artikel produkt
    member membership loan mortgage patient mrn reading build license licence
    session correlation barcode voucher coupon lot
    receipt beleg quittung recu recibo ricevuta settlement payout processor gateway
    acquirer psp meter zaehler confirmation seq sequence sn"""
)
_NEVER = _set(
    """imei meid iccid icc eid iban bban bic swift sepa uuid guid hash checksum sha epoch timestamp
    zeitstempel horodatage"""
)
_SHORT = _set(
    """account acct accnt acc konto kontos compte cuenta conta conto rekening hesap
    terminal merchant mid tid
    tel telephone telefon telefono telefone phone mobile mobil cell handy fax whatsapp sms msisdn
    call ruf ruckruf portable puhelin gsm isbn issn ean gtin upc vat tax steuer siret siren nif cif
    dni nie cpf cnpj ssn nino nir insee pesel tckn aadhaar bsn ahv passport passeport reisepass"""
)
_CONNECTIVES = _set(
    """number numbers nbr no nos nr num numero nummer n id ids code key value val data is was are
    my our your the a an of was ist war lautet die der das mein meine unsere est sont le la les
    de du mon ma votre es son el su mi mio il sono e o er mijn het het numer cislo numarasi numarali
    generated issued assigned created given received registered details info full digits
    identifier note"""
)
_COPULAS = _set("is was are ist war est es e er jest became")
_NUMBER_ENDINGS = ("nummer", "numarasi", "number", "num", "nr", "no", "id", "code")
# A card that is none for payments: says nothing either way.
_OTHER_CARDS = _set("id loyalty membership library business identity bonus sim")
# Scripts without spaces, and languages that endings grow on: a stem anywhere in a word counts.
_STEMS = {
    Label.CARD: _set("卡 カード 카드 карт कार्ड بطاق כרטיס καρτ"),
    Label.OTHER: _set(
        """订单 訂單 运单 快递 发票 流水 参考 注文 伝票 追跡 주문 송장 заказ накладн счет счёт
        референс трек операц транзакц квитанц договор ссылк طلب παραγγελ"""
    ),
    Label.SHORT: _set("电话 電話 手机 전화 телефон тел هاتف τηλ"),
    Label.NEVER: _set("身份证"),
}
_IDENTIFIERS = _set("id ids uid")  # of whatever stands before it
_FORMS = {
    Label.NEVER: _NEVER,
    Label.SHORT: _SHORT,
    Label.OTHER: _OTHER,
    Label.CARD: _CARD,
}
_PAIRS = {
    **{
        (kind, account): Label.CARD
        for kind in ("card", "primary", "credit", "debit", "visa", "mastercard", "amex")
        for account in ("account", "acct")
    },
    ("s", "n"): Label.OTHER,  # serial number
}
_COMPOUND_ENDINGS = ("nummer", "numarasi", "referenz", "verfolgung", "schein", "zeichen")
# Where a sentence ends or another begins; a point behind a short word is an abbreviation's.
_BREAK = re.compile(r"[!?;,]\s|(?<=[^\W\d_]{5})(?<!nr)(?<!no)(?<!num)(?<!ref)\.\s|[。！？，；]")  # noqa: RUF001
_CAMEL = re.compile(r"(?<=[a-z]{2})(?=[A-Z])")  # an iPhone is no telephone number
_WORD = re.compile(r"[^\W\d_]+")
_REMARK = re.compile(r"\s?[(\[]([^()\[\]0-9]{1,40})[)\]]")
_OTHER_NUMBER = re.compile(r"(?<![^\W_])\d+|\d{3}")  # the words before it are its own


def label_before(text: str) -> Label | None:
    """What the words right before a number say, `text` being what precedes it."""
    window = text[-NEAR_CHARACTERS:]
    for end in (_OTHER_NUMBER, _BREAK):
        window = window[max((match.end() for match in end.finditer(window)), default=0) :]
    words = words_of(window)
    is_identifier = bool(words) and words[-1] in _IDENTIFIERS and len(words) > 1
    for at in range(len(words) - 1, max(len(words) - 1 - _MAX_CONNECTIVES, -1), -1):
        label = label_of(words[at], words[at - 1] if at else "")
        if label or words[at] not in _CONNECTIVES:
            return label or (Label.OTHER if is_identifier else None)
    return None


def label_after(text: str) -> Label | None:
    """What is said of a number behind it: `… is my tracking number`, `… (order)`."""
    remark = _REMARK.match(text)
    words = words_of(remark[1] if remark else text[:NEAR_CHARACTERS])
    if not words or not (remark or words[0] in _COPULAS):
        return None
    for at, word in enumerate(words[:_MAX_CONNECTIVES]):
        label = label_of(word, words[at - 1] if at else "")
        if label or word not in _CONNECTIVES | _COPULAS:
            return label
    return None


def mentions_card(before: str, after: str) -> bool:
    """Whether a card is spoken of near a number."""
    words = [*words_of(before[-NEAR_CHARACTERS:]), *words_of(after[: NEAR_CHARACTERS // 2])]
    pairs = zip(words, ["", *words], strict=False)
    return any(label_of(word, earlier) is Label.CARD for word, earlier in pairs)


def words_of(text: str) -> list[str]:
    """The words of a text or an identifier, in lower case and without accents."""
    if not text.isascii():
        text = _unaccented(text)
    return [word.lower() for word in _WORD.findall(_CAMEL.sub(" ", text))]


def _unaccented(text: str) -> str:
    parts = unicodedata.normalize("NFKD", text)
    bare = "".join(each for each in parts if not "\u0300" <= each <= "\u036f")
    return unicodedata.normalize("NFC", bare).replace("ß", "ss").replace("ł", "l")


def label_of(word: str, earlier: str = "") -> Label | None:
    """What a word says, the one before it at hand."""
    if (earlier, word) in _PAIRS:
        return _PAIRS[earlier, word]
    if earlier in _OTHER_CARDS and word.endswith(_CARD_ENDINGS):
        return None
    return _label_of_form(word) or (None if word.isascii() else _label_of_stem(word))


def _label_of_form(word: str) -> Label | None:
    singular = word.removesuffix("s") if len(word) > _LONGEST_WITHOUT_PLURAL else word
    for form in (word, singular, *_without_number_endings(word)):
        for label, forms in _FORMS.items():
            if form in forms:
                return label
        if len(form) > len("card") and form.endswith(_CARD_ENDINGS):
            return Label.CARD
    is_compound = word.endswith(_COMPOUND_ENDINGS) and word not in _COMPOUND_ENDINGS
    return Label.OTHER if is_compound else None


def _without_number_endings(word: str) -> list[str]:
    return [
        word.removesuffix(ending)
        for ending in _NUMBER_ENDINGS
        if word.endswith(ending) and word != ending
    ]


def _label_of_stem(word: str) -> Label | None:
    """The label of the stem that stands last in a word."""
    places = {max(word.rfind(stem) for stem in stems): label for label, stems in _STEMS.items()}
    last = max(places)
    return places[last] if last >= 0 else None
