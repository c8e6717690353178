"""What programs ask for: readings, models, the description of the API."""

from __future__ import annotations

from flask import (
    Response,
    current_app,
    jsonify,
    render_template,
    request,
    send_from_directory,
)
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag

from app import cards, current
from app.errors import PROBLEMS, wants_page
from app.openapi import ASKS_A_MODEL, FILM_BODY, READS_FILMS, answers, document, problems
from app.population import describe
from app.schemas import FigurePath, ModelCard, ModelPath, Models, PredictQuery, Reading
from app.security import FIGURE_POLICY
from app.uploads import radiograph_bytes, refuse_fields, refuse_repeated
from cxr.bundle_fields import FIGURES_FOLDER

READINGS = Tag(name="Readings", description="One chest radiograph in, one reading out.")
MODELS = Tag(name="Models", description="What reads, and what is known of it.")

blueprint = APIBlueprint("api", __name__)
blueprint.add_app_template_filter(describe, "population")
blueprint.add_app_template_filter(cards.inline_html, "inline")


@blueprint.post(
    "/predict",
    operation_id="predict",
    tags=[READINGS],
    summary="Read one chest radiograph",
    description=(
        "Send the file as the multipart field `file`, or its bytes as the body; the parameters go "
        "into the query, not into the form. The format is found from the content; names and types "
        "are not trusted. Without `model`, the age in a DICOM file chooses between the bundles for "
        "children and for adults; without an age the default bundle reads."
    ),
    openapi_extensions={"requestBody": FILM_BODY},
    responses=answers(Reading, "missing_file", *ASKS_A_MODEL, *READS_FILMS),
)
def predict(query: PredictQuery) -> Response:
    """The reading of one radiograph, as JSON."""
    predictor = current.predictor()
    data = radiograph_bytes(request)
    refuse_repeated(request)
    refuse_fields(request, PredictQuery.model_fields)
    reading = predictor.read(
        data,
        model=query.model,
        heatmap=query.heatmap,
        heatmap_class=query.heatmap_class,
    )
    current.metrics().count_reading(reading)
    return jsonify(reading.to_json())


@blueprint.get(
    "/models",
    operation_id="list_models",
    tags=[MODELS],
    summary="The loaded models",
    responses=answers(Models, "not_ready"),
)
def models() -> Response:
    """The loaded bundles."""
    predictor = current.predictor()
    bundles = predictor.bundles.values()
    if wants_page():
        response = current_app.make_response(
            render_template("models.html", bundles=bundles, default=predictor.default)
        )
    else:
        response = jsonify(
            default=predictor.default.name,
            models=[cards.summary(bundle) for bundle in bundles],
            failed=cards.refused(current.registry().failures),
        )
    response.vary.add("Accept")
    return response


@blueprint.get(
    "/models/<name>",
    operation_id="get_model",
    tags=[MODELS],
    summary="One model and its card",
    responses=answers(ModelCard, *ASKS_A_MODEL),
)
def model(path: ModelPath) -> Response:
    """One bundle with its card."""
    bundle = current.predictor().bundle(path.name)
    if wants_page():
        response = current_app.make_response(
            render_template("model.html", bundle=bundle, card=cards.card_html(bundle))
        )
    else:
        response = jsonify(cards.full(bundle))
    response.vary.add("Accept")
    return response


@blueprint.get(
    "/models/<name>/figures/<file>",
    operation_id="get_figure",
    tags=[MODELS],
    summary="One plot of a model's card",
    responses={
        "200": {
            "description": "The plot.",
            "content": {"image/svg+xml": {"schema": {"type": "string"}}},
        },
        **problems(*ASKS_A_MODEL, "not_found", "unsatisfiable_range"),
    },
)
def figure(path: FigurePath) -> Response:
    """One plot of a bundle's card; nothing else of its folder."""
    folder = current.predictor().bundle(path.name).path.resolve() / FIGURES_FOLDER
    response = send_from_directory(folder, path.file, mimetype="image/svg+xml")
    # A plot styles itself, wherever it is opened; that is all it may do.
    response.headers["Content-Security-Policy"] = FIGURE_POLICY
    return response


@blueprint.get("/openapi.json", doc_ui=False)
def openapi() -> Response:
    """The description of this API."""
    return jsonify(document(current_app))


@blueprint.get("/docs", doc_ui=False)
def docs() -> str:
    """The same description for people, without anything from the internet."""
    return render_template("docs.html", api=document(current_app), problems=PROBLEMS)
