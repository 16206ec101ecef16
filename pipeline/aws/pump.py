"""Many coroutines that wait for answers, in one thread, with a bounded number of them under way.

Threads would not do: what a request costs is Python's own time, and the interpreter runs one
thread at a time. An event loop for everything would cost more than the requests do.
"""

from __future__ import annotations

import heapq
import selectors
from collections.abc import Callable, Coroutine, Generator, Iterable
from dataclasses import dataclass, field
from time import monotonic, sleep
from typing import Any, Generic, TypeVar

from pipeline.aws.connection import Answer, Connection, ConnectionLostError

T = TypeVar("T")

FEWEST_UNDER_WAY = 1
FIRST_UNDER_WAY = 16
MOST_UNDER_WAY = 64  # with answers that take 10 ms, 6,400 requests a second
CALM_SECONDS = 0.1  # one throttled moment is one reason to slow down, however many requests it hits
TICK_SECONDS = 1.0  # how often time-outs are looked for

Step = Coroutine[Any, Any, T]


@dataclass(frozen=True, slots=True, eq=False)
class Exchange:
    """Awaited: sends the request, gives the `Answer`; raises `ConnectionLostError`."""

    request: bytes = field(repr=False)
    timeout_seconds: float

    def __await__(self) -> Generator[Exchange, Answer, Answer]:
        return (yield self)


@dataclass(frozen=True, slots=True, eq=False)
class Pause:
    """Awaited: lets that much time pass; gives whether there is time to go on at all.

    After one that `is_throttled`, half as many requests are under way at once.
    """

    seconds: float
    is_throttled: bool

    def __await__(self) -> Generator[Pause, bool, bool]:
        return (yield self)


@dataclass(slots=True, eq=False)
class _Task(Generic[T]):
    index: int
    step: Step[T]


@dataclass(slots=True, eq=False)
class _Flight:
    """An exchange under way."""

    task: _Task[Any]
    connection: Connection
    ends_at: float
    is_sending: bool


class Pump:
    """Runs steps side by side; `connect` opens a connection to whom they talk to.

    How many are under way follows what the other side bears: halved when it throttles, one more
    for each round of answers.
    """

    def __init__(self, connect: Callable[[], Connection]) -> None:
        self._connect = connect
        self._selector = selectors.DefaultSelector()  # of all connections, used or not
        self._idle: list[Connection] = []
        self._window = float(FIRST_UNDER_WAY)
        self._slowed_at = 0.0

    @property
    def most_under_way(self) -> int:
        """How many steps may be under way at present."""
        return int(self._window)

    def run(self, steps: Iterable[Step[T]], has_time: Callable[[], bool]) -> list[T]:
        """What the steps return, in their order.

        Steps are taken from the iterable as there is room for them. What one of them raises is
        raised at once; the others end where they are, and what becomes of their requests is
        unknown.
        """
        run = _Run[T](self, has_time)
        try:
            return run.results_of(steps)
        finally:
            run.close()

    def connection(self) -> Connection:
        """One that nobody uses; raises `ConnectionLostError`."""
        while self._idle:
            connection = self._idle.pop()
            if connection.is_quiet():
                return connection
            self.drop(connection)
        connection = self._connect()
        self._selector.register(connection, selectors.EVENT_READ)
        return connection

    def give_back(self, connection: Connection) -> None:
        """Takes a connection back whose answer is whole."""
        if connection.is_reusable:
            self._idle.append(connection)
        else:
            self.drop(connection)

    def drop(self, connection: Connection) -> None:
        """Closes a connection that is of no more use."""
        self._selector.unregister(connection)
        connection.close()

    def watch(self, connection: Connection) -> None:
        """Looks out for what the connection waits for from now on."""
        self._selector.modify(connection, _events(connection))

    def ready(self, patience_seconds: float) -> list[Connection]:
        """Connections in use that can go on, as soon as there are some; an idle one on which
        something happens is closed, for nothing can but its end.
        """
        ready: list[Any] = [key.fileobj for key, _ in self._selector.select(patience_seconds)]
        for connection in [each for each in self._idle if each in ready]:
            self._idle.remove(connection)
            ready.remove(connection)
            self.drop(connection)
        return ready

    def forget_idle(self) -> None:
        """Closes what nobody uses: where one connection broke, those may have broken as well."""
        while self._idle:
            self.drop(self._idle.pop())

    def __del__(self) -> None:
        self.forget_idle()
        self._selector.close()

    def speed_up(self) -> None:
        """An answer came: room for a little more."""
        self._window = min(self._window + 1 / self._window, MOST_UNDER_WAY)

    def slow_down(self) -> None:
        """The other side throttles: half as much from now on."""
        now = monotonic()
        if now - self._slowed_at > CALM_SECONDS:
            self._slowed_at = now
            self._window = max(self._window / 2, FEWEST_UNDER_WAY)


