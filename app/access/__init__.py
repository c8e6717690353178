"""Who may use the service: API keys, signing in, and when to refuse to start."""

from __future__ import annotations

import secrets

from flask import Flask

from app.settings import Settings


def init_app(app: Flask, settings: Settings) -> None:
    """Guard every route of ``app``.

    Raises:
        SettingsError: there is no usable key although keys are asked for, or a trusted host is
            no host name.
    """
    from werkzeug.middleware.proxy_fix import ProxyFix

    from app.access import commands, exposure, guard, hosts, pages, rate

    if not commands.is_running():
        exposure.check_settings(settings)
    app.cli.add_command(commands.group)
    # gunicorn.conf.py makes one for all workers of a start.
    app.secret_key = settings.secret_key or secrets.token_hex(32)
    alone = exposure.only_this_machine(settings)
    hosts.init_app(app, settings.trusted_hosts, only_this_machine=alone)
    if settings.proxy_hops:
        hops = settings.proxy_hops
        app.wsgi_app = ProxyFix(  # type: ignore[method-assign]
            app.wsgi_app, x_for=hops, x_proto=hops, x_host=hops
        )
    guard.init_app(app, count=lambda: rate.init_app(app, settings))
    pages.init_app(app)
