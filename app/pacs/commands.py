"""``flask --app app pacs-node``, ``pacs-pull`` and ``pacs-retry``."""

from __future__ import annotations

from functools import partial

import click
from flask import Flask

from app import current
from app.settings import SettingsError


@click.command("pacs-node")
def pacs_node() -> None:
    """Run the DICOM node until it is stopped."""
    from app.pacs.node import Node, run
    from app.pacs.processes import ReaderProcess, load_models

    settings = current.pacs_settings()
    load = partial(load_models, current.settings())
    try:
        node = Node(
            settings,
            current.settings().models,
            [ReaderProcess(load) for _ in range(settings.readers)],
        )
    except SettingsError as error:
        raise click.ClickException(str(error)) from None
    try:
        run(node)
    except OSError as error:
        raise click.ClickException(f"The node cannot start: {error.strerror or error}") from None


@click.command("pacs-pull")
@click.option("--study", help="Study Instance UID.")
@click.option("--accession", help="Accession number.")
def pacs_pull(study: str | None, accession: str | None) -> None:
    """Fetch the films of a study from the archive in XRAY_PACS_SOURCE."""
    from app.pacs.intake import Intake, look_at_models
    from app.pacs.node import open_queue
    from app.pacs.pull import PullError, pull
    from app.pacs.spool import Spool

    settings = current.pacs_settings()
    if settings.source is None:
        raise click.ClickException("XRAY_PACS_SOURCE must say where studies are fetched from.")
    try:
        if settings.spool is None:
            raise SettingsError("XRAY_PACS_SPOOL must name the folder of the node's spool.")
        spool = Spool(settings.spool, settings.min_free_bytes)
        intake = Intake(
            spool,
            open_queue(spool.root),
            settings,
            look_at_models(current.settings().models),
        )
        counts = pull(settings.source, settings, intake, study=study, accession=accession)
    except (SettingsError, PullError) as error:
        raise click.ClickException(str(error)) from None
    for word, number in sorted(counts.items()):
        if number:
            click.echo(f"{word}: {number}")


@click.command("pacs-retry")
@click.option("--destination", help="Only the dead letters for this destination.")
@click.option("--film", type=int, help="Only those of the film of this number.")
def pacs_retry(destination: str | None, film: int | None) -> None:
    """Try dead letters and failed films again."""
    from app.pacs.node import open_queue

    settings = current.pacs_settings()
    if settings.spool is None or not settings.spool.is_dir():
        raise click.ClickException("XRAY_PACS_SPOOL names no folder of a node.")
    number = open_queue(settings.spool).retry(destination, film)
    click.echo(f"{number} will be tried again.")


def init_app(app: Flask) -> None:
    """Add the commands."""
    for command in (pacs_node, pacs_pull, pacs_retry):
        app.cli.add_command(command)
