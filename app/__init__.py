"""The Flask application: ``create_app(settings)`` and nothing at module level."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
from flask import Flask

from app.settings import Settings, SettingsError

if TYPE_CHECKING:
    from app.registry import Loader


def create_app(settings: Settings | None = None, *, load: Loader | None = None) -> Flask:
    """Build the application and begin to load the bundles in the background.

    Args:
        settings: taken from the environment when None.
        load: reads a bundle folder; for tests; with the engine of the settings when None.

    Returns:
        an app whose ``/healthz`` answers at once and whose ``/readyz`` answers 200 when the
        bundles are loaded, warmed and probed.

    Raises:
        SettingsError: an environment variable holds a value that cannot be used; to flask's
            commands it is a ClickException, of which they show the sentence alone.
    """
    try:
        return _build(settings, load)
    except SettingsError as error:
        if click.get_current_context(silent=True) is None:
            raise
        raise click.ClickException(str(error)) from None


def _build(settings: Settings | None, load: Loader | None) -> Flask:
    from app import (
        access,
        api,
        errors,
        explorer,
        health,
        http,
        logs,
        metrics,
        pacs,
        ranges,
        security,
        station,
        web,
    )
    from app.access.commands import is_running as is_command
    from app.admission import Admission, usual_at_once
    from app.fast_json import FastJSON
    from app.inference import api as inference_api
    from app.openapi import make_app
    from app.registry import make_registry

    settings = settings or Settings.from_environment()
    app = make_app(settings)
    app.json = FastJSON(app)
    app.extensions["settings"] = settings

    # Flask runs after_request functions last to first: logs is registered first so that it
    # sees the answer as it leaves.
    logs.init_app(app, settings.log_level)
    counters = metrics.init_app(app)

    admission = Admission(
        settings.read_at_once or usual_at_once(),
        settings.max_waiting,
        settings.request_seconds,
        tell=counters.note_queue,
    )
    registry = make_registry(settings, load, admission)
    app.extensions["registry"] = registry

    security.init_app(app)
    errors.init_app(app)
    access.init_app(app, settings)
    http.init_app(app, settings.max_upload_bytes)
    ranges.init_app(app)
    app.register_api(health.blueprint)
    app.register_api(api.blueprint)
    app.register_api(inference_api.blueprint)
    app.register_blueprint(explorer.blueprint)
    app.register_blueprint(web.blueprint)
    app.register_blueprint(station.blueprint)
    pacs.init_app(app)

    if not is_command():
        registry.start(tell=counters.describe_bundles)
    return app
