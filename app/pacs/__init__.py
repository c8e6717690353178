"""From PACS to PACS: a DICOM node that loses nothing.

The straight line: ``scp`` (an association) → ``intake`` (routed, on disk and in the queue
before Success) → ``worker`` → ``reading``, in ``processes`` of its own (``Predictor.read`` →
``results``) → ``delivery`` (one retrying queue for each destination). ``pull`` fetches what
nobody sent. The node is a process of its own (``flask --app app pacs-node``); the page
``/pacs`` reads the same queue from the web application.
"""

from __future__ import annotations

from flask import Flask

from app.pacs.settings import PacsSettings


def init_app(app: Flask, settings: PacsSettings | None = None) -> None:
    """Add the commands, and the page where a spool is configured.

    Raises:
        SettingsError: an ``XRAY_PACS_*`` variable holds a value that cannot be used.
    """
    from app.pacs import commands

    settings = settings or PacsSettings.from_environment()
    app.extensions["pacs_settings"] = settings
    commands.init_app(app)
    if settings.spool is not None:
        # Imported only here: it brings the libraries of the network protocols.
        from app.pacs import page

        page.init_app(app, settings)
