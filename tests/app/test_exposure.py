"""When the service refuses to start, which hosts it answers for, and whom it believes."""

from __future__ import annotations

from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import create_environ, run_wsgi_app

from app import create_app
from app.access.exposure import check_addresses, check_settings
from app.access.keys import KeyFile
from app.addresses import is_loopback
from app.settings import PROJECT_ROOT, Settings, SettingsError
from tests.app.conftest import no_bundle
from tests.app.problems import assert_problem


def client_of(settings: Settings) -> FlaskClient:
    return create_app(settings, load=no_bundle).test_client()


@pytest.fixture
def key_path(tmp_path: Path) -> Path:
    KeyFile(tmp_path / "keys").create("ward")
    return tmp_path / "keys"


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "localhost", "::ffff:127.0.0.1"])
def test_loopback(host: str) -> None:
    assert is_loopback(host)
    check_addresses(Settings(), [host])


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.1.2.3", "fe80::1%eth0", "/run/x.sock", ""])
def test_any_other_address_needs_a_decision(host: str, key_path: Path) -> None:
    assert not is_loopback(host)
    with pytest.raises(SettingsError, match="api-key create NAME.*XRAY_ALLOW_ANONYMOUS=1"):
        check_addresses(Settings(), ["127.0.0.1", host])
    check_addresses(Settings(allow_anonymous=True), [host])
    check_addresses(Settings(api_keys_file=key_path), [host])


@pytest.mark.parametrize(
    ("content", "named"), [(None, "cannot be read"), ("", "no key"), ("# none\n", "no key")]
)
def test_a_key_file_without_keys_stops_the_start(
    tmp_path: Path, content: str | None, named: str
) -> None:
    path = tmp_path / "keys"
    if content is not None:
        path.write_text(content)
    with pytest.raises(SettingsError, match=named) as caught:
        create_app(Settings(api_keys_file=path))
    assert str(path) in str(caught.value)
    assert "flask api-key create" in str(caught.value)


def test_a_damaged_key_file_stops_the_start_and_names_the_line(key_path: Path) -> None:
    key_path.write_text(key_path.read_text() + "ward hunter2\n")
    with pytest.raises(SettingsError, match="line 3") as caught:
        check_settings(Settings(api_keys_file=key_path))
    assert "hunter2" not in str(caught.value)


def test_contradictions_stop_the_start(key_path: Path) -> None:
    with pytest.raises(SettingsError, match="unset one"):
        check_settings(Settings(api_keys_file=key_path, allow_anonymous=True))
    with pytest.raises(SettingsError, match="XRAY_PROXY_HOPS"):
        check_settings(Settings(proxy_hops=1))
    with pytest.raises(SettingsError, match="XRAY_PUBLISHED_ON"):
        check_settings(Settings(published_on="10.0.0.7"))
    check_settings(Settings(proxy_hops=1, allow_anonymous=True))


def test_a_proxy_on_the_loopback_is_as_good_as_the_loopback(key_path: Path) -> None:
    behind = Settings(proxy_hops=1, published_on="127.0.0.1")
    check_settings(behind)
    check_addresses(behind, ["0.0.0.0"])
    client = client_of(behind)
    client.environ_base["REMOTE_ADDR"] = "172.18.0.3"
    assert client.get("/models").status_code != 401
    for address in ("0.0.0.0", "10.0.0.7", "xray.hospital.example"):
        exposed = Settings(proxy_hops=1, published_on=address)
        with pytest.raises(SettingsError, match=f"on {address}.*XRAY_ALLOW_ANONYMOUS=1"):
            check_settings(exposed)
        with pytest.raises(SettingsError):
            check_addresses(exposed, ["0.0.0.0"])
        check_settings(Settings(proxy_hops=1, published_on=address, api_keys_file=key_path))
        check_settings(Settings(proxy_hops=1, published_on=address, allow_anonymous=True))


# Hosts and proxies


@pytest.mark.parametrize(
    ("host", "served"),
    [
        ("xray.example.org", True),
        ("xray.example.org:8443", True),
        ("a.clinic.example", True),
        ("XRAY.Example.org", True),
        ("clinic.example", True),
        ("ward_3.clinic.example", True),
        ("[2001:DB8::7]:8443", True),
        ("xn--klinik-sd-x9a.example", True),
        ("localhost:8000", True),
        ("127.0.0.1", True),
        ("[::1]:8000", True),
        ("evil.example", False),
        ("xray.example.org.evil.example", False),
        ("notclinic.example", False),
        ("notxray.example.org", False),
        ("xray.example.org/evil.example", False),
        ("[2001:db8::8]", False),
        ("", False),
        ("a b", False),
    ],
)
@pytest.mark.parametrize("accept", ["*/*", "text/html"])
def test_only_trusted_hosts_are_served(host: str, served: bool, accept: str) -> None:
    names = "xray.example.org, .Clinic.example, [2001:db8::7]:8443, klinik-süd.example"
    client = client_of(Settings.from_environment({"XRAY_TRUSTED_HOSTS": names}))
    response = client.get("/healthz", headers={"Host": host, "Accept": accept})
    if served:
        assert response.status_code == 200
    else:
        assert "host" in assert_problem(response, "invalid_parameter")["detail"]


