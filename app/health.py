"""For whoever watches the service: alive, ready, numbers."""

from __future__ import annotations

from flask import Response, abort, jsonify
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag

from app import cards, current
from app.openapi import OPEN_TO_ALL, answers, problems
from app.schemas import Alive, Ready

HEALTH = Tag(name="Health", description="For whoever watches the service.")

blueprint = APIBlueprint("health", __name__, abp_tags=[HEALTH])


@blueprint.get(
    "/healthz",
    operation_id="healthz",
    summary="Alive",
    openapi_extensions=OPEN_TO_ALL,
    responses=answers(Alive, open_to_all=True),
)
def healthz() -> Response:
    """Alive: the process answers. Says nothing about the models."""
    return jsonify(status="alive")


@blueprint.get(
    "/readyz",
    operation_id="readyz",
    summary="Ready to predict",
    openapi_extensions=OPEN_TO_ALL,
    responses=answers(Ready, "not_ready", open_to_all=True),
)
def readyz() -> Response:
    """Ready to predict, and with which bundles; 503 with the reason until then."""
    registry = current.registry()
    predictor = registry.predictor  # raises NotReadyError
    return jsonify(
        status="ready",
        models=[
            {"name": bundle.name, "version": bundle.version, "sha256": bundle.sha256}
            for bundle in predictor.bundles.values()
        ],
        gate=cards.gate_summary(predictor.gate),
        failed=cards.refused(registry.failures),
    )


@blueprint.get(
    "/metrics",
    operation_id="metrics",
    summary="Metrics for Prometheus",
    responses={
        "200": {
            "description": "Prometheus's text format.",
            "content": {"text/plain": {"schema": {"type": "string"}}},
        },
        **problems("not_found"),
    },
)
def metrics() -> Response:
    """Prometheus metrics of all workers."""
    if current.settings().metrics == "off":
        abort(404)
    return current.metrics().exposition()
