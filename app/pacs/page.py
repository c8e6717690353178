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

#: Of each kind, unless all are asked for; to SQLite -1 is no limit.
_MOST_ROWS, _ALL_ROWS = 50, -1
_LAST_DAY = "finished > ? AND state != 'failed'"
_FAILED = (
    "SELECT work AS film, destination, attempts, reason FROM delivery WHERE state = 'dead' "
    "UNION ALL SELECT id, NULL, attempts, code FROM work WHERE state = 'failed'"
)

blueprint = Blueprint("pacs", __name__)


@dataclass(frozen=True)
class FilmRow:
    """One film on the page: a number of the queue's own, and no identity."""

    id: int
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


@dataclass(frozen=True)
class Failures:
    """What failed alike: results that one destination refused, or films that could not be read.

    Attributes:
        destination: None for films that could not be read.
        number: how many there are.
        attempts: that were made of the one that was tried most.
        films: the numbers of the newest.
        can_be_retried: False where the destination is configured no longer.
    """

    destination: str | None
    reason: str
    number: int
    attempts: int
    films: list[int]
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


def films(db: sqlite3.Connection, most: int) -> list[FilmRow]:
    """The films of the last day in triage order, of the urgent ones and the others ``most`` each.

    Signs of infection stand first; all others as they came, newest first. Nothing moves a film
    down: "no sign found" is no reason to look later.
    """
    now = time.time()
    rows = [
        row
        for urgent, order in ((1, "finished"), (0, "id"))
        for row in db.execute(
            "SELECT id, state, decision, probability, model, code, finished, "
            "EXISTS (SELECT 1 FROM delivery WHERE work = id) AS sent FROM work "
            f"WHERE {_LAST_DAY} AND urgent = ? ORDER BY {order} DESC LIMIT ?",
            (now - 86_400, urgent, most),
        )
    ]
    return [
        FilmRow(
            id=row["id"],
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
            words = "Not tried yet"
        elif row["reason"] is None:
            words = f"Answers; last {ago(now - row['checked'])} ago"
        else:
            words = f"Unreachable for {ago(now - row['since'])}: {row['reason']}"
        waiting, dead = (counts.get((peer.name, state), 0) for state in ("waiting", "dead"))
        rows.append(DestinationRow(peer.name, waiting, dead, words))
    return rows


def failures(db: sqlite3.Connection, settings: PacsSettings, most: int) -> list[Failures]:
    """What needs a person, newest first: dead letters and films that could not be read."""
    groups = db.execute(
        f"SELECT destination, reason, COUNT(*), MAX(attempts), MAX(film) FROM ({_FAILED}) "
        "GROUP BY destination, reason ORDER BY MAX(film) DESC"
    ).fetchall()
    known = (None, *settings.destination_names)
    return [
        Failures(
            destination,
            reason,
            number,
            attempts,
            [
                film
                for (film,) in db.execute(
                    f"SELECT film FROM ({_FAILED}) WHERE destination IS ? AND reason IS ? "
                    "ORDER BY film DESC LIMIT ?",
                    (destination, reason, most),
                )
            ],
            destination in known,
        )
        for destination, reason, number, attempts, _ in groups
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
    most = _ALL_ROWS if "all" in request.args else _MOST_ROWS
    of_day = {0: 0, 1: 0}
    of_day.update(
        db.execute(
            f"SELECT urgent, COUNT(*) FROM work WHERE {_LAST_DAY} GROUP BY urgent",
            (time.time() - 86_400,),
        )
    )
    oldest = db.execute("SELECT MIN(received) FROM work WHERE state = 'queued'").fetchone()[0]
    return render_template(
        "pacs.html",
        started=True,
        counts=counts,
        oldest=ago(time.time() - oldest) if oldest else None,
        dropped=db.execute("SELECT reason, films FROM dropped ORDER BY films DESC").fetchall(),
        films=films(db, most),
        most=most,
        of_day=of_day,
        destinations=destinations(db, settings),
        failures=failures(db, settings, most),
        free_gigabytes=free_bytes(settings.spool) / 1e9,
        retried=request.args.get("retried", type=int),
        days=settings.history_days,
    )


@blueprint.errorhandler(sqlite3.DatabaseError)
def unusable(error: sqlite3.DatabaseError) -> tuple[str, int]:
    """The queue is damaged, or its disk is: say so, and where stands what to do."""
    return render_template("pacs.html", started=False, damage=str(error), retried=None), 503


@blueprint.post("/pacs/retry")
def retry() -> Response:
    """Try failures again: all, or those of a destination, a reason or a film."""
    if not _sent_from_here():
        raise InvalidParameterError("The form was not sent from this page. Open it again.")
    queue = _queue()
    number = 0
    if queue is not None:
        names = current.pacs_settings().destination_names
        number = put_aside.retry(
            queue,
            names,
            destination=request.form.get("destination") or None,
            reason=request.form.get("reason"),
            film=request.form.get("film", type=int),
        )
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
