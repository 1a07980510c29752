"""Many clients, one engine: a thread that decodes, and queues that carry what comes to those who asked."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from thinkpace.adapters.llama_cpp.engine import LlamaCppEngine
from thinkpace.adapters.llama_cpp.loop import Job
from thinkpace.adapters.llama_cpp.stream import Piece, Pieces


@dataclass(eq=False, slots=True)
class ClientRequest:
    """A job that somebody waits for.

    Args:
        job: the work.
        pieces: what is new of it.
        loop: of the one who waits.
        queue: what came: pieces, and None after the last.
    """

    job: Job
    pieces: Pieces
    loop: asyncio.AbstractEventLoop
    queue: asyncio.Queue[Piece | None] = field(default_factory=asyncio.Queue)

    def put(self, found: Sequence[Piece | None]) -> None:
        """Hand something over, from the thread that decodes."""

        def deliver() -> None:
            for one in found:
                self.queue.put_nowait(one)

        if not self.loop.is_closed():
            self.loop.call_soon_threadsafe(deliver)


class Runner:
    """Decodes what is submitted, in a thread of its own.

    Args:
        engine: nobody else uses it meanwhile.
    """

    def __init__(self, engine: LlamaCppEngine) -> None:
        self.engine = engine
        self._inbox: deque[ClientRequest] = deque()
        self._gone: deque[ClientRequest] = deque()
        self._tickets: dict[int, ClientRequest] = {}  # by the identity of their jobs
        self._wake = threading.Condition()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="thinkpace-decoding", daemon=True)

    @property
    def under_way(self) -> int:
        """Sequences that are generated or wait for it."""
        return len(self._tickets) + len(self._inbox)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End after the decode that is under way; what is not done is given up."""
        with self._wake:
            self._stopping = True
            self._wake.notify()
        self._thread.join()

    def submit(self, jobs: Sequence[Job]) -> list[ClientRequest]:
        """Have jobs generated; called on the event loop of the one who waits."""
        loop, vocabulary = asyncio.get_running_loop(), self.engine.vocabulary
        tickets = [ClientRequest(job, Pieces(job, vocabulary), loop) for job in jobs]
        with self._wake:
            self._inbox.extend(tickets)
            self._wake.notify()
        return tickets

    def cancel(self, ticket: ClientRequest) -> None:
        """Nobody waits any more: the place is free after the decode that is under way."""
        with self._wake:
            self._gone.append(ticket)
            self._wake.notify()

    def _run(self) -> None:
        while True:
            with self._wake:
                self._wake.wait_for(lambda: self._stopping or self._inbox or self._gone or self._tickets)
                if self._stopping:
                    break
                new, gone = [*self._inbox], [*self._gone]
                self._inbox.clear()
                self._gone.clear()
                self._tickets.update((id(ticket.job), ticket) for ticket in new)
            self.engine.submit([ticket.job for ticket in new])
            for ticket in gone:
                if self._tickets.pop(id(ticket.job), None) is not None:
                    self.engine.cancel(ticket.job)
                    ticket.put([None])
            if self._tickets:
                self._step()
        for ticket in self._tickets.values():
            self.engine.cancel(ticket.job)
            ticket.put([None])

    def _step(self) -> None:
        try:
            touched = self.engine.step()
        except Exception as error:  # noqa: BLE001  # whatever it is, those who wait are told, and the rest is served
            touched = [ticket.job for ticket in self._tickets.values()]
            for job in touched:
                job.error = job.error or error
                self.engine.cancel(job)
        for job in touched:
            ticket = self._tickets.get(id(job))
            if ticket is None:
                continue
            found: list[Piece | None] = [*ticket.pieces.new()]
            if job.done:
                del self._tickets[id(job)]
                found.append(None)
            if found:
                ticket.put(found)
