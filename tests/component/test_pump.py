"""Many steps at once over connections that are slow, break off, lie or end, with TLS and without."""

from __future__ import annotations

import ipaddress
import select
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from pipeline.aws import pump as pumps
from pipeline.aws.connection import Answer, Connection, ConnectionLostError, Endpoint
from pipeline.aws.pump import Exchange, Pause, Pump
from pipeline.testing import A_MOMENT

Respond = Callable[[bytes], bytes | None]


class Server:
    """Answers each request on a thread of its connection; `respond` says with what, None: hangs up."""

    def __init__(self, respond: Respond, tls: ssl.SSLContext | None = None) -> None:
        self._respond, self._tls = respond, tls
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=200)
        self.port = self._listener.getsockname()[1]
        self.connections = 0
        self._open: list[socket.socket] = []
        self._lock = threading.Lock()
        self.under_way = self.most_under_way = 0
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            self._open.append(connection)
            threading.Thread(target=self._talk, args=[connection], daemon=True).start()

    def _talk(self, connection: socket.socket) -> None:
        try:
            secured = (
                self._tls.wrap_socket(connection, server_side=True) if self._tls else connection
            )
            with secured, secured.makefile("rwb") as stream:
                while head := self._head(stream):
                    length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
                    body = stream.read(length)
                    with self._lock:
                        self.under_way += 1
                        self.most_under_way = max(self.most_under_way, self.under_way)
                    answer = self._respond(body)
                    with self._lock:
                        self.under_way -= 1
                    if answer is None:
                        return
                    stream.write(answer)
                    stream.flush()
        except (OSError, ValueError):
            return

    @staticmethod
    def _head(stream: object) -> bytes:
        lines = []
        while (line := stream.readline()) not in (b"", b"\r\n"):  # type: ignore[attr-defined]
            lines.append(line)
        return b"".join(lines)

    def say(self, unasked: bytes) -> None:
        for connection in self._open:
            connection.sendall(unasked)

    def close(self) -> None:
        self._listener.close()


@contextmanager
def serving(respond: Respond, tls: ssl.SSLContext | None = None) -> Iterator[Server]:
    server = Server(respond, tls)
    try:
        yield server
    finally:
        server.close()


def ok(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


def request(body: bytes) -> bytes:
    return b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)


def pump_to(server: Server, ca: str | None = None) -> Pump:
    scheme = "https" if ca else "http"
    endpoint = Endpoint.of_url(f"{scheme}://127.0.0.1:{server.port}/", ca, 2.0)
    return Pump(endpoint.connect)


async def ask(body: bytes, timeout_seconds: float = 5.0) -> Answer:
    return await Exchange(request(body), timeout_seconds)


def plenty() -> bool:
    return True


def test_answers_come_back_in_the_order_of_the_steps_whatever_order_they_take() -> None:
    def respond(body: bytes) -> bytes:
        time.sleep(0.001 * (int(body) % 7))
        return ok(body)

    with serving(respond) as server:
        answers = pump_to(server).run((ask(b"%d" % at) for at in range(200)), plenty)
    assert [int(answer.body) for answer in answers] == list(range(200))


def test_no_more_are_under_way_than_the_other_side_bears_and_connections_are_used_again() -> None:
    with serving(ok) as server:
        pump = pump_to(server)
        for _ in range(3):
            pump.run([ask(b"x") for _ in range(100)], plenty)
        assert server.most_under_way <= pump.most_under_way <= pumps.MOST_UNDER_WAY
        assert server.connections <= pumps.MOST_UNDER_WAY


def test_steps_are_taken_from_the_iterable_as_there_is_room() -> None:
    taken: list[int] = []

    def steps() -> Iterator[object]:
        for at in range(100):
            taken.append(at)
            yield ask(b"x")

    def respond(body: bytes) -> bytes:
        assert len(taken) <= pumps.MOST_UNDER_WAY + 100
        return ok(body)

    with serving(respond) as server:
        assert len(pump_to(server).run(steps(), plenty)) == 100  # type: ignore[arg-type]