class _Run(Generic[T]):
    """One call of `Pump.run`."""

    def __init__(self, pump: Pump, has_time: Callable[[], bool]) -> None:
        self._pump = pump
        self._has_time = has_time
        self._results: list[Any] = []
        self._flights: dict[Connection, _Flight] = {}
        self._sleeping: list[tuple[float, int, _Task[T]]] = []
        self._next_tick = 0.0

    def results_of(self, steps: Iterable[Step[T]]) -> list[T]:
        todo = iter(steps)
        is_exhausted = False
        while True:
            while not is_exhausted and self._under_way < self._pump.most_under_way:
                step = next(todo, None)
                if step is None:
                    is_exhausted = True
                    break
                self._start(step)
            if not self._under_way:
                return self._results
            self._wait()

    @property
    def _under_way(self) -> int:
        return len(self._flights) + len(self._sleeping)

    def _start(self, step: Step[T]) -> None:
        task = _Task(len(self._results), step)
        self._results.append(None)
        self._advance(task, None)

    def _advance(self, task: _Task[T], value: Any, error: Exception | None = None) -> None:
        """Runs a step up to where it waits next, or to its end."""
        while True:
            try:
                wait = task.step.send(value) if error is None else task.step.throw(error)
            except StopIteration as stop:
                self._results[task.index] = stop.value
                return
            if isinstance(wait, Pause):
                self._put_to_sleep(task, wait)
                return
            try:
                self._take_off(task, wait)
            except ConnectionLostError as lost:
                value, error = None, lost
                continue
            return

    def _put_to_sleep(self, task: _Task[T], pause: Pause) -> None:
        if pause.is_throttled:
            self._pump.slow_down()
        heapq.heappush(self._sleeping, (monotonic() + pause.seconds, task.index, task))

    def _take_off(self, task: _Task[T], exchange: Exchange) -> None:
        connection = self._pump.connection()
        try:
            connection.begin(exchange.request)
        except ConnectionLostError:
            self._pump.drop(connection)
            raise
        ends_at = monotonic() + exchange.timeout_seconds
        flight = _Flight(task, connection, ends_at, connection.is_sending)
        self._flights[connection] = flight
        if flight.is_sending:
            self._pump.watch(connection)

    def _wait(self) -> None:
        """Until something happens."""
        if self._flights:
            for connection in self._pump.ready(self._patience()):
                self._go_on(self._flights[connection])
            self._give_up_what_takes_too_long()
        else:
            sleep(max(self._sleeping[0][0] - monotonic(), 0.0))
            self._wake_first()
        while self._sleeping and self._sleeping[0][0] <= monotonic():
            self._wake_first()

    def _patience(self) -> float:
        if not self._sleeping:
            return TICK_SECONDS
        return min(max(self._sleeping[0][0] - monotonic(), 0.0), TICK_SECONDS)

    def _wake_first(self) -> None:
        _, _, task = heapq.heappop(self._sleeping)
        self._advance(task, self._has_time())

    def _go_on(self, flight: _Flight) -> None:
        try:
            answer = flight.connection.go_on()
        except ConnectionLostError as error:
            self._crash(flight, error)
            return
        if flight.is_sending and not flight.connection.is_sending:
            flight.is_sending = False
            self._pump.watch(flight.connection)
        if answer is not None:
            del self._flights[flight.connection]
            self._pump.give_back(flight.connection)
            self._pump.speed_up()
            self._advance(flight.task, answer)

    def _crash(self, flight: _Flight, error: ConnectionLostError) -> None:
        del self._flights[flight.connection]
        self._pump.drop(flight.connection)
        self._pump.forget_idle()
        self._advance(flight.task, None, error)

    def _give_up_what_takes_too_long(self) -> None:
        now = monotonic()
        if now < self._next_tick:
            return
        self._next_tick = now + TICK_SECONDS
        for flight in [each for each in self._flights.values() if each.ends_at <= now]:
            self._crash(flight, ConnectionLostError())

    def close(self) -> None:
        """Ends what is still under way."""
        for flight in self._flights.values():
            self._pump.drop(flight.connection)
            flight.task.step.close()
        for _, _, task in self._sleeping:
            task.step.close()


def _events(connection: Connection) -> int:
    writing = selectors.EVENT_WRITE if connection.is_sending else 0
    return selectors.EVENT_READ | writing
