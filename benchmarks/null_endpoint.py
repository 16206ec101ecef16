"""AWS that answers correctly and stores next to nothing: what is left is the client's own cost.

python -m benchmarks.null_endpoint --known-share 0.98 --source-bytes FILE

It prints its port. A fingerprint counts as known, with a token made out of it, when its first bytes
say so: a share of all fingerprints, the same ones each time. The ledger keeps decisions, without
which no job would end.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import orjson

_LENGTH = re.compile(rb"content-length:\s*(\d+)", re.IGNORECASE)
_RANGE = re.compile(rb"range:\s*bytes=(\d+)-(\d*)", re.IGNORECASE)
_TARGET = re.compile(rb"x-amz-target:\s*\S+?\.(\w+)", re.IGNORECASE)
_HEAD_END = b"\r\n\r\n"
_MAX_FINGERPRINT = 2**32
_KEY = bytes(range(32))
_WRAPPED = base64.b64encode(b"wrapped").decode()
_ARN = "arn:aws:kms:us-east-1:000000000000:key/8476a536-e9f4-41e8-9739-2dfe598c3fcd"
LAST_MODIFIED = "Mon, 23 Nov 2026 12:00:00 GMT"


class Aws:
    """The answers, by operation."""

    def __init__(self, known_share: float, source: bytes, layout: bytes, delay: float) -> None:
        self._known_below = int(known_share * _MAX_FINGERPRINT)
        self._objects = {"incoming": source, "layouts": layout}
        self._decisions: dict[str, str] = {}
        self._delay = delay

    def later(self, answer: Callable[[], None]) -> None:
        """Answers at once, or after the delay."""
        if self._delay:
            asyncio.get_running_loop().call_later(self._delay, answer)
        else:
            answer()

    def answer(self, head: bytes, body: bytes) -> tuple[int, bytes, bytes]:
        """Status, extra headers and body of the response."""
        target = _TARGET.search(head)
        if target is None:
            return self._s3(head)
        operation = target[1].decode()
        if operation == "BatchExecuteStatement":  # most of all requests: none of them is parsed
            return 200, b"", b'{"Responses":[%b]}' % b",".join([b"{}"] * body.count(b'"Statement"'))
        return 200, b"", orjson.dumps(getattr(self, f"_{operation}")(orjson.loads(body)))

    def _s3(self, head: bytes) -> tuple[int, bytes, bytes]:
        method, path, _ = head.split(b" ", 2)
        parts = unquote(path.decode()).split("?")[0].split("/")
        folder = parts[2] if len(parts) > 2 and parts[-1] != "folders.toml" else ""
        content = self._objects.get(folder)
        if method in (b"GET", b"HEAD"):
            if content is None:
                return 404, b"", b"<Error><Code>NoSuchKey</Code></Error>"
            wanted = _RANGE.search(head)
            start = int(wanted[1]) if wanted else 0
            extra = f'Last-Modified: {LAST_MODIFIED}\r\nETag: "x"\r\n'.encode()
            if wanted:
                last = len(content) - 1
                extra += f"Content-Range: bytes {start}-{last}/{len(content)}\r\n".encode()
            return 206 if wanted else 200, extra, content[start:]
        copied = b"<CopyObjectResult><ETag>x</ETag></CopyObjectResult>"
        return 200, b'ETag: "x"\r\n', copied if b"x-amz-copy-source" in head.lower() else b""

    def _BatchGetItem(self, request: dict) -> dict:
        ((table, wanted),) = request["RequestItems"].items()
        items = []
        for key in wanted["Keys"]:
            fingerprint = base64.b64decode(key["fingerprint"]["B"])
            if int.from_bytes(fingerprint[4:8], "big") < self._known_below:
                token = base64.b32encode(fingerprint[-17:]).decode().lower()[:26]
                items.append({**key, "token": {"S": f"tok_{token}"}})
        return {"Responses": {table: items}, "UnprocessedKeys": {}}

    def _BatchWriteItem(self, request: dict) -> dict:
        return {"UnprocessedItems": {}}

    def _PutItem(self, request: dict) -> dict:
        return {}

    def _DescribeTable(self, request: dict) -> dict:
        return {
            "Table": {
                "TableName": request["TableName"],
                "KeySchema": [{"AttributeName": "token", "KeyType": "HASH"}],
                "AttributeDefinitions": [{"AttributeName": "token", "AttributeType": "S"}],
            }
        }

    def _UpdateItem(self, request: dict) -> dict:
        attributes = {"status": {"S": "running"}, "attempts": {"N": "1"}, **request["Key"]}
        return {"Attributes": attributes}

    def _GetItem(self, request: dict) -> dict:
        if request["Key"].get("data_key_id") == {"S": "fingerprint-ring"}:
            return {}  # a deployment whose fingerprint key is its first
        if "data_key_id" in request["Key"]:
            context = {"purpose": {"S": "fingerprint"}, **request["Key"]}
            return {
                "Item": {
                    **request["Key"],
                    "wrapped_key": {"B": _WRAPPED},
                    "key_arn": {"S": _ARN},
                    "purpose": {"S": "fingerprint"},
                    "encryption_context": {"M": context},
                    "created_at": {"S": "2026-11-23T12:00:00.000Z"},
                }
            }
        decision = self._decisions.get(request["Key"]["job_id"]["S"])
        item = {"status": {"S": "publishing"}, "decision": {"S": decision}} if decision else None
        return {"Item": item} if item else {}

    def _TransactWriteItems(self, request: dict) -> dict:
        update = request["TransactItems"][0]["Update"]
        decision = update["ExpressionAttributeValues"][":decision"]["S"]
        self._decisions[update["Key"]["job_id"]["S"]] = decision
        return {}

    def _GenerateDataKey(self, request: dict) -> dict:
        plaintext = base64.b64encode(os.urandom(32)).decode()
        return {"Plaintext": plaintext, "CiphertextBlob": _WRAPPED, "KeyId": request["KeyId"]}

    def _Decrypt(self, request: dict) -> dict:
        return {"Plaintext": base64.b64encode(_KEY).decode(), "KeyId": _ARN}

    def _Encrypt(self, request: dict) -> dict:
        blob = base64.b64encode(b"\1" * 100 + base64.b64decode(request["Plaintext"])).decode()
        return {"CiphertextBlob": blob, "KeyId": request["KeyId"]}


class _Conversation(asyncio.Protocol):
    """One connection: requests come in order, and so do the answers."""

    def __init__(self, aws: Aws) -> None:
        self._aws = aws
        self._received = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        while (head_end := self._received.find(_HEAD_END)) >= 0:
            head_end += len(_HEAD_END)
            head = bytes(self._received[:head_end])
            if b"100-continue" in head.lower():
                self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            length = _LENGTH.search(head)
            end = head_end + (int(length[1]) if length else 0)
            if len(self._received) < end:
                return
            body = bytes(self._received[head_end:end])
            del self._received[:end]
            self._aws.later(lambda head=head, body=body: self._answer(head, body))

    def _answer(self, head: bytes, body: bytes) -> None:
        status, extra, content = self._aws.answer(head, body)
        self._transport.write(
            b"HTTP/1.1 %d OK\r\nContent-Length: %d\r\nx-amz-request-id: r\r\n%s\r\n%s"
            % (status, len(content), extra, b"" if head.startswith(b"HEAD") else content)
        )


async def _serve(aws: Aws) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Conversation(aws), "127.0.0.1", 0, backlog=512)
    print(server.sockets[0].getsockname()[1], flush=True)
    async with server:
        await server.serve_forever()


def main() -> None:
    """Serves until it is ended."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--known-share", type=float, default=0.0)
    parser.add_argument("--source", type=Path, required=True)
    parser.add_argument("--layout", type=Path, required=True)
    parser.add_argument("--delay", type=float, default=0.0, help="seconds before each answer")
    options = parser.parse_args()
    aws = Aws(
        options.known_share, options.source.read_bytes(), options.layout.read_bytes(), options.delay
    )
    asyncio.run(_serve(aws))


if __name__ == "__main__":
    main()