def test_a_step_may_ask_again_and_again() -> None:
    async def count_to(most: int) -> list[bytes]:
        return [(await ask(b"%d" % at)).body for at in range(most)]

    with serving(ok) as server:
        found = pump_to(server).run((count_to(at) for at in range(6)), plenty)
    assert found == [[b"%d" % at for at in range(most)] for most in range(6)]


def test_a_large_request_and_a_large_answer_come_through_whole() -> None:
    body = bytes(range(256)) * 40_000
    with serving(ok) as server:
        (answer,) = pump_to(server).run([ask(body)], plenty)
    assert answer.body == body


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 400 Bad\r\nContent-Length: 5\r\n\r\nabcde",
        b"HTTP/1.1 400 Bad\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n",
        b"HTTP/1.1 400 Bad\r\nContent-Length: 5\r\nConnection: close\r\n\r\nabcde",
    ],
    ids=["behind one that is not final", "in chunks", "the last one of its connection"],
)
def test_an_answer_is_understood_however_it_is_framed(answer: bytes) -> None:
    with serving(lambda _: answer) as server:
        found = pump_to(server).run([ask(b"x") for _ in range(20)], plenty)
    assert found == [Answer(400, b"abcde")] * 20


async def _lost(body: bytes, timeout_seconds: float = 5.0) -> bool:
    try:
        await ask(body, timeout_seconds)
    except ConnectionLostError:
        return True
    return False


@pytest.mark.parametrize(
    "broken",
    [None, b"", b"SMTP ready\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort"],
)
def test_a_connection_that_breaks_off_or_talks_nonsense_is_lost_to_its_step_alone(
    broken: bytes | None,
) -> None:
    def respond(body: bytes) -> bytes | None:
        if body != b"bad":
            return ok(body)
        return broken or None

    with serving(respond) as server:
        bodies = [b"bad" if at == 3 else b"fine" for at in range(8)]
        steps = (_lost(body, 0.5 if body == b"bad" else 5.0) for body in bodies)
        found = pump_to(server).run(steps, plenty)
    assert found[3]
    assert len(found) == 8


def test_nobody_there_is_a_lost_connection() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    endpoint = Endpoint.of_url(f"http://127.0.0.1:{port}", None, 0.5)
    assert Pump(endpoint.connect).run([_lost(b"x")], plenty) == [True]


def test_an_answer_that_never_comes_is_given_up() -> None:
    never = threading.Event()

    def respond(body: bytes) -> bytes:
        if body == b"wait":
            never.wait(20)
        return ok(body)

    with serving(respond) as server:
        found = pump_to(server).run([_lost(b"wait", 0.1), _lost(b"go", 5.0)], plenty)
        never.set()
    assert found == [True, False]


def test_two_answers_to_one_request_are_none() -> None:
    with serving(lambda body: ok(body) + ok(b"whose?")) as server:
        assert pump_to(server).run([_lost(b"x")], plenty) == [True]


