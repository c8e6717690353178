"""The page ``/pacs``: what waits, what was read, what failed; never who it is about."""

from __future__ import annotations

import sqlite3
import time
from dataclasses import dataclass

from flask import Blueprint, Flask, current_app, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from app import current
from app.errors import InvalidParameterError
from app.pacs import put_aside
from app.pacs.node import open_queue
from app.pacs.queue import Queue
from app.pacs.settings import PacsSettings
from app.pacs.spool import free_bytes
from app.presentation import DECISION_WORDS

_MOST_ROWS = 50

blueprint = Blueprint("pacs", __name__)


@dataclass(frozen=True)
class FilmRow:
    """One film on the page: a number of the queue's own, and no identity."""

    id: int
    decision: str | None
    words: str
    probability: str
    model: str | None
    ago: str
    state: str


@dataclass(frozen=True)
class DestinationRow:
    """One destination: how much waits for it, and whether it answers."""

    name: str
    waiting: int
    dead: int
    health: str
    up: bool | None


@dataclass(frozen=True)
class FailureRow:
    """Results that could not be delivered, or a film that could not be read.

    Attributes:
        can_be_retried: False where the destination is configured no longer.
    """

    film: int
    destination: str | None
    attempts: int
    reason: str
    can_be_retried: bool


def ago(seconds: float) -> str:
    """A time span in words: ``3 minutes``."""
    for size, word in ((86_400, "day"), (3_600, "hour"), (60, "minute")):
        if seconds >= size:
            number = int(seconds // size)
            return f"{number} {word}{'' if number == 1 else 's'}"
    return "under a minute"


def _queue() -> Queue | None:
    """The queue; None while no node has ever run on the spool."""
    settings = current.pacs_settings()
    if settings.spool is None or not (settings.spool / "queue.sqlite").exists():
        return None
    queue: Queue | None = current_app.extensions.get("pacs_queue")
    if queue is None:
        queue = current_app.extensions["pacs_queue"] = open_queue(settings.spool)
    return queue


def films(db: sqlite3.Connection) -> list[FilmRow]:
    """The films of the last day in triage order.

    Signs of infection stand first; all others as they came, newest first. Nothing moves a film
    down: "no sign found" is no reason to look later.
    """
    now = time.time()
    rows = db.execute(
        "SELECT id, state, decision, probability, model, code, finished, "
        "EXISTS (SELECT 1 FROM delivery WHERE work = id) AS sent FROM work "
        "WHERE finished > ? AND state != 'failed' ORDER BY urgent DESC, "
        "CASE WHEN urgent THEN finished ELSE 0 END DESC, id DESC LIMIT ?",
        (now - 86_400, _MOST_ROWS),
    )
    return [
        FilmRow(
            id=row["id"],
            decision=row["decision"],
            words=DECISION_WORDS[row["decision"]]
            if row["decision"]
            else f"Not read: {row['code']}",
            probability="" if row["probability"] is None else f"{row['probability']:.1%}",
            model=row["model"],
            ago=ago(now - row["finished"]),
            state=_state(row),
        )
        for row in rows
    ]


def _state(row: sqlite3.Row) -> str:
    if row["state"] != "done":
        return "On its way"
    return "Delivered" if row["sent"] else "Let go"


def destinations(db: sqlite3.Connection, settings: PacsSettings) -> list[DestinationRow]:
    """Every configured destination."""
    now = time.time()
    counts = {
        (name, state): number
        for name, state, number in db.execute(
            "SELECT destination, state, COUNT(*) FROM delivery GROUP BY destination, state"
        )
    }
    health = {row["destination"]: row for row in db.execute("SELECT * FROM health")}
    rows = []
    for peer in settings.destinations:
        row = health.get(peer.name)
        if row is None:
            words, up = "Not tried yet", None
        elif row["reason"] is None:
            words, up = f"Answers; last {ago(now - row['checked'])} ago", True
        else:
            words, up = f"Unreachable for {ago(now - row['since'])}: {row['reason']}", False
        rows.append(
            DestinationRow(
                peer.name,
                counts.get((peer.name, "waiting"), 0),
                counts.get((peer.name, "dead"), 0),
                words,
                up,
            )
        )
    return rows


def failures(db: sqlite3.Connection, settings: PacsSettings) -> list[FailureRow]:
    """What needs a person: dead letters and films that could not be read."""
    letters = db.execute(
        "SELECT work, destination, attempts, reason FROM delivery WHERE state = 'dead' "
        "ORDER BY work LIMIT ?",
        (_MOST_ROWS,),
    )
    lost = db.execute(
        "SELECT id, NULL, attempts, code FROM work WHERE state = 'failed' ORDER BY id LIMIT ?",
        (_MOST_ROWS,),
    )
    known = (None, *settings.destination_names)
    return [
        FailureRow(film, destination, attempts, reason, destination in known)
        for film, destination, attempts, reason in (*lost, *letters)
    ]


@blueprint.get("/pacs")
def overview() -> str:
    """The page."""
    settings = current.pacs_settings()
    queue = _queue()
    if queue is None or settings.spool is None:
        return render_template("pacs.html", started=False, retried=None)
    db = queue.reading()
    counts = dict.fromkeys(("queued", "delivering", "done", "failed"), 0)
    counts.update(db.execute("SELECT state, COUNT(*) FROM work GROUP BY state"))
    oldest = db.execute("SELECT MIN(received) FROM work WHERE state = 'queued'").fetchone()[0]
    return render_template(
        "pacs.html",
        started=True,
        counts=counts,
        oldest=ago(time.time() - oldest) if oldest else None,
        dropped=db.execute("SELECT reason, films FROM dropped ORDER BY films DESC").fetchall(),
        films=films(db),
        destinations=destinations(db, settings),
        failures=failures(db, settings),
        free_gigabytes=free_bytes(settings.spool) / 1e9,
        retried=request.args.get("retried", type=int),
        days=settings.history_days,
    )


@blueprint.post("/pacs/retry")
def retry() -> Response:
    """Try failures again: one film's, or all."""
    if not _sent_from_here():
        raise InvalidParameterError("The form was not sent from this page. Open it again.")
    queue = _queue()
    number = 0
    if queue is not None:
        names = current.pacs_settings().destination_names
        number = put_aside.retry(queue, names, film=request.form.get("film", type=int))
    return redirect(url_for("pacs.overview", retried=number), 303)


def _sent_from_here() -> bool:
    """Whether the form came from a page of ours and not from another site's."""
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None:
        return site in ("same-origin", "none")
    origin = request.headers.get("Origin")
    return origin is None or origin.partition("://")[2] == request.host


def init_app(app: Flask, settings: PacsSettings) -> None:
    """Add the page."""
    app.register_blueprint(blueprint)
    app.jinja_env.globals["pacs_page"] = True