@pytest.mark.parametrize("host", ["anything.example", "xray_app:8000", "[2001:db8::1]", "a:"])
def test_any_host_is_served_where_none_is_named_and_all_may_ask(host: str) -> None:
    client = client_of(Settings(allow_anonymous=True))
    assert client.get("/healthz", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize("host", ["evil.example:8000", "localhost.evil.example", "10.0.0.7"])
def test_where_only_this_machine_may_ask_no_other_name_is_served(host: str) -> None:
    client = client_of(Settings())
    for address in ("/healthz", "/models", "/docs"):
        response = client.get(address, headers={"Host": host})
        assert "XRAY_TRUSTED_HOSTS" in assert_problem(response, "invalid_parameter")["detail"]
    named = client_of(Settings(trusted_hosts=(host.partition(":")[0],)))
    assert named.get("/healthz", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize("host", ["localhost:8000", "LOCALHOST", "127.0.0.1", "127.1.2.3", "[::1]"])
def test_where_only_this_machine_may_ask_its_names_are_served(host: str) -> None:
    client = client_of(Settings())
    assert client.get("/healthz", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize("host", ["a b", "<script>", "[::1", "a:b", "a/b", "ä.example", ""])
def test_what_is_no_host_is_refused_everywhere(client: FlaskClient, host: str) -> None:
    assert_problem(client.get("/healthz", headers={"Host": host}), "invalid_parameter")


@pytest.mark.parametrize(("protocol", "served"), [("HTTP/1.1", False), ("HTTP/1.0", True)])
def test_only_before_http_1_1_a_request_may_name_no_host(
    app: Flask, protocol: str, served: bool
) -> None:
    environ = create_environ("/healthz") | {"SERVER_PROTOCOL": protocol}
    del environ["HTTP_HOST"]
    _, status, _ = run_wsgi_app(app, environ)
    assert status.startswith("200") is served


@pytest.mark.parametrize("name", ["*.example.org", "a b", "[::1", "a..b.ü"])
def test_a_trusted_host_that_is_none_is_named_at_the_start(name: str) -> None:
    with pytest.raises(SettingsError, match="XRAY_TRUSTED_HOSTS"):
        client_of(Settings(trusted_hosts=(name,)))


FORWARDED = {"X-Forwarded-For": "192.0.2.7", "X-Forwarded-Proto": "https"}


def test_a_proxys_headers_are_not_believed_unasked() -> None:
    client = client_of(Settings(allow_anonymous=True))
    response = client.get("/healthz", headers=FORWARDED)
    assert response.status_code == 200
    assert "Strict-Transport-Security" not in response.headers


@pytest.mark.parametrize("header", ["X-Forwarded-For", "Forwarded"])
def test_a_proxy_before_the_loopback_publishes_nothing_unasked(
    client: FlaskClient, header: str
) -> None:
    assert client.get("/models").status_code == 200
    response = client.get("/models", headers={header: "for=192.0.2.7"})
    assert "XRAY_PROXY_HOPS" in assert_problem(response, "unauthorized")["detail"]
    assert client.get("/healthz", headers={header: "for=192.0.2.7"}).status_code == 200


def test_a_proxys_headers_are_believed_where_asked(key_path: Path) -> None:
    client = client_of(Settings(api_keys_file=key_path, proxy_hops=1))
    response = client.get("/healthz", headers=FORWARDED)
    assert "Strict-Transport-Security" in response.headers


# flask api-key


def test_the_commands_make_list_and_revoke_keys(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from click.testing import CliRunner
    from flask.cli import cli

    path = tmp_path / "keys"
    monkeypatch.setenv("XRAY_API_KEYS_FILE", str(path))
    monkeypatch.chdir(PROJECT_ROOT)
    runner = CliRunner()

    def flask(*arguments: str):
        return runner.invoke(cli, ["api-key", *arguments], prog_name="flask")

    made = flask("create", "ward-3")
    assert made.exit_code == 0, made.output
    secret = made.stdout.strip()
    assert KeyFile(path).identify(secret) is not None
    assert "ward-3" in flask("list").output
    assert secret not in flask("list").output
    assert flask("create", "ward-3").exit_code == 1
    assert flask("revoke", "ward-3").exit_code == 0
    assert KeyFile(path).identify(secret) is None
    assert "ward-3" not in flask("list").output
    assert "no key named" in flask("revoke", "ward-3").output


def test_the_commands_say_which_setting_they_need(monkeypatch: pytest.MonkeyPatch) -> None:
    from click.testing import CliRunner
    from flask.cli import cli

    monkeypatch.delenv("XRAY_API_KEYS_FILE", raising=False)
    monkeypatch.chdir(PROJECT_ROOT)
    result = CliRunner().invoke(cli, ["api-key", "list"], prog_name="flask")
    assert result.exit_code == 1
    assert "XRAY_API_KEYS_FILE" in result.output
