"""A connection, and what gunicorn's parser and the application read from it: what is all here.

gunicorn's own classes read from the socket, in a thread, for as long as a client likes; and they
copy all that they still hold at every read, so that a body of 7 MB that is taken in pieces of
64 KB is copied a hundred times over.
"""

from __future__ import annotations

from typing import Any

from gunicorn.http import get_parser
from gunicorn.http.message import Request
from gunicorn.http.unreader import Unreader
from gunicorn.workers.gthread import TConn

from app.http import WholeBody
from app.leaving import Outbox


class HeadUnreader(Unreader):  # type: ignore[misc]
    """Hands out what was put into it with ``unread``, headers, and never waits for more."""

    def chunk(self, size_hint: int | None = None) -> bytes:
        """Nothing: all of the request has arrived."""
        return b""


class Connection(TConn):  # type: ignore[misc]
    """gunicorn's, with what this worker knows of it.

    Attributes:
        body: of the request that a thread has or is about to have.
        surplus: what came after that request.
        cut: the client may still be sending what nobody reads.
        keeps: whether another request may come.
        ended: whether it is closed.
        outbox: takes the answers.
        deadline: of the monotonic clock, for a client that takes its answer or ends.
    """

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.parser = get_parser(self.cfg, self.sock, self.client)
        self.parser.unreader = HeadUnreader()
        self.initialized = True
        self.body = self.surplus = b""
        self.cut = self.keeps = self.ended = False
        self.outbox = Outbox(self.sock)
        self.deadline = 0.0


def give_body(req: Request, body: bytes) -> None:
    """Let the application have the body in one piece, without a copy.

    In pieces, each of gunicorn's and Werkzeug's buffers copies all of it: eight times over, 7 ms
    of a DICOM file's reading. Where the parser expects another length than what is given, the
    connection ends with this request: where the next one begins would be a guess.
    """
    if getattr(req.body.reader, "length", 0) != len(body):
        req.force_close()
    req.body = WholeBody(body)


def let_go(req: Request) -> None:
    """Free the body of an answered request.

    gunicorn keeps the request until the next one on its connection has arrived, or, where there
    is none, until the garbage collector comes by: four connections held four DICOM files more.
    """
    req.body.seek(0)
    req.body.truncate()
