"""What programs ask for: readings, models, the description of the API."""

from __future__ import annotations

from flask import (
    Blueprint,
    Response,
    current_app,
    jsonify,
    render_template,
    request,
    send_from_directory,
)

from app import cards
from app.errors import PROBLEMS, wants_page
from app.openapi import document
from app.population import describe
from app.predictor import INFECTION, Predictor
from app.registry import Registry
from app.security import FIGURE_POLICY
from app.uploads import radiograph_bytes
from cxr.bundle_fields import FIGURES_FOLDER

blueprint = Blueprint("api", __name__)
blueprint.add_app_template_filter(describe, "population")
blueprint.add_app_template_filter(cards.inline_html, "inline")


def _registry() -> Registry:
    registry: Registry = current_app.extensions["registry"]
    return registry


def _predictor() -> Predictor:
    return _registry().predictor


@blueprint.post("/predict")
def predict() -> Response:
    """The reading of one radiograph, as JSON."""
    predictor = _predictor()
    reading = predictor.read(
        radiograph_bytes(request),
        model=request.args.get("model") or None,
        heatmap=request.args.get("heatmap", "none"),
        heatmap_class=request.args.get("heatmap_class", INFECTION),
    )
    current_app.extensions["metrics"].count_reading(reading)
    return jsonify(reading.to_json())


@blueprint.get("/models")
def models() -> Response:
    """The loaded bundles."""
    predictor = _predictor()
    bundles = predictor.bundles.values()
    if wants_page():
        response = current_app.make_response(
            render_template("models.html", bundles=bundles, default=predictor.default)
        )
    else:
        response = jsonify(
            default=predictor.default.name,
            models=[cards.summary(bundle) for bundle in bundles],
            failed=[
                {"bundle": name, "reason": reason} for name, reason in _registry().failures.items()
            ],
        )
    response.vary.add("Accept")
    return response


@blueprint.get("/models/<name>")
def model(name: str) -> Response:
    """One bundle with its card."""
    bundle = _predictor().bundle(name)
    if wants_page():
        response = current_app.make_response(
            render_template("model.html", bundle=bundle, card=cards.card_html(bundle))
        )
    else:
        response = jsonify(cards.full(bundle))
    response.vary.add("Accept")
    return response


@blueprint.get("/models/<name>/figures/<file>")
def figure(name: str, file: str) -> Response:
    """One plot of a bundle's card; nothing else of its folder."""
    folder = _predictor().bundle(name).path.resolve() / FIGURES_FOLDER
    response = send_from_directory(folder, file, mimetype="image/svg+xml")
    # A plot styles itself, wherever it is opened; that is all it may do.
    response.headers["Content-Security-Policy"] = FIGURE_POLICY
    return response


@blueprint.get("/openapi.json")
def openapi() -> Response:
    """The description of this API."""
    return jsonify(document())


@blueprint.get("/docs")
def docs() -> str:
    """The same description for people, without anything from the internet."""
    return render_template("docs.html", api=document(), problems=PROBLEMS)
