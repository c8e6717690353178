"""For whoever watches the service: alive, ready, numbers."""

from __future__ import annotations

from flask import Blueprint, Response, abort, current_app, jsonify

from app.metrics import Metrics
from app.registry import Registry

blueprint = Blueprint("health", __name__)


@blueprint.get("/healthz")
def healthz() -> Response:
    """Alive: the process answers. Says nothing about the models."""
    return jsonify(status="alive")


@blueprint.get("/readyz")
def readyz() -> Response:
    """Ready to predict, and with which bundles; 503 with the reason until then."""
    registry: Registry = current_app.extensions["registry"]
    predictor = registry.predictor  # raises NotReadyError
    return jsonify(
        status="ready",
        models=[
            {"name": bundle.name, "version": bundle.version, "sha256": bundle.sha256}
            for bundle in predictor.bundles.values()
        ],
        failed=[{"bundle": name, "reason": reason} for name, reason in registry.failures.items()],
    )


@blueprint.get("/metrics")
def metrics() -> Response:
    """Prometheus metrics of all workers."""
    if current_app.extensions["settings"].metrics == "off":
        abort(404)
    counters: Metrics = current_app.extensions["metrics"]
    return counters.exposition()
