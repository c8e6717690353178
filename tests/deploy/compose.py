"""compose.yaml brought up for real, looked at from outside, and taken down again.

    python -m tests.deploy.compose [--engine lean] [--without grafana]

Needs Docker with its compose plugin, and the images that compose.yaml names (pulled where Docker
may). Builds the images, starts everything under a project of its own, and checks what an
administrator relies on: a film is read through nginx and TLS, limits answer, every container is
locked down as written, the application reaches nobody and does not open to other machines without
keys, nginx stays while it is replaced and finds it again at another address, a film sent to the
DICOM node comes out of the archive as results, Prometheus sees both. Prints a line a check; exits
with 1 at the first that fails. Nothing is left but the images; no `.env` is read. Ports 8443, 11112
and 8042 of the loopback must be free.
"""

from __future__ import annotations

import argparse
import json
import os
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from base64 import b64encode
from collections.abc import Callable
from typing import Any

from pydicom import dcmread
from pynetdicom import AE

from app.sample import sample_path
from tests.app.multipart import multipart
from tests.server import ROOT

PROJECT = "xray-compose-test"
ADDRESS = "https://127.0.0.1:8443"
PROFILES = ("pacs", "orthanc", "monitoring")
SERVICES = ("nginx", "xray", "node", "orthanc", "prometheus", "grafana")
#: A container that only takes an address, from an image that is there anyway.
SQUATTER = "nginx:1.28.0-bookworm"
HARDENED = ("nginx", "xray", "node", "prometheus", "grafana")
#: Without the .env of whoever runs this.
COMPOSE = ("compose", "--env-file", os.devnull)
_TRUSTING = ssl.create_default_context()
_TRUSTING.check_hostname = False
_TRUSTING.verify_mode = ssl.CERT_NONE  # it has just signed its certificate itself


class Stack:
    """The project's containers, through Docker's command line."""

    def __init__(self, engine: str, without: list[str]) -> None:
        self.services = [name for name in SERVICES if name not in without]
        # Nothing of this machine's settings: its destinations are a hospital's own archive.
        settings = ("XRAY_", "GRAFANA_", "COMPOSE_")
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(settings)},
            "XRAY_ENGINE": engine,
            "COMPOSE_PROJECT_NAME": PROJECT,
        }

    def docker(self, *words: str, check: bool = True) -> str:
        done = subprocess.run(
            ["docker", *words], cwd=ROOT, env=self.environment, capture_output=True, text=True
        )
        if check and done.returncode:
            sys.exit(f"docker {' '.join(words)} failed:\n{done.stdout}{done.stderr}")
        return done.stdout.strip()

    def compose(self, *words: str, check: bool = True) -> str:
        profiles = [word for name in PROFILES for word in ("--profile", name)]
        return self.docker(*COMPOSE, *profiles, *words, check=check)

    def down(self) -> None:
        self.compose("down", "--volumes", "--remove-orphans", check=False)

    def runs(self, service: str, program: str) -> bool:
        """Whether a line of Python ends well within a service's container."""
        words = ("exec", "-T", service, "python", "-c", f"{program}\nprint('done')")
        return self.compose(*words, check=False) == "done"

    def container(self, service: str) -> str:
        return self.compose("ps", "--all", "--quiet", service)

    def inspect(self, service: str) -> dict[str, Any]:
        found: list[dict[str, Any]] = json.loads(self.docker("inspect", self.container(service)))
        return found[0]

    def inner_address(self, service: str) -> str:
        networks = self.inspect(service)["NetworkSettings"]["Networks"]
        return str(networks[f"{PROJECT}_inner"]["IPAddress"])


def ask(path: str, data: bytes | None = None, **headers: str) -> tuple[int, bytes]:
    """Status and body of a request to nginx."""
    request = urllib.request.Request(ADDRESS + path, data, headers)
    try:
        with urllib.request.urlopen(request, timeout=70, context=_TRUSTING) as response:
            return int(response.status), response.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


def predict(film: bytes) -> tuple[int, dict[str, Any]]:
    form = multipart(film, "film.dcm")
    status, body = ask("/predict", form["data"], **{"Content-Type": form["content_type"]})
    return status, json.loads(body)


