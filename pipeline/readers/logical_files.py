"""The logical files inside of an IPM file: a header message, data messages, a trailer message."""

from __future__ import annotations

from collections.abc import Mapping

from pipeline.core.clearing_formats import Ipm
from pipeline.core.ipm_elements import PRIVATE_DATA
from pipeline.errors import PermanentError
from pipeline.readers.ipm_messages import (
    TYPE_BYTES,
    MalformedMessageError,
    MessageParser,
    PrivateData,
    private_elements,
)

_CONTROL_TYPE, _HEADER_CODE, _TRAILER_CODE = "1644", "697", "695"
_MESSAGE_COUNT = "PDS0306"
_NO_FILE, _OPEN, _CLOSED = "no file", "open", "closed"


class LogicalFiles:
    """Counts messages from header to trailer and holds the trailer's count (PDS 0306) against it.

    Messages may stand without any header and trailer, unless the layout requires a trailer.
    """

    def __init__(self, settings: Ipm) -> None:
        self._settings = settings
        self._type, self._header, self._trailer = (
            text.encode(settings.encoding) for text in (_CONTROL_TYPE, _HEADER_CODE, _TRAILER_CODE)
        )
        self._parser = MessageParser(settings, PRIVATE_DATA)
        self._private = PrivateData.of(settings.encoding)
        self._state = _NO_FILE
        self._messages = 0

    def so_far(self) -> Mapping[str, str]:
        """State and count, for `go_on`."""
        return {"state": self._state, "messages": str(self._messages)}

    def go_on(self, earlier: Mapping[str, str]) -> None:
        """Goes on behind an earlier part of the file."""
        self._state = earlier.get("state", _NO_FILE)
        self._messages = int(earlier.get("messages", "0"))

    def check_encoding(self, message: bytes) -> None:
        """Raises `encoding_mismatch` when the first message does not begin as messages do."""
        kind = message[:TYPE_BYTES].decode(self._settings.encoding, "replace")
        if not (kind.isascii() and kind.isdigit()):
            raise PermanentError(
                "encoding_mismatch",
                "the first message's type is not four digits: see format.encoding and .blocked",
            )

    def takes_control(self, message: bytes, function_code: bytes) -> bool:
        """Takes note of a message; True for a header or trailer, which is no row.

        Raises `PermanentError` `trailer_missing`, `trailer_mismatch`, `records_after_trailer`.
        """
        is_control = message.startswith(self._type)
        if is_control and function_code == self._header:
            if self._state == _OPEN:
                raise PermanentError("trailer_missing", "a file header follows no trailer")
            self._state, self._messages = _OPEN, 1
            return True
        if self._state == _CLOSED:
            raise PermanentError("records_after_trailer", "messages follow the file trailer")
        self._messages += 1
        if is_control and function_code == self._trailer:
            self._verify(message)
            self._state = _CLOSED
            return True
        return False

    def _verify(self, message: bytes) -> None:
        if self._settings.trailer_counts == "nothing":
            return
        claimed = self._claimed(message)
        controls = 0
        if self._settings.trailer_counts == "data":
            controls = 2 if self._state == _OPEN else 1
        if claimed is not None and claimed != self._messages - controls:
            raise PermanentError(
                "trailer_mismatch",
                f"the trailer's PDS 0306 is not the {self._messages - controls} messages read: "
                "see format.trailer_counts",
            )

    def _claimed(self, message: bytes) -> int | None:
        """What the trailer states, None when it states nothing."""
        try:
            found = self._parser.elements(message)
            elements = private_elements(self._parser.slots, found)
            (raw,) = self._private.find(elements, {self._private.tag(_MESSAGE_COUNT): 0})
        except MalformedMessageError:
            raise PermanentError("trailer_mismatch", "the trailer cannot be read") from None
        text = raw.decode(self._settings.encoding, "replace").strip()
        if text and not (text.isascii() and text.isdigit()):
            raise PermanentError("trailer_mismatch", "PDS 0306 of the trailer is not a number")
        return int(text) if text else None

    def verify_end(self) -> bool:
        """Raises `trailer_missing`; True when the file ended with a trailer."""
        is_required = self._settings.trailer == "required"
        if self._state == _OPEN or (is_required and self._state != _CLOSED):
            raise PermanentError("trailer_missing", "the file ends without its trailer, 1644/695")
        return self._state == _CLOSED
