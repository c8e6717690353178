"""Signing in on the page with the same keys that programs use."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from flask import Blueprint, Flask, Request, abort, g, redirect, render_template, request, session
from flask.sessions import SecureCookieSession, SecureCookieSessionInterface
from flask.typing import ResponseReturnValue
from flask_wtf.csrf import generate_csrf
from markupsafe import Markup

from app.access.guard import key_file, open_session

blueprint = Blueprint("access", __name__)

#: As long as a shift; then the key is asked for again.
SESSION_HOURS = 12


class _Sessions(SecureCookieSessionInterface):
    """Cookies that only TLS carries, wherever the request came over TLS."""

    def open_session(self, app: Flask, request: Request) -> SecureCookieSession | None:
        """For a program, which sends no cookie, nothing is prepared to check one."""
        if self.get_cookie_name(app) not in request.cookies:
            return self.session_class()
        return super().open_session(app, request)

    def get_cookie_secure(self, app: Flask) -> bool:
        return request.is_secure


def csrf_field() -> Markup:
    """The hidden field that a form needs, where people sign in; nothing where nobody does."""
    if key_file() is None:
        return Markup("")
    return Markup('<input type="hidden" name="csrf_token" value="{}">').format(generate_csrf())


@blueprint.app_context_processor
def _for_every_page() -> dict[str, Any]:
    return {
        "csrf_field": csrf_field,
        "csrf_header": lambda: generate_csrf() if key_file() else "",
        "signed_in": g.get("signed_in", False),
    }


def _safe_target(address: str) -> str:
    """A page of this service to return to, never another site's."""
    # Browsers take a backslash for a slash, and drop line ends and tabs before they look.
    ours = address.startswith("/") and not address.startswith("//")
    return address if ours and "\\" not in address and address.isprintable() else "/"


@blueprint.route("/sign-in", methods=["GET", "POST"])
def sign_in() -> ResponseReturnValue:
    """The form that takes a key, and what it opens."""
    keys = key_file()
    if keys is None:
        abort(404)
    target = _safe_target(request.values.get("next", "/"))
    if request.method == "GET":
        return render_template("sign_in.html", target=target, refused=False)
    key = keys.identify(request.form.get("key", "").strip())
    if key is None:
        g.code = "unauthorized"
        return render_template("sign_in.html", target=target, refused=True), 401
    open_session(key)
    return redirect(target, 303)


@blueprint.post("/sign-out")
def sign_out() -> ResponseReturnValue:
    """Forget who it was."""
    session.clear()
    return redirect("/sign-in" if key_file() else "/", 303)


def init_app(app: Flask) -> None:
    """Add the pages, and cookies that scripts, other sites and plain HTTP do not get."""
    app.config["SESSION_COOKIE_NAME"] = "xray_session"
    app.config["SESSION_COOKIE_HTTPONLY"] = True
    app.config["SESSION_COOKIE_SAMESITE"] = "Lax"
    app.config["PERMANENT_SESSION_LIFETIME"] = timedelta(hours=SESSION_HOURS)
    app.config["SESSION_REFRESH_EACH_REQUEST"] = False
    app.session_interface = _Sessions()
    app.register_blueprint(blueprint)
