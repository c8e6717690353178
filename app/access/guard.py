"""Who asks: an API key in a header, the session of somebody who signed in, or nobody.

One function runs before every request. It knows three ways to be set up:

- keys are configured: a request needs one, or a session that one has opened;
- ``XRAY_ALLOW_ANONYMOUS=1``, or a proxy in front that listens on the loopback alone: everybody
  who reaches the service may ask;
- neither: only this machine may ask, whatever server the application runs under.
"""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import quote

from flask import Flask, Response, current_app, g, redirect, request, session
from flask.typing import ResponseReturnValue
from flask_wtf.csrf import CSRFError, CSRFProtect
from werkzeug.exceptions import SecurityError

from app import current
from app.access.exposure import only_this_machine
from app.access.keys import ApiKey, KeyFile
from app.addresses import is_loopback
from app.errors import InvalidParameterError, UnauthorizedError, shows_page
from app.settings import Settings

# Answer whether the service lives and can read, and the way in. Nothing of a patient's.
OPEN_ENDPOINTS = {
    "health.healthz",
    "health.readyz",
    "inference.live",
    "inference.ready",
    "static",
    "access.sign_in",
}
METRICS_ENDPOINT = "health.metrics"

_HOW = "Send an API key as 'Authorization: Bearer KEY' or as 'X-API-Key: KEY'."

csrf = CSRFProtect()


def key_file() -> KeyFile | None:
    """The keys, or None where none are asked for."""
    keys: KeyFile | None = current_app.extensions["api_keys"]
    return keys


def _presented_key() -> str | None:
    """The key in the request's headers; the last word of ``Authorization: Bearer KEY``."""
    if key := request.headers.get("X-API-Key"):
        return key.strip()
    authorization = request.authorization
    if authorization is not None and authorization.type == "bearer":
        return authorization.token or ""
    return None


def _session_key(keys: KeyFile) -> ApiKey | None:
    """The key that opened the session, unless it was revoked or made anew since."""
    key = keys.current().get(session.get("key", ""))
    return key if key and key.digest == session.get("digest") else None


def open_session(key: ApiKey) -> None:
    """Remember in the signed cookie which key opened it; never the key itself."""
    session.clear()
    session.permanent = True
    session["key"] = key.name
    session["digest"] = key.digest


def _check_form_token() -> None:
    try:
        csrf.protect()
    except CSRFError as error:
        raise InvalidParameterError(
            "This page is out of date, or the form was not sent from it. Load the page again "
            "and send the form once more."
        ) from error


def _refuse_unknown() -> ResponseReturnValue | None:
    """A person goes to the sign-in page, a program gets 401."""
    if not g.unknown:
        return None
    presented = _presented_key() is not None
    if shows_page() and not presented:
        g.code = UnauthorizedError.code
        back = request.full_path.rstrip("?") if request.method == "GET" else "/"
        return redirect(f"/sign-in?next={quote(back, safe='/')}", 303)
    raise UnauthorizedError(
        "This API key is not known here, or it was revoked." if presented else _HOW
    )


def _identify() -> None:
    g.client = None
    g.unknown = False
    g.signed_in = False
    keys = key_file()
    if isinstance(request.routing_exception, SecurityError):
        return  # a host that is not served: refused as soon as it is dispatched
    if request.endpoint in OPEN_ENDPOINTS:
        if keys and request.endpoint == "access.sign_in":
            _check_form_token()
        return
    if request.endpoint == METRICS_ENDPOINT and current.settings().metrics == "open":
        return
    if keys is None:
        if only_this_machine(current.settings()):
            _refuse_other_machines()
        return

    presented = _presented_key()
    if presented is not None:
        key = keys.identify(presented)
    elif key := _session_key(keys):
        g.signed_in = True
        # A browser sends the cookie along whoever's page made it send the request.
        _check_form_token()
    if key is None:
        g.unknown = True
    else:
        g.client = key.name


def _refuse_other_machines() -> None:
    """Last line of defence, for servers that do not ask before they listen.

    A proxy asks from this machine too, for whoever reaches it.
    """
    if "X-Forwarded-For" in request.headers or "Forwarded" in request.headers:
        raise UnauthorizedError(
            "This service answers only the machine that it runs on, and a proxy brought this "
            "request: its administrator sets XRAY_PROXY_HOPS and decides who may come in."
        )
    if not is_loopback(request.remote_addr or ""):
        raise UnauthorizedError(
            "This service answers only the machine that it runs on until its administrator "
            "configures API keys."
        )


def _say_how(response: Response) -> Response:
    if response.status_code == 401:
        response.headers["WWW-Authenticate"] = 'Bearer realm="X-Ray Result Interpreter"'
    return response


def init_app(app: Flask, count: Callable[[], None]) -> None:
    """Ask every request who it is.

    Args:
        count: registers what counts requests: those that are refused here count too, or keys could
            be guessed without end.
    """
    settings: Settings = app.extensions["settings"]
    path = settings.api_keys_file
    app.extensions["api_keys"] = KeyFile(path) if path else None
    app.config["WTF_CSRF_CHECK_DEFAULT"] = False  # the guard decides which requests need it
    app.config["WTF_CSRF_TIME_LIMIT"] = None  # as long as the session
    # The page forbids the browser to send a Referer; SameSite and the token stand in for it.
    app.config["WTF_CSRF_SSL_STRICT"] = False
    csrf.init_app(app)
    app.before_request(_identify)
    count()
    app.before_request(_refuse_unknown)
    app.after_request(_say_how)
