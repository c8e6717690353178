"""The pages for people: the same line as ``/predict``, ending in a template."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, abort, current_app, render_template, request

from app.errors import NotReadyError
from app.population import bundle_for_age
from app.predictor import NOTICE, Predictor, Reading
from app.presentation import choices, present
from app.registry import Registry
from app.sample import AGE_YEARS, DESCRIPTION, sample_path
from app.uploads import radiograph_bytes

blueprint = Blueprint("web", __name__)


@blueprint.app_context_processor
def _for_every_page() -> dict[str, Any]:
    settings = current_app.extensions["settings"]
    return {
        "notice": NOTICE,
        "sample": DESCRIPTION if sample_path() else None,
        "max_megabytes": settings.max_upload_bytes // 2**20,
    }


def _registry() -> Registry:
    registry: Registry = current_app.extensions["registry"]
    return registry


@blueprint.get("/")
def index() -> str:
    """The page with the form; says so while the models are still loading."""
    registry = _registry()
    try:
        patients = choices(registry.predictor)
        trouble = None
    except NotReadyError as error:
        patients = []
        trouble = error.detail
    return render_template(
        "index.html", patients=patients, trouble=trouble, loading=registry.loading
    )


@blueprint.post("/")
def read() -> str:
    """The result page for the file of the form."""
    predictor = _registry().predictor
    data = radiograph_bytes(request)
    model = request.form.get("model") or request.args.get("model") or None
    always = request.form.get("map") == "always"
    return _result(predictor, data, model, map_if_normal=always, is_sample=False)


@blueprint.post("/sample")
def read_sample() -> str:
    """The result page for the sample radiograph, read by the adults' model."""
    predictor = _registry().predictor
    path = sample_path()
    if path is None:
        abort(404)
    bundle = bundle_for_age(predictor.bundles.values(), AGE_YEARS)
    return _result(predictor, path.read_bytes(), bundle.name if bundle else None, is_sample=True)


def _result(
    predictor: Predictor,
    data: bytes,
    model: str | None,
    *,
    is_sample: bool,
    map_if_normal: bool = False,
) -> str:
    reading: Reading = predictor.read(
        data, model=model, heatmap="overlay", map_if_normal=map_if_normal, with_film=True
    )
    current_app.extensions["metrics"].count_reading(reading)
    return render_template(
        "result.html",
        reading=reading,
        shown=present(reading),
        patients=choices(predictor, chosen=reading.bundle.name),
        is_sample=is_sample,
    )
