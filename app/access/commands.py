"""``flask api-key create|list|revoke``: the keys of ``XRAY_API_KEYS_FILE``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import click
from flask.cli import AppGroup

from app import current
from app.access.keys import KeyFile, KeyFileError

group = AppGroup("api-key", short_help="Create, list and revoke API keys.")


def is_running() -> bool:
    """Whether the application is made for one of flask's commands that serve nothing.

    ``flask api-key`` must work where there is no key yet, and need not load a network.
    """
    context = click.get_current_context(silent=True)
    return context is not None and context.info_name != "run"


@contextmanager
def _key_file() -> Iterator[KeyFile]:
    """The key file; what is wrong with it becomes a sentence on the terminal."""
    path = current.settings().api_keys_file
    if path is None:
        raise click.ClickException("Set XRAY_API_KEYS_FILE to the file that holds the keys.")
    try:
        yield KeyFile(path)
    except KeyFileError as error:
        raise click.ClickException(str(error)) from error


@group.command("create")
@click.argument("name")
def create(name: str) -> None:
    """Make a key for NAME and print it, once: only its hash is kept."""
    with _key_file() as keys:
        secret = keys.create(name)
    click.echo(secret)
    click.echo(f"The key of {name}. It cannot be shown again.", err=True)


@group.command("list")
def list_keys() -> None:
    """Print the names of the keys and the days they were made."""
    with _key_file() as keys:
        for key in keys.read().values():
            click.echo(f"{key.created}  {key.name}")


@group.command("revoke")
@click.argument("name")
def revoke(name: str) -> None:
    """Take the key of NAME away; a server that runs refuses it from its next request on."""
    with _key_file() as keys:
        keys.revoke(name)
    click.echo(f"The key of {name} is revoked.", err=True)
