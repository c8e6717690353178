"""An application over two small bundles, loaded once for all tests of this package."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient

from app import create_app
from app.settings import Settings
from cxr.bundle import Bundle
from cxr.errors import BundleError
from tests.conftest import write_tiny_bundle
from tests.phantoms import chest_phantom, encode_jpeg

CHILDREN = "pediatric-pneumonia"
ADULTS = "covid19-radiography"


@pytest.fixture(scope="session")
def models_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one bundle for children and one for adults. Do not change it."""
    folder = tmp_path_factory.mktemp("two-models")
    write_tiny_bundle(
        folder / CHILDREN, population={"label": "Children", "min_age_years": 1, "max_age_years": 5}
    )
    write_tiny_bundle(folder / ADULTS, population={"label": "Adults", "min_age_years": 18})
    return folder


def no_bundle(path: Path) -> Bundle:
    """A loader for applications whose models do not matter to the test."""
    raise BundleError(f"{path.name} is not needed here.")


def loaded(settings: Settings) -> Flask:
    """An application that has loaded what it can."""
    app = create_app(settings)
    assert app.extensions["registry"].wait(120)
    return app


@pytest.fixture(scope="session")
def app(models_folder: Path) -> Flask:
    """A ready application with small limits, and no gate: the films here are drawn ones."""
    settings = Settings(models=models_folder, gate=False)
    app = loaded(replace(settings, max_upload_bytes=4 * 2**20, max_pixels=16_000_000))
    assert app.extensions["registry"].failures == {}
    return app


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


@pytest.fixture(scope="session")
def jpeg() -> bytes:
    """A synthetic chest radiograph."""
    return encode_jpeg(chest_phantom(400))


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Two ends of a connection, the server's first."""
    near, far = socket.socketpair()
    with near, far:
        far.settimeout(5)
        yield near, far
