"""Words for cards and for other numbers are known in many languages, whatever endings they have."""

from __future__ import annotations

import pytest

from pipeline.core.text_labels import label_before
from pipeline.core.text_pans import find_pans_in_text
from pipeline.core.text_words import Label

VISA = "4539148803436467"
MAESTRO = "677090123451"  # as long as a reference number: needs a word


@pytest.mark.parametrize(
    "words",
    [
        *(
            "Mitt kortnummer är",
            "Mit kortnummer er",
            "Kortnummeret mitt er",
            "Luottokortin numero:",
        ),
        *("Mijn kaartnummer is", "Betaalpas", "Numer mojej karty to", "Číslo mé karty je"),
        *("A kártyaszámom", "Numărul cardului meu este", "Номерът на картата ми е"),
        *("Номер моєї картки", "Αριθμός κάρτας", "Kart numaram", "Broj kartice:"),
        *("Kredito kortelė:", "Kredītkartes numurs", "Minu kaardi number on", "Kartu kredit:"),
        *("Nombor kad saya", "Thẻ tín dụng:", "หมายเลขบัตรของฉันคือ", "クレジットカード："),
        *("카드번호는", "رقم بطاقتي هو", "شماره کارت من", "מספר הכרטיס שלי הוא", "मेरा कार्ड नंबर"),
    ],
)
def test_a_word_for_a_card_is_known(words: str) -> None:
    for number in (VISA, MAESTRO):
        found = find_pans_in_text(f"{words} {number}")
        assert [hit.digits.decode() for hit in found] == [number]


@pytest.mark.parametrize(
    "words",
    [
        *("Ordrenummer", "Beställningsnummer:", "Tilausnumero", "Laskun numero", "Klantnummer"),
        *("Numer zamówienia", "Numer klienta:", "Číslo objednávky", "Faktúra č.", "Rendelési szám"),
        *("Număr comandă:", "Номер на поръчка", "Клиентски номер", "Номер замовлення"),
        *("Трек-номер", "Τιμολόγιο", "Sipariş numarası", "Müşteri no:", "Račun broj"),
        *("Užsakymo numeris", "Pasūtījuma numurs", "Tellimuse number", "Codice cliente:"),
        *("Número de seguimiento", "Código de barras", "Numéro client", "Nomor pesanan"),
        *("Mã đơn hàng", "หมายเลขคำสั่งซื้อ", "请求 交易编号：", "お問い合わせ番号", "고객번호"),
        *("رقم الفاتورة:", "شماره سفارش", "מספר הזמנה", "ऑर्डर नंबर", "Customer number"),
    ],
)
def test_a_word_for_another_number_is_known(words: str) -> None:
    assert label_before(f"{words} ") is Label.OTHER


def test_whom_a_number_belongs_to_says_nothing_until_the_number_is_called_theirs() -> None:
    assert label_before("the customer ") is None
    assert label_before("customer no. ") is Label.OTHER
    assert label_before("numéro du client : ") is Label.OTHER


def test_a_word_that_only_ends_in_one_for_another_number_says_nothing() -> None:
    assert label_before("Abbuchung ") is label_before("Abrechnung: ") is None
    assert label_before("Buchungsnummer ") is Label.OTHER


def test_a_card_of_another_kind_says_nothing() -> None:
    assert label_before("loyalty card ") is None
    assert label_before("kundkort ") is Label.CARD
