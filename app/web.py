"""The pages for people: the same line as ``/predict``, ending in a template."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from flask import Blueprint, abort, render_template, request, url_for

from app import current
from app.errors import NotReadyError
from app.predictor import Predictor
from app.presentation import BY_AGE, DECISION_WORDS, choices, present
from app.reading import NOTICE, Reading
from app.sample import DESCRIPTION, sample_path
from app.settings import PROJECT_ROOT
from app.uploads import radiograph_bytes

blueprint = Blueprint("web", __name__)


@blueprint.app_context_processor
def _for_every_page() -> dict[str, Any]:
    return {
        "notice": NOTICE,
        "sample": DESCRIPTION if sample_path() else None,
        "max_megabytes": current.settings().max_upload_bytes // 2**20,
        "by_age": BY_AGE,
    }


@cache
def _station_modules() -> tuple[str, ...]:
    # Named in the page so that a browser fetches all at once, not one import after the other.
    scripts = Path(PROJECT_ROOT, "static", "js").glob("*.js")
    return tuple(sorted(path.name for path in scripts if path.name != "theme.js"))


@blueprint.get("/")
def index() -> str:
    """The page with the form; says so while the models are still loading."""
    registry = current.registry()
    try:
        patients = choices(registry.predictor)
        trouble = None
    except NotReadyError as error:
        patients = []
        trouble = error.detail
    return render_template(
        "index.html",
        patients=patients,
        trouble=trouble,
        loading=registry.loading,
        decisions=DECISION_WORDS,
        station_modules=[url_for("static", filename=f"js/{name}") for name in _station_modules()],
    )


@blueprint.post("/")
def read() -> str:
    """The result page for the file of the form."""
    predictor = current.predictor()
    data = radiograph_bytes(request)
    model = request.form.get("model") or request.args.get("model")
    always = request.form.get("map") == "always"
    return _result(predictor, data, model, map_if_normal=always, is_sample=False)


@blueprint.post("/sample")
def read_sample() -> str:
    """The result page for the sample radiograph: an adult's, by the dates in its file."""
    predictor = current.predictor()
    path = sample_path() or abort(404)
    return _result(predictor, path.read_bytes(), None, is_sample=True)


def _result(
    predictor: Predictor,
    data: bytes,
    model: str | None,
    *,
    is_sample: bool,
    map_if_normal: bool = False,
) -> str:
    reading: Reading = predictor.read(
        data,
        model=None if model == BY_AGE else model,
        heatmap="overlay",
        map_if_normal=map_if_normal,
        with_film=True,
        needs_patient=model == BY_AGE,
    )
    current.metrics().count_reading(reading)
    return render_template(
        "result.html",
        reading=reading,
        shown=present(reading),
        patients=choices(predictor, chosen=reading.bundle.name),
        is_sample=is_sample,
    )
