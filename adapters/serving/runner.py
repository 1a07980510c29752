"""Runs one engine for many clients: a thread decodes, and queues pass the output to the clients."""

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
    """A job whose output a client waits for.

    Args:
        job: the job.
        pieces: yields the new pieces of its output.
        loop: the client's event loop.
        queue: the pieces in order, and None after the last.
        interrupted: whether the server was shut down before its end.
    """

    job: Job
    pieces: Pieces
    loop: asyncio.AbstractEventLoop
    queue: asyncio.Queue[Piece | None] = field(default_factory=asyncio.Queue)
    interrupted: bool = False

    def put(self, found: Sequence[Piece | None]) -> None:
        """Put pieces into the queue, from the decoding thread."""

        def deliver() -> None:
            for piece in found:
                self.queue.put_nowait(piece)

        if not self.loop.is_closed():
            self.loop.call_soon_threadsafe(deliver)


class Runner:
    """Decodes the submitted jobs, in its own thread.

    Args:
        engine: the engine; nothing else may use it meanwhile.
    """

    def __init__(self, engine: LlamaCppEngine) -> None:
        self.engine = engine
        self._inbox: deque[ClientRequest] = deque()
        self._gone: deque[ClientRequest] = deque()
        self._tickets: dict[int, ClientRequest] = {}  # by `id` of the job
        self._wake = threading.Condition()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="thinkpace-decoding", daemon=True)

    @property
    def under_way(self) -> int:
        """Number of sequences that are being generated or are waiting."""
        return len(self._tickets) + len(self._inbox)

    @property
    def waiting(self) -> int:
        """Number of these that have no slot yet."""
        return sum(ticket.job.slot < 0 for ticket in [*self._tickets.values(), *self._inbox])

    def start(self) -> None:
        """Start the decoding thread."""
        self._thread.start()

    def stop(self) -> None:
        """Stop after the current decode; unfinished jobs are cancelled."""
        with self._wake:
            self._stopping = True
            self._wake.notify()
        self._thread.join()

    def submit(self, jobs: Sequence[Job]) -> list[ClientRequest]:
        """Queue jobs for generation; call this on the client's event loop."""
        loop, vocabulary = asyncio.get_running_loop(), self.engine.vocabulary
        tickets = [ClientRequest(job, Pieces(job, vocabulary), loop) for job in jobs]
        with self._wake:
            self._inbox.extend(tickets)
            self._wake.notify()
        return tickets

    def cancel(self, ticket: ClientRequest) -> None:
        """Cancel a job that no client waits for; its slot is free after the current decode."""
        with self._wake:
            self._gone.append(ticket)
            self._wake.notify()

    def interrupt(self) -> None:
        """End all jobs after the current decode; their clients get what there is."""
        with self._wake:
            for ticket in (*self._tickets.values(), *self._inbox):
                ticket.interrupted = True
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
        except Exception as error:  # noqa: BLE001  # pass any error to the waiting clients, and keep serving
            touched = [ticket.job for ticket in self._tickets.values()]
            for job in touched:
                job.error = job.error or error
                self.engine.cancel(job)
        for job in touched:
            ticket = self._tickets.get(id(job))
            if ticket is None:
                continue
            new_pieces: list[Piece | None] = [*ticket.pieces.new()]
            if job.done:
                del self._tickets[id(job)]
                new_pieces.append(None)
            if new_pieces:
                ticket.put(new_pieces)
