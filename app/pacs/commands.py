"""``flask --app app pacs-node``, ``pacs-pull``, ``pacs-retry`` and ``pacs-discard``."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import click
from flask import Flask

from app import current
from app.settings import SettingsError

if TYPE_CHECKING:
    from app.pacs.queue import Queue


@click.command("pacs-node")
def pacs_node() -> None:
    """Run the DICOM node until it is stopped."""
    from app.crashes import leave_no_core
    from app.pacs.node import Node, run
    from app.pacs.processes import ReaderProcess, load_models

    leave_no_core()  # nor do the readers
    settings = current.pacs_settings()
    load = partial(load_models, current.settings())
    readers = [ReaderProcess(load) for _ in range(settings.readers)]
    try:
        run(Node(settings, current.settings().models, readers))
    except SettingsError as error:
        raise click.ClickException(str(error)) from None


@click.command("pacs-pull")
@click.option("--study", help="Study Instance UID.")
@click.option("--accession", help="Accession number.")
def pacs_pull(study: str | None, accession: str | None) -> None:
    """Fetch the films of a study from the archive in XRAY_PACS_SOURCE."""
    from app.pacs.intake import Intake, look_at_models
    from app.pacs.node import open_queue, spool_errors
    from app.pacs.pull import FAILURES, PullError, pull
    from app.pacs.spool import Spool

    settings = current.pacs_settings()
    if settings.source is None:
        raise click.ClickException("XRAY_PACS_SOURCE must say where studies are fetched from.")
    try:
        if settings.spool is None:
            raise SettingsError("XRAY_PACS_SPOOL must name the folder of the node's spool.")
        shelf = look_at_models(current.settings().models, settings)
        with spool_errors(settings.spool):
            spool = Spool(settings.spool, settings.min_free_bytes)
            queue = open_queue(spool.root)
        intake = Intake(spool, queue, settings, shelf)
        counts = pull(settings.source, settings, intake, study=study, accession=accession)
    except (SettingsError, PullError) as error:
        raise click.ClickException(str(error)) from None
    for word, number in sorted(counts.items()):
        if number:
            click.echo(f"{word}: {number}")
    if any(counts[word] for word in FAILURES):
        raise click.ClickException("Not every film could be fetched.")


_destination = click.option("--destination", help="Only the dead letters for this destination.")
_film = click.option("--film", type=int, help="Only those of the film of this number.")


@click.command("pacs-retry")
@_destination
@_film
def pacs_retry(destination: str | None, film: int | None) -> None:
    """Try dead letters and failed films again, and with --film one that was not read."""
    from app.pacs.put_aside import retry, unknown_letters

    names = current.pacs_settings().destination_names
    if destination is not None and destination not in names:
        raise click.ClickException(f"{destination} is not among XRAY_PACS_DESTINATIONS.")
    queue = _queue()
    number = retry(queue, names, destination=destination, film=film)
    click.echo(f"{number} will be tried again.")
    if left := unknown_letters(queue, names):
        click.echo(
            f"{left} dead letters are for destinations that are configured no longer; "
            "pacs-discard lets them go."
        )


@click.command("pacs-discard")
@_destination
@_film
@click.option("--all", "everything", is_flag=True, help="All of them.")
def pacs_discard(destination: str | None, film: int | None, everything: bool) -> None:
    """Let dead letters and failed films go: their files leave the spool, undelivered."""
    from app.pacs.put_aside import discard

    if everything == (destination is not None or film is not None):
        raise click.UsageError("Say which: --destination, --film, or --all.")
    number = discard(_queue(), destination=destination, film=film)
    click.echo(f"{number} let go. The node removes their files within half a minute.")


def _queue() -> Queue:
    """The queue of the configured spool."""
    from app.pacs.node import open_queue, spool_errors

    spool = current.pacs_settings().spool
    if spool is None or not spool.is_dir():
        raise click.ClickException("XRAY_PACS_SPOOL names no folder of a node.")
    try:
        with spool_errors(spool):
            return open_queue(spool)
    except SettingsError as error:
        raise click.ClickException(str(error)) from None


def init_app(app: Flask) -> None:
    """Add the commands."""
    for command in (pacs_node, pacs_pull, pacs_retry, pacs_discard):
        app.cli.add_command(command)
