"""The words that say what a number is, in three dozen languages, in lower case without accents."""

from __future__ import annotations

from enum import Enum


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


# Whole words; a plural's s aside.
FORMS = {
    Label.NEVER: _set(
        """imei meid iccid icc eid iban bban bic swift sepa uuid guid hash checksum sha epoch
        timestamp zeitstempel horodatage"""
    ),
    Label.SHORT: _set(
        """account acct accnt acc konto kontos compte cuenta conta conto rekening hesap
        terminal merchant mid tid
        tel telephone telefon telefono telefone phone mobile mobil cell handy fax whatsapp sms
        msisdn call ruf ruckruf portable puhelin gsm isbn issn ean gtin upc vat tax steuer siret
        siren nif cif dni nie cpf cnpj ssn nino nir insee pesel tckn aadhaar bsn ahv passport
        passeport reisepass"""
    ),
    Label.OTHER: _set(
        """ref riferimento rrn arn trace invoice inv rechnung rechnungs facture factura
        fattura factuur fatura
        order ord po bestell bestellung auftrag auftrags commande pedido ordine
        encomenda comanda arve resi
        tracking track trk parcel package paket colis suivi envio guia spedizione pacco pakket
        kargo takip ups fedex dhl usps awb waybill ticket case claim incident
        trans txn trx transaction transaktion transaktions transaccion operation operacion
        booking buchung buchungs reservation reserva policy police poliza
        contract vertrag vertrags contrat contrato serial serie serien sku article artikel produkt
        member membership loan mortgage patient mrn reading build license licence
        session correlation barcode barras voucher coupon lot dossier pratica expediente
        receipt beleg quittung recu recibo ricevuta settlement payout processor gateway
        acquirer psp meter zaehler confirmation seq sequence sn"""
    ),
    Label.CARD: _set(
        """cc pan ccn visa amex americanexpress discover diners jcb unionpay maestro rupay verve
        troy debit credit plastic cvv cvc exp expiry expire expiring expiration valid paid pay
        paying charge charged funding carte carta cb bancaire paiement paye bezahlt gueltig
        credito debito pagado pagada cartao cartoes pago pagato betaald betalt kad kadi betaalpas
        pinpas bankpas"""
    ),
}
# What a word holds, its endings and the rest of a compound aside; the last of several counts.
STEMS = {
    Label.CARD: _set(
        """card kart kort kaart kaard tarjet targeta tarxeta txartel cerdyn primaryaccount
        卡 カード 카드 карт कार्ड কার্ড بطاق کارت כרטיס καρτ քարտ ბარათ บัตร ບັດ កាត ကတ်
        કાર્ડ ಕಾರ್ಡ್ കാർഡ് கார்ட் కార్డ్"""
    ),
    Label.OTHER: _set(
        """referen shipm consignm sendung seriennum ordre bestall faktur kenmerk tilau lasku
        viite asiakas
        zamowien przesyl objednav symbol zakaznic rendel szamla ugyfel comenz
        siparis musteri porudzb narudzb narocil racun uzsakym saskait pasutij rekin tellimus
        pesanan seguimiento rastre protocol
        订单 訂單 运单 物流 快递 发票 發票 流水 参考 交易 客户号 客户编号
        注文 伝票 追跡 請求書 会員番号 合わせ番号 주문 송장 고객번호
        заказ замовл поръч накладн счет счёт рахун фактур референс трек операц транзакц квитанц
        договор ссылк клиентск клієнтськ παραγγελ τιμολογ طلب فاتورة تتبع سفارش فاکتور
        הזמנה חשבונית ऑर्डर चालान অর্ডার คำสั่งซื้อ พัสดุ"""
    ),
    Label.SHORT: _set("电话 電話 手机 전화 телефон тел هاتف τηλ"),
    Label.NEVER: _set("身份证"),
}
PAIRS = {
    **{
        (kind, account): Label.CARD
        for kind in ("card", "primary", "credit", "debit", "visa", "mastercard", "amex")
        for account in ("account", "acct")
    },
    ("s", "n"): Label.OTHER,  # serial number
    ("airway", "bill"): Label.OTHER,
    ("so", "the"): Label.CARD,  # Vietnamese: card number, credit; then order, invoice
    ("tin", "dung"): Label.CARD,
    ("don", "hang"): Label.OTHER,
    ("hoa", "don"): Label.OTHER,
    ("van", "don"): Label.OTHER,
}
COMPOUND_ENDINGS = ("nummer", "numarasi", "referenz", "verfolgung", "schein", "zeichen")
NUMBER_ENDINGS = ("nummer", "numarasi", "number", "num", "nr", "no", "id", "code")
NUMBER_WORDS = _set(
    """number numbers nbr no nos nr num numero numer nummer n id ids code cod codigo codice cislo c
    nomor nombor numarasi szam stevilka st broj numurs numeris номер नंबर संख्या নম্বর"""
)
# A number of theirs is none of a card, but a number may stand beside them alone.
HOLDERS = _set(
    """customer client cliente clienti klient klienta zakaznika employee student user part batch
    job document registration reg certificate subscription container chassis device asset request
    campaign routing cheque"""
)
CONNECTIVES = NUMBER_WORDS | _set(
    """numarali key value val data is was are
    my our your the a an of was ist war lautet die der das mein meine unsere est sont le la les
    de du mon ma votre es son el su mi mio il sono e o er mijn het het
    generated issued assigned created given received registered details info full digits
    identifier note"""
)
COPULAS = _set("is was are ist war est es e er jest became")
IDENTIFIERS = _set("id ids uid")  # of whatever stands before it
OTHER_CARDS = _set("id loyalty membership library business identity bonus sim")