def until(what: Callable[[], bool], seconds: float) -> bool:
    """Whether it came true in that time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if what():
            return True
        time.sleep(0.5)
    return False


def a_film_is_read(_: Stack) -> None:
    status, reading = predict(sample_path().read_bytes())
    assert status == 200, reading
    assert reading["decision"] in ("normal", "uncertain", "infected")
    assert ask("/")[0] == ask("/docs")[0] == 200
    assert ask("/metrics")[0] == 404


def limits_answer(_: Stack) -> None:
    for size in (33_800_000, 40_000_000):  # the application's limit, and nginx's above it
        status, problem = predict(bytes(size))
        assert (status, problem["code"]) == (413, "too_large")


def containers_are_locked_down(stack: Stack) -> None:
    for service in stack.services:
        found = stack.inspect(service)
        host, user = found["HostConfig"], found["Config"]["User"]
        assert host["CapDrop"] == ["ALL"], service
        assert host["SecurityOpt"] == ["no-new-privileges:true"], service
        assert user.partition(":")[0] not in ("", "0", "root"), (service, user)
        if service in HARDENED:
            assert host["ReadonlyRootfs"], service
            assert host["Memory"] > 0, service
            assert host["PidsLimit"] > 0, service
        for ports in (found["NetworkSettings"]["Ports"] or {}).values():
            assert all(port["HostIp"] == "127.0.0.1" for port in ports or ()), service


def the_application_writes_nothing(stack: Stack) -> None:
    def writes(place: str) -> bool:
        program = f"open({place!r}, 'w').write('x')"
        return stack.runs("xray", program)

    assert writes("/tmp/file")  # which is memory
    assert not writes("/srv/xray/file")
    assert not writes("/etc/file")


def the_application_reaches_nobody_outside(stack: Stack) -> None:
    networks = stack.inspect("orthanc")["NetworkSettings"]["Networks"]
    archive = networks[f"{PROJECT}_outer"]["IPAddress"]
    program = f"import socket; socket.create_connection(({archive!r}, 4242), timeout=3)"
    assert stack.runs("node", program)  # it listens, and who may reach it does
    assert not stack.runs("xray", program)


def it_does_not_open_to_others_without_keys(stack: Stack) -> None:
    done = subprocess.run(
        ["docker", *COMPOSE, "run", "--rm", "--no-deps", "xray"],
        cwd=ROOT,
        env={**stack.environment, "XRAY_LISTEN": "0.0.0.0", "XRAY_ALLOW_ANONYMOUS": ""},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode, "it serves"
    assert "no API keys are configured" in done.stdout + done.stderr


def nginx_stays_while_the_application_is_replaced(stack: Stack) -> None:
    before, answers = stack.container("nginx"), set()
    words = ["docker", *COMPOSE, "up", "--detach", "--force-recreate", "xray"]
    with subprocess.Popen(
        words, cwd=ROOT, env=stack.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as replacing:
        while replacing.poll() is None:
            answers.add(ask("/readyz")[0])
    assert replacing.returncode == 0
    assert answers <= {200, 503}, answers
    assert until(lambda: ask("/readyz")[0] == 200, 60)
    assert stack.container("nginx") == before


def it_is_found_again_at_another_address(stack: Stack) -> None:
    before, container = stack.inner_address("xray"), stack.container("xray")
    stack.docker("stop", container)
    status, problem = predict(b"x")
    assert (status, problem["code"]) == (503, "overloaded")
    squatters = []
    try:
        while not squatters or stack.docker("inspect", squatters[-1]).find(f'"{before}"') < 0:
            words = ("run", "--detach", "--rm", "--network", f"{PROJECT}_inner", SQUATTER)
            squatters.append(stack.docker(*words, "sleep", "600"))
        stack.docker("start", container)
        assert stack.inner_address("xray") != before
        assert until(lambda: ask("/readyz")[0] == 200, 60)
    finally:
        stack.docker("rm", "--force", *squatters)


def a_film_goes_through_the_node_into_the_archive(_: Stack) -> None:
    film = dcmread(sample_path())
    entity = AE("MODALITY")
    entity.add_requested_context(film.SOPClassUID, film.file_meta.TransferSyntaxUID)
    association = entity.associate("127.0.0.1", 11112, ae_title="XRAY")
    assert association.is_established
    assert association.send_c_store(film).Status == 0
    association.release()

    def archived() -> list[str]:
        secret = b64encode(b"demo:demo").decode()  # deploy/orthanc/orthanc.json
        request = urllib.request.Request(
            "http://127.0.0.1:8042/series?expand", headers={"Authorization": f"Basic {secret}"}
        )
        with urllib.request.urlopen(request, timeout=10) as response:
            return sorted(one["MainDicomTags"]["Modality"] for one in json.load(response))

    assert until(lambda: archived() == ["OT", "PR", "SR"], 60), archived()


def prometheus_sees_both(stack: Stack) -> None:
    def targets() -> dict[str, str]:
        address = "http://127.0.0.1:9090/api/v1/targets?state=active"
        text = stack.compose("exec", "-T", "prometheus", "wget", "-qO-", address)
        found = json.loads(text)["data"]["activeTargets"]
        return {one["labels"]["job"]: one["health"] for one in found}

    expected = {"xray": "up"} | ({"xray-pacs": "up"} if "node" in stack.services else {})
    assert until(lambda: targets() == expected, 60), targets()


#: Each check, and the services without which it is left out.
CHECKS: tuple[tuple[Callable[[Stack], None], frozenset[str]], ...] = (
    (a_film_is_read, frozenset()),
    (limits_answer, frozenset()),
    (containers_are_locked_down, frozenset()),
    (the_application_writes_nothing, frozenset()),
    (the_application_reaches_nobody_outside, frozenset({"node", "orthanc"})),
    (it_does_not_open_to_others_without_keys, frozenset()),
    (nginx_stays_while_the_application_is_replaced, frozenset()),
    (it_is_found_again_at_another_address, frozenset()),
    (a_film_goes_through_the_node_into_the_archive, frozenset({"node", "orthanc"})),
    (prometheus_sees_both, frozenset({"prometheus"})),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--engine", default="keras", choices=["keras", "lean"])
    parser.add_argument(
        "--without", nargs="*", default=[], choices=["node", "orthanc", "prometheus", "grafana"]
    )
    given = parser.parse_args()
    stack = Stack(given.engine, given.without)
    stack.down()
    began = time.monotonic()
    try:
        stack.compose("build", *(name for name in stack.services if name in ("xray", "orthanc")))
        print(f"built in {time.monotonic() - began:.0f} s", flush=True)
        began = time.monotonic()
        stack.compose("up", "--detach", "--wait", *stack.services)
        print(f"up and healthy in {time.monotonic() - began:.0f} s", flush=True)
        for check, needed in CHECKS:
            if needed <= set(stack.services):
                check(stack)
                print(f"ok: {check.__name__.replace('_', ' ')}", flush=True)
    finally:
        stack.down()


if __name__ == "__main__":
    main()