def test_what_nobody_asked_for_is_not_taken_for_the_next_answer() -> None:
    with serving(ok) as server:
        pump = pump_to(server)
        pump.run([ask(b"x")], plenty)
        (connection,) = pump._idle
        server.say(b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n")
        select.select([connection], [], [])
        (answer,) = pump.run([ask(b"mine")], plenty)
    assert answer == Answer(200, b"mine")


def test_an_answer_that_comes_before_all_is_sent_ends_its_connection() -> None:
    here, there = socket.socketpair()
    here.setblocking(False)
    connection = Connection(here)
    connection.begin(request(bytes(50 * 1024 * 1024)))
    assert connection.is_sending
    there.sendall(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")
    assert connection.go_on() == Answer(413, b"")
    assert not connection.is_reusable
    there.close()


def test_connections_that_the_other_side_closed_meanwhile_are_not_used_for_long() -> None:
    async def persistent(body: bytes) -> bytes:
        for _ in range(3):
            if not await _lost(body):
                return body
        raise AssertionError("lost three times")

    asked = 0

    def respond(body: bytes) -> bytes | None:
        nonlocal asked
        asked += 1
        return None if 50 <= asked < 60 else ok(body)

    with serving(respond) as server:
        pump = pump_to(server)
        pump.run([ask(b"x") for _ in range(49)], plenty)
        assert pump.run([persistent(b"y") for _ in range(40)], plenty) == [b"y"] * 40


def test_throttling_halves_what_is_under_way_and_answers_raise_it_again() -> None:
    async def throttled() -> bool:
        return await Pause(0.0, is_throttled=True)

    with serving(ok) as server:
        pump = pump_to(server)
        assert pump.most_under_way == pumps.FIRST_UNDER_WAY
        assert pump.run([throttled() for _ in range(50)], plenty) == [True] * 50
        assert pump.most_under_way == pumps.FIRST_UNDER_WAY // 2  # one moment, one reason
        pump.run([ask(b"x") for _ in range(2000)], plenty)
        assert pump.most_under_way > pumps.FIRST_UNDER_WAY


def test_a_pause_tells_when_the_time_is_up() -> None:
    async def pause() -> bool:
        return await Pause(0.001, is_throttled=False)

    assert Pump(lambda: pytest.fail("nothing is sent")).run([pause()], lambda: False) == [False]


def test_a_pause_is_as_long_as_it_is_to_be_when_nothing_else_is_under_way(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    slept: list[float] = []

    async def pause() -> bool:
        return await Pause(60.0, is_throttled=True)

    monkeypatch.setattr(pumps, "sleep", slept.append)
    Pump(lambda: pytest.fail("nothing is sent")).run([pause()], plenty)
    assert sum(slept) == pytest.approx(60.0, abs=5.0)


def test_what_a_step_raises_ends_the_others_and_leaves_the_pump_fit_for_more() -> None:
    ended: list[int] = []

    async def waiting(at: int) -> None:
        try:
            await ask(b"slow")
        finally:
            ended.append(at)

    async def failing() -> None:
        await ask(b"x")
        raise ValueError("no more")

    def respond(body: bytes) -> bytes:
        if body == b"slow":
            time.sleep(0.3)
        return ok(body)

    with serving(respond) as server:
        pump = pump_to(server)
        with pytest.raises(ValueError, match="no more"):
            pump.run([waiting(0), waiting(1), failing(), waiting(3)], plenty)  # type: ignore[list-item]
        assert sorted(ended) == [0, 1, 3]
        assert [answer.body for answer in pump.run([ask(b"again")], plenty)] == [b"again"]


# TLS


def _certificate(folder: Path, name: str) -> tuple[ssl.SSLContext, str]:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    alternative = x509.SubjectAlternativeName([x509.DNSName(name)])
    if name == "127.0.0.1":
        alternative = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(name))])
    signed = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(A_MOMENT.replace(year=2020))
        .not_valid_after(A_MOMENT.replace(year=2090))
        .add_extension(alternative, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    certificate, private = folder / f"{name}.pem", folder / f"{name}.key"
    certificate.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, private)
    return context, str(certificate)


def test_requests_go_over_tls_whatever_their_size(tmp_path: Path) -> None:
    context, ca = _certificate(tmp_path, "127.0.0.1")
    bodies = [b"small", bytes(range(256)) * 8_000] * 10
    with serving(ok, context) as server:
        answers = pump_to(server, ca).run((ask(body) for body in bodies), plenty)
    assert [answer.body for answer in answers] == bodies


@pytest.mark.parametrize("name", ["elsewhere.example", "127.0.0.1"])
def test_a_certificate_of_somebody_else_is_no_connection(tmp_path: Path, name: str) -> None:
    context, ca = _certificate(tmp_path, name)
    if name == "127.0.0.1":  # the right name, signed by nobody whom we trust
        (tmp_path / "other").mkdir()
        _, ca = _certificate(tmp_path / "other", "127.0.0.1")
    with serving(ok, context) as server:
        assert pump_to(server, ca).run([_lost(b"x")], plenty) == [True]
