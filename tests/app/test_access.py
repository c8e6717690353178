"""Who may use the service: keys, revoking them, signing in, and what stays open."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient

from app import create_app
from app.access.keys import PREFIX, KeyFile, KeyFileError, digest_of
from app.settings import Settings
from tests.app.conftest import no_bundle
from tests.app.multipart import multipart
from tests.app.problems import assert_problem
from tests.app.test_errors import BROWSER


@pytest.fixture
def keys(tmp_path: Path) -> KeyFile:
    """A key file with one key, ``ward``."""
    keys = KeyFile(tmp_path / "api-keys")
    keys.create("other")
    return keys


@pytest.fixture
def secret(keys: KeyFile) -> str:
    return keys.create("ward")


@pytest.fixture
def guarded(app: Flask, keys: KeyFile, secret: str) -> Iterator[Flask]:
    """The loaded application, asking for keys."""
    settings = Settings(api_keys_file=keys.path, trusted_hosts=())
    guarded = create_app(settings, load=no_bundle)
    guarded.extensions["registry"] = app.extensions["registry"]
    return guarded


@pytest.fixture
def stranger(guarded: Flask) -> FlaskClient:
    return guarded.test_client()


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def token(page: str) -> str:
    (found,) = set(re.findall(r'name="csrf_token" value="([^"]+)"', page))
    return found


def sign_in(client: FlaskClient, secret: str, target: str = "/", scheme: str = "http"):
    where = {"base_url": f"{scheme}://localhost"}
    page = client.get("/sign-in", query_string={"next": target}, **where).get_data(as_text=True)
    fields = {"key": secret, "next": target, "csrf_token": token(page)}
    return client.post("/sign-in", data=fields, **where)


# Keys


def test_a_key_is_shown_once_and_kept_as_a_hash(keys: KeyFile) -> None:
    secret = keys.create("pacs")
    text = keys.path.read_text()
    assert secret.startswith(PREFIX)
    assert len(secret) > 40
    assert secret not in text
    assert f"pacs sha256:{digest_of(secret)} " in text
    assert keys.path.stat().st_mode & 0o077 == 0
    found = keys.identify(secret)
    assert found is not None
    assert found.name == "pacs"


@pytest.mark.parametrize("wrong", ["", "xray_", "é", "x" * 10_000])
def test_a_wrong_key_is_nobody(keys: KeyFile, wrong: str) -> None:
    assert keys.identify(wrong) is None


def test_the_hash_is_no_key(keys: KeyFile, secret: str) -> None:
    assert keys.identify(digest_of(secret)) is None


@pytest.mark.parametrize("name", ["", "two words", "a/b", "#x", "-x", "n" * 65, "a\nb"])
def test_names_that_would_break_the_file_are_refused(keys: KeyFile, name: str) -> None:
    with pytest.raises(KeyFileError, match="letters"):
        keys.create(name)


def test_a_name_is_taken_until_it_is_revoked(keys: KeyFile, secret: str) -> None:
    with pytest.raises(KeyFileError, match="already"):
        keys.create("ward")
    longer = keys.create("ward-2")
    keys.revoke("ward")
    assert keys.identify(secret) is None
    assert keys.identify(longer) is not None
    assert keys.identify(keys.create("ward")) is not None
    with pytest.raises(KeyFileError, match="no key named"):
        keys.revoke("nobody")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes files for others")
def test_a_key_that_root_makes_is_for_whom_the_folder_belongs_to(tmp_path: Path) -> None:
    os.chown(tmp_path, 10001, 10002)
    keys = KeyFile(tmp_path / "api-keys")
    keys.create("ward")
    keys.create("pacs")
    status = keys.path.stat()
    assert (status.st_uid, status.st_gid, status.st_mode & 0o777) == (10001, 10002, 0o600)


def test_a_file_of_somebody_else_says_whom_to_give_it_to(
    keys: KeyFile, secret: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> str:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_text", refuse)
    with pytest.raises(KeyFileError, match=rf"chown -R {os.geteuid()} FOLDER"):
        keys.read()


def test_a_damaged_or_missing_file_lets_nobody_in(keys: KeyFile, secret: str) -> None:
    assert keys.identify(secret) is not None
    good = keys.path.read_text()
    keys.path.write_text(good + "ward plain-text-key\n")
    assert keys.identify(secret) is None
    keys.path.unlink()
    assert keys.identify(secret) is None
    keys.path.write_text(good)
    assert keys.identify(secret) is not None
    keys.path.unlink()  # while its keys are in memory
    assert keys.identify(secret) is None


# Programs


@pytest.mark.parametrize(
    "address", ["/", "/models", "/models/x", "/docs", "/openapi.json", "/metrics", "/nothing"]
)
def test_without_a_key_nothing_is_told(stranger: FlaskClient, address: str) -> None:
    response = stranger.get(address)
    if address == "/":  # only people come there
        assert response.status_code == 303
        assert response.location == "/sign-in?next=/"
        return
    assert_problem(response, "unauthorized")
    assert response.headers["WWW-Authenticate"].startswith("Bearer")


def test_a_film_without_a_key_is_not_read(stranger: FlaskClient, jpeg: bytes) -> None:
    assert_problem(stranger.post("/predict", **multipart(jpeg)), "unauthorized")


def test_health_stays_open(stranger: FlaskClient) -> None:
    assert stranger.get("/healthz").status_code == 200
    assert stranger.get("/readyz").status_code == 200
    with stranger.get("/static/css/base.css") as style:
        assert style.status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        lambda key: {"Authorization": f"Bearer {key}"},
        lambda key: {"Authorization": f"bearer  {key}"},
        lambda key: {"X-API-Key": key},
    ],
)
def test_a_key_opens_the_api(stranger: FlaskClient, secret: str, jpeg: bytes, headers) -> None:
    response = stranger.post("/predict", headers=headers(secret), **multipart(jpeg))
    assert response.status_code == 200
    assert "Set-Cookie" not in response.headers


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": "Bearer xray_wrong"},
        {"Authorization": "Bearer"},
        {"Authorization": "Basic d2FyZDp3YXJk"},
        {"X-API-Key": "ward"},
        {"Cookie": "xray_session=eyJrZXkiOiJ3YXJkIn0.forged.forged"},
    ],
)
def test_anything_else_does_not(stranger: FlaskClient, headers: dict[str, str]) -> None:
    assert_problem(stranger.get("/models", headers=headers), "unauthorized")


def test_revoking_works_at_once(stranger: FlaskClient, keys: KeyFile, secret: str) -> None:
    assert stranger.get("/models", headers=bearer(secret)).status_code == 200
    keys.revoke("ward")
    assert_problem(stranger.get("/models", headers=bearer(secret)), "unauthorized")
    again = keys.create("ward")
    assert stranger.get("/models", headers=bearer(again)).status_code == 200
    assert_problem(stranger.get("/models", headers=bearer(secret)), "unauthorized")


@pytest.mark.parametrize(
    ("switch", "alone", "with_key"), [("key", 401, 200), ("open", 200, 200), ("off", 401, 404)]
)
def test_metrics_have_their_own_switch(
    keys: KeyFile, secret: str, switch: str, alone: int, with_key: int
) -> None:
    settings = Settings(api_keys_file=keys.path, metrics=switch)
    client = create_app(settings, load=no_bundle).test_client()
    assert client.get("/metrics").status_code == alone
    assert client.get("/metrics", headers=bearer(secret)).status_code == with_key


def test_the_key_is_in_no_log(
    stranger: FlaskClient, secret: str, capfd: pytest.CaptureFixture[str]
) -> None:
    stranger.get("/models", headers=bearer(secret))
    stranger.get("/models", headers=bearer("xray_mistyped"))
    sign_in(stranger, secret)
    written = capfd.readouterr().err
    assert '"route": "/models"' in written
    assert "xray_" not in written


# People


def test_a_person_is_sent_to_sign_in_and_back(stranger: FlaskClient, secret: str) -> None:
    response = stranger.get("/models?x=1", headers=BROWSER)
    assert response.status_code == 303
    assert response.location == "/sign-in?next=/models%3Fx%3D1"
    # Of a form that was sent there is no page to come back to.
    assert stranger.post("/sample", headers=BROWSER).location == "/sign-in?next=/"
    response = sign_in(stranger, secret, "/models?x=1")
    assert (response.status_code, response.location) == (303, "/models?x=1")
    page = stranger.get("/models", headers=BROWSER)
    assert page.status_code == 200
    assert "Sign out" in page.get_data(as_text=True)


def test_the_cookie_is_kept_from_scripts_and_other_sites(guarded: Flask, secret: str) -> None:
    plain = sign_in(guarded.test_client(), secret).headers["Set-Cookie"]
    assert "HttpOnly" in plain
    assert "SameSite=Lax" in plain
    assert "Secure" not in plain
    assert secret not in plain
    over_tls = sign_in(guarded.test_client(), secret, scheme="https")
    assert "Secure" in over_tls.headers["Set-Cookie"]


def test_a_wrong_key_does_not_sign_in(stranger: FlaskClient) -> None:
    response = sign_in(stranger, "xray_wrong")
    assert response.status_code == 401
    assert "not known" in response.get_data(as_text=True)
    assert stranger.get("/", headers=BROWSER).status_code == 303


@pytest.mark.parametrize(
    "target",
    [
        "https://evil.example/",
        "//evil.example",
        "/\\evil.example",
        "/\t/evil.example",
        "javascript:alert(1)",
        "//[x",
        "http://[",
        "//\u2100x",
        "/\r\nX: y",
        "",
    ],
)
def test_signing_in_leads_to_no_other_site(stranger: FlaskClient, secret: str, target: str) -> None:
    assert sign_in(stranger, secret, target).location == "/"


@pytest.mark.parametrize(
    ("target", "location"),
    [("/models?a=//b", "/models?a=//b"), ("/[x", "/%5Bx"), ("/\u2100", "/%E2%84%80")],
)
def test_signing_in_leads_to_any_page_of_this_one(
    stranger: FlaskClient, secret: str, target: str, location: str
) -> None:
    assert sign_in(stranger, secret, target).location == location


def test_forms_need_their_token(stranger: FlaskClient, secret: str, jpeg: bytes) -> None:
    assert stranger.post("/sign-in", data={"key": secret}).status_code == 400
    sign_in(stranger, secret)
    page = stranger.get("/").get_data(as_text=True)
    without = stranger.post("/", **multipart(jpeg))
    assert without.status_code == 400
    assert "out of date" in without.get_data(as_text=True)
    with_token = stranger.post("/", **multipart(jpeg, csrf_token=token(page)))
    assert with_token.status_code == 200
    # The cookie alone must not be enough for the API either: the browser always sends it.
    assert_problem(stranger.post("/predict", **multipart(jpeg)), "invalid_parameter")
    sent = stranger.post("/predict", headers={"X-CSRFToken": token(page)}, **multipart(jpeg))
    assert sent.status_code == 200


def test_signing_out_and_revoking_end_a_session(guarded: Flask, keys: KeyFile, secret: str) -> None:
    first, second = guarded.test_client(), guarded.test_client()
    sign_in(first, secret)
    sign_in(second, secret)
    page = first.get("/").get_data(as_text=True)
    assert first.post("/sign-out").status_code == 400
    assert first.post("/sign-out", data={"csrf_token": token(page)}).status_code == 303
    assert first.get("/").status_code == 303
    assert second.get("/").status_code == 200
    keys.revoke("ward")
    keys.create("ward")
    assert second.get("/").status_code == 303


# Where nobody signs in


def test_without_keys_there_is_no_sign_in_and_no_cookie(client: FlaskClient) -> None:
    assert client.get("/sign-in").status_code == 404
    page = client.get("/")
    assert "csrf_token" not in page.get_data(as_text=True)
    assert "Set-Cookie" not in page.headers


@pytest.mark.parametrize("address", ["192.0.2.7", "::ffff:192.0.2.7", "", "unix"])
def test_without_keys_other_machines_get_nothing(client: FlaskClient, address: str) -> None:
    client.environ_base["REMOTE_ADDR"] = address
    assert_problem(client.get("/models"), "unauthorized")
    assert client.get("/healthz").status_code == 200


@pytest.mark.parametrize("address", ["127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1"])
def test_without_keys_this_machine_gets_everything(client: FlaskClient, address: str) -> None:
    client.environ_base["REMOTE_ADDR"] = address
    assert client.get("/models").status_code == 200


def test_anonymous_on_purpose_serves_everybody(models_folder: Path) -> None:
    settings = Settings(models=models_folder, allow_anonymous=True)
    client = create_app(settings, load=no_bundle).test_client()
    client.environ_base["REMOTE_ADDR"] = "192.0.2.7"
    assert client.get("/openapi.json").status_code == 200
