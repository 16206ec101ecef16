"""What the API takes and answers; its OpenAPI document is made of these.

Unknown fields are refused, so that nobody sends what must not be kept: a CVV, a track, a PIN
(PCI DSS v4.0.1, 3.3.1).
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from pipeline.core.grants import MAX_ROWS_PER_JOB, PURPOSE_PATTERN, SCOPE_PATTERN

MAX_ITEMS = 100
# Above it is no PAN and no token, whatever stands between the digits.
MAX_TEXT_CHARACTERS = 256


def _whole(number: object) -> object:
    """JSON Schema takes 7.0 for an integer."""
    return int(number) if isinstance(number, float) and number.is_integer() else number


_BASE64 = r"^(?:[A-Za-z0-9+/]{4}){1,500}(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$"
WholeNumber = Annotated[int, BeforeValidator(_whole)]
Text = Annotated[str, Field(max_length=MAX_TEXT_CHARACTERS)]


class Message(BaseModel):
    """Strict in what it takes, silent about it in errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, hide_input_in_errors=True)


class CardToTokenize(Message):
    """A card number, with spaces, dashes or without."""

    pan: Text = Field(repr=False, examples=["4111 1111 1111 1111"])
    customer_id: Text | None = Field(default=None, repr=False, description="Kept in clear.")


class TokenizeRequest(Message):
    """1 to 100 card numbers of one scope."""

    scope: str = Field(default="default", pattern=SCOPE_PATTERN)
    items: list[CardToTokenize] = Field(min_length=1, max_length=MAX_ITEMS, repr=False)


class ItemError(Message):
    """What is wrong with one item."""

    code: str = Field(examples=["pan_too_short", "unknown_token"])

    @classmethod
    def of(cls, code: str | None) -> ItemError | None:
        """The error of this code; None if there is none."""
        return cls(code=code) if code else None


class TokenizedCard(Message):
    """A token, or an error: never both."""

    token: str | None = None
    last4: str | None = None
    scheme: str | None = None
    passes_luhn: bool | None = Field(
        default=None, description="Whether the check digit is right; a wrong one is no error."
    )
    error: ItemError | None = None


class TokenizeResponse(Message):
    """One result for each item, in the order of the request."""

    results: list[TokenizedCard]


class DetokenizeRequest(Message):
    """1 to 100 tokens and what for."""

    purpose: str = Field(pattern=PURPOSE_PATTERN, examples=["chargeback"])
    view: Literal["masked", "full"] = "masked"
    tokens: list[Text] = Field(min_length=1, max_length=MAX_ITEMS, repr=False)


class DetokenizedToken(Message):
    """A card number, or an error: never both.

    `token` is null for what has not the form of a token.
    """

    token: str | None
    pan: str | None = Field(default=None, repr=False, examples=["************1111"])
    error: ItemError | None = None


class DetokenizeResponse(Message):
    """One result for each token, in the order of the request."""

    results: list[DetokenizedToken] = Field(repr=False)


class TokenDescription(Message):
    """What is known of a token without opening it."""

    token: str
    last4: str
    scheme: str
    created_at: str


HexDigest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class BulkJobRequest(Message):
    """A file of tokens that is to be opened once somebody approves it."""

    purpose: str = Field(pattern=PURPOSE_PATTERN)
    rows: WholeNumber = Field(ge=1, le=MAX_ROWS_PER_JOB)
    tokens_root: HexDigest = Field(description="The root of the hash tree over the tokens.")
    public_key: str = Field(pattern=r"^[A-Za-z0-9+/]{43}=$", description="X25519, raw, base64.")


class BulkJobDescription(Message):
    """The job as it is to be approved: the encryption context of its approval."""

    purpose: Literal["bulk"]
    job_id: str = Field(pattern=r"^bulk_[a-z2-7]{26}$")
    requester: str = Field(max_length=384)
    reason: str = Field(pattern=PURPOSE_PATTERN)
    rows: str = Field(pattern=r"^[1-9][0-9]{0,6}$")
    tokens_root: HexDigest
    public_key: str = Field(pattern=r"^[A-Za-z0-9+/]{43}=$")
    created_at: str = Field(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]{12}Z$")


class BulkJobDocument(Message):
    """A job, and the wrapped key that only its approval unwraps."""

    job: BulkJobDescription
    wrapped_key: str = Field(pattern=_BASE64)


class SliceRequest(Message):
    """The tokens of one slice, and the proof that they belong to the job's file."""

    document: BulkJobDocument
    number: WholeNumber = Field(ge=0, lt=MAX_ROWS_PER_JOB)
    tokens: list[Text] = Field(min_length=1, max_length=MAX_ITEMS, repr=False)
    proof: list[HexDigest] = Field(max_length=20)


class SliceResponse(Message):
    """What came of a slice, sealed to the requester's key (HPKE), in base64."""

    sealed: str
    opened: int
    errors: int


class BulkJobEnd(Message):
    """The job whose approval is to be retired."""

    document: BulkJobDocument


class BulkJobEnded(Message):
    """The approval is retired."""

    job_id: str


class Mistake(Message):
    """Where a request does not hold to the document: a place, never what stands there."""

    place: str = Field(examples=["items[3].pan"])
    code: str = Field(examples=["string_type"])


class Problem(BaseModel):
    """RFC 9457. `code` is for programs; `request_id` is what the audit log has."""

    type: str = "about:blank"
    title: str
    status: int
    code: str
    request_id: str
    retry_after_seconds: int | None = None
    mistakes: list[Mistake] | None = None
