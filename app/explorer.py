"""Swagger UI for ``/docs``: files out of a package on this machine, nothing from the internet."""

from __future__ import annotations

from pathlib import Path

import flask_openapi3_swagger
from flask import Blueprint

_ASSETS = Path(flask_openapi3_swagger.__file__).parent / "templates" / "swagger"

# Only the files: the package's own page needs inline scripts, which our pages forbid.
blueprint = Blueprint(
    "explorer", __name__, static_folder=str(_ASSETS), static_url_path="/docs/swagger"
)
