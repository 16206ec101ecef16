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
_TABLE = re.compile(rb'"RequestItems":\{("[^"]*")')
_FINGERPRINT = re.compile(rb'"B":"([^"]*)"')
_KNOWN = b'{"fingerprint":{"B":"%b"},"token":{"S":"tok_%b"}}'
_FINGERPRINTS = 2**24
_KEY = bytes(range(32))
_WRAPPED = base64.b64encode(b"wrapped").decode()
_ARN = "arn:aws:kms:us-east-1:000000000000:key/8476a536-e9f4-41e8-9739-2dfe598c3fcd"
LAST_MODIFIED = "Mon, 23 Nov 2026 12:00:00 GMT"
_PIECE_BYTES = 256 * 1024  # of a long answer: who stops listening early is not sent the rest

Content = bytes | memoryview


class Aws:
    """The answers, by operation."""

    def __init__(self, known_share: float, source: bytes, layout: bytes, delay: float) -> None:
        self._known_below = int(known_share * _FINGERPRINTS)
        self._objects = {"incoming": source, "layouts": layout}
        self._items: dict[str, dict] = {}
        self._delay = delay

    def later(self, answer: Callable[[], None]) -> None:
        """Answers at once, or after the delay."""
        if self._delay:
            asyncio.get_running_loop().call_later(self._delay, answer)
        else:
            answer()

    def answer(self, head: bytes, body: bytes) -> tuple[int, bytes, Content]:
        """Status, extra headers and body of the response."""
        target = _TARGET.search(head)
        if target is None:
            return self._s3(head, body)
        operation = target[1].decode()
        # Those of the hot path are answered without being parsed.
        if operation == "BatchGetItem":
            return 200, b"", self._looked_up(body)
        if operation == "BatchExecuteStatement":
            return 200, b"", b'{"Responses":[%b]}' % b",".join([b"{}"] * body.count(b'"Statement"'))
        return 200, b"", orjson.dumps(getattr(self, f"_{operation}")(orjson.loads(body)))

    def _s3(self, head: bytes, body: bytes) -> tuple[int, bytes, Content]:
        method, target, _ = head.split(b" ", 2)
        path, _, query = unquote(target.decode()).partition("?")
        key = path.split("/", 2)[2]
        if method in (b"GET", b"HEAD"):
            return self._get(key, head)
        if method == b"POST":
            tag = b"InitiateMultipartUploadResult" if "uploads" in query else b"CompleteMultipart"
            return 200, b"", b"<%b><UploadId>u</UploadId><ETag>x</ETag></%b>" % (tag, tag)
        if method == b"PUT" and key.startswith("staging/"):  # what a worker may read again
            earlier = self._objects.get(key, b"") if "partNumber" in query else b""
            self._objects[key] = earlier + body
        copied = b"<CopyObjectResult><ETag>x</ETag></CopyObjectResult>"
        return 200, b'ETag: "x"\r\n', copied if b"x-amz-copy-source" in head.lower() else b""

    def _get(self, key: str, head: bytes) -> tuple[int, bytes, Content]:
        content = self._objects.get(key, self._objects.get(key.split("/", maxsplit=1)[0]))
        if content is None or key.endswith("/folders.toml"):
            return 404, b"", b"<Error><Code>NoSuchKey</Code></Error>"
        extra = f'Last-Modified: {LAST_MODIFIED}\r\nETag: "x"\r\n'.encode()
        wanted = _RANGE.search(head)
        if wanted is None:
            return 200, extra, content
        start, last = int(wanted[1]), int(wanted[2] or len(content) - 1)
        extra += f"Content-Range: bytes {start}-{last}/{len(content)}\r\n".encode()
        return 206, extra, memoryview(content)[start : last + 1]

    def _looked_up(self, body: bytes) -> bytes:
        """A token for each fingerprint that counts as known, made of its own characters."""
        match = _TABLE.search(body)
        assert match is not None
        keys = _FINGERPRINT.findall(body)
        if self._known_below < _FINGERPRINTS:
            keys = [key for key in keys if _share(key) < self._known_below]
        items = b",".join([_KNOWN % (key, key[-26:].lower()) for key in keys])
        return b'{"Responses":{%b:[%b]},"UnprocessedKeys":{}}' % (match[1], items)

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
        key = request["Key"]["job_id"]["S"]
        item = self._items.setdefault(key, {**request["Key"], "attempts": {"N": "0"}})
        item.setdefault("status", {"S": "running"})
        values = request["ExpressionAttributeValues"]
        for name in ("chunk", "planned", "sha256"):
            if f":{name}" in values:
                item.setdefault(name, values[f":{name}"])
        if ":ordinal" in values:
            done = {*item.get("done", {}).get("NS", ()), *values[":ordinal"]["NS"]}
            item["done"] = {"NS": sorted(done)}
        return {"Attributes": item}

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
        item = self._items.get(request["Key"]["job_id"]["S"])
        return {"Item": item} if item else {}

    def _TransactWriteItems(self, request: dict) -> dict:
        update = request["TransactItems"][0]["Update"]
        decision = update["ExpressionAttributeValues"][":decision"]["S"]
        item = self._items.setdefault(update["Key"]["job_id"]["S"], {})
        item |= {"decision": {"S": decision}, "status": {"S": "publishing"}}
        return {}

    def _GenerateDataKey(self, request: dict) -> dict:
        plaintext = base64.b64encode(os.urandom(32)).decode()
        return {"Plaintext": plaintext, "CiphertextBlob": _WRAPPED, "KeyId": request["KeyId"]}

    def _Decrypt(self, request: dict) -> dict:
        return {"Plaintext": base64.b64encode(_KEY).decode(), "KeyId": _ARN}

    def _Encrypt(self, request: dict) -> dict:
        blob = base64.b64encode(b"\1" * 100 + base64.b64decode(request["Plaintext"])).decode()
        return {"CiphertextBlob": blob, "KeyId": request["KeyId"]}


def _share(fingerprint: bytes) -> int:
    """Where it lies among all of them: three of its bytes, behind the key's version."""
    return int.from_bytes(base64.b64decode(fingerprint[4:8]), "big")


class _Conversation(asyncio.Protocol):
    """One connection: requests come in order, and so do the answers."""

    def __init__(self, aws: Aws) -> None:
        self._aws = aws
        self._received = bytearray()
        self._rest = memoryview(b"")
        self._is_paused = False

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
        beginning = b"" if head.startswith(b"HEAD") else content[:_PIECE_BYTES]
        self._transport.write(
            b"HTTP/1.1 %d OK\r\nContent-Length: %d\r\nx-amz-request-id: r\r\n%s\r\n%s"
            % (status, len(content), extra, beginning)
        )
        self._rest = memoryview(content)[len(beginning) :] if beginning else self._rest[:0]
        self._go_on()

    def _go_on(self) -> None:
        while self._rest and not self._is_paused:
            piece, self._rest = self._rest[:_PIECE_BYTES], self._rest[_PIECE_BYTES:]
            self._transport.write(piece)

    def pause_writing(self) -> None:
        self._is_paused = True

    def resume_writing(self) -> None:
        self._is_paused = False
        self._go_on()


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
    parser.add_argument("--core", type=int, default=-1, help="to be pinned to; -1 for any")
    options = parser.parse_args()
    if options.core >= 0 and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {options.core % (os.cpu_count() or 1)})
    aws = Aws(
        options.known_share, options.source.read_bytes(), options.layout.read_bytes(), options.delay
    )
    asyncio.run(_serve(aws))


if __name__ == "__main__":
    main()
