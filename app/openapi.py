"""The API's description (OpenAPI 3.1), built from the tables that the code itself uses.

Written by hand because one operation takes either a form or raw bytes of any image type
and no library derives that from a Flask view; tests hold it against the real routes, the
error table and real answers.
"""

from __future__ import annotations

from typing import Any

from app.errors import PROBLEMS
from app.predictor import HEATMAPS, INFECTION

API_VERSION = "1.0.0"

_PROBABILITY = {"type": "number", "minimum": 0, "maximum": 1}
_TEXT = {"type": "string"}
_NUMBER = {"type": "number"}
_SHA256 = {"type": "string", "pattern": "^[0-9a-f]{64}$"}
_BINARY: dict[str, Any] = {"type": "string", "format": "binary"}


def _object(properties: dict[str, Any], required: list[str] | None = None) -> dict[str, Any]:
    names = list(properties) if required is None else required
    return {"type": "object", "properties": properties, "required": names}


def _array(items: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": items}


def _reference(name: str) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{name}"}


_THRESHOLDS = _object({"rule_out": _PROBABILITY, "rule_in": _PROBABILITY})
_FAILED = _array(_object({"bundle": _TEXT, "reason": _TEXT}))
_MODEL_NAME = _object({"name": _TEXT, "version": _TEXT, "sha256": _SHA256})

_SCHEMAS: dict[str, Any] = {
    "Reading": _object(
        {
            "finding": {**_TEXT, "description": "The most probable class."},
            "decision": {
                "enum": ["normal", "infected", "uncertain"],
                "description": "infected from rule_in up, normal below rule_out, else uncertain.",
            },
            "infection_probability": {
                **_PROBABILITY,
                "description": "Calibrated; the sum over the classes that mean infection.",
            },
            "probabilities": {
                "type": "object",
                "additionalProperties": _PROBABILITY,
                "description": "Label → calibrated probability.",
            },
            "thresholds": _THRESHOLDS,
            "warnings": _array(_object({"code": _TEXT, "detail": _TEXT})),
            "model": _MODEL_NAME,
            "image": _object(
                {
                    "format": {"enum": ["JPEG", "PNG", "TIFF", "WEBP", "BMP", "DICOM"]},
                    "width": {"type": "integer"},
                    "height": {"type": "integer"},
                    "sha256": _SHA256,
                }
            ),
            "heatmap": {
                "type": ["string", "null"],
                "description": "A PNG as data: URI, if the query asked for one.",
            },
            "timing_ms": _object({"decode": _NUMBER, "model": _NUMBER, "total": _NUMBER}),
            "notice": _TEXT,
        }
    ),
    "Problem": _object(
        {
            "type": {"type": "string", "format": "uri-reference"},
            "title": _TEXT,
            "status": {"type": "integer"},
            "detail": {**_TEXT, "description": "What was wrong with this request."},
            "code": {"enum": list(PROBLEMS)},
            "request_id": {**_TEXT, "description": "Also in the header X-Request-ID."},
        }
    ),
    "Model": _object(
        {
            **_MODEL_NAME["properties"],
            "classes": _array(
                _object({"id": _TEXT, "label": _TEXT, "infected": {"type": "boolean"}})
            ),
            "thresholds": _THRESHOLDS,
            "population": {"type": "object"},
            "url": _TEXT,
        }
    ),
    "Models": _object({"default": _TEXT, "models": _array(_reference("Model")), "failed": _FAILED}),
    "ModelCard": {
        "allOf": [
            _reference("Model"),
            _object(
                {
                    "metrics": {"type": "object"},
                    "audit": {
                        "type": ["object", "null"],
                        "description": "What `python -m training audit` found; null before it.",
                    },
                    "card": {**_TEXT, "description": "Markdown."},
                }
            ),
        ]
    },
    "Alive": _object({"status": {"const": "alive"}}),
    "Ready": _object(
        {"status": {"const": "ready"}, "models": _array(_MODEL_NAME), "failed": _FAILED}
    ),
}


def _answer(description: str, schema: str) -> dict[str, Any]:
    return {
        "description": description,
        "content": {"application/json": {"schema": _reference(schema)}},
    }


def _problems(*codes: str) -> dict[str, Any]:
    """Responses for the codes, one a status."""
    by_status: dict[int, list[str]] = {}
    for code in (*codes, "internal_error"):
        by_status.setdefault(PROBLEMS[code].status, []).append(code)
    return {
        str(status): {
            "description": "; ".join(f"`{c}`: {PROBLEMS[c].title}" for c in same),
            "content": {"application/problem+json": {"schema": _reference("Problem")}},
            **(
                {"headers": {"Retry-After": {"schema": {"type": "integer"}}}}
                if status in (429, 503)
                else {}
            ),
        }
        for status, same in sorted(by_status.items())
    }


def _get(
    summary: str,
    schema: str,
    *codes: str,
    parameters: list[dict[str, Any]] | None = None,
) -> dict[str, Any]:
    return {
        "get": {
            "summary": summary,
            **({"parameters": parameters} if parameters else {}),
            "responses": {"200": _answer("OK", schema), **_problems(*codes)},
        }
    }


_PREDICT = {
    "post": {
        "summary": "Read one chest radiograph",
        "description": (
            "Send the file as the multipart field `file`, or its bytes as the body. The format "
            "is found from the content; names and types are not trusted. Without `model`, the "
            "age in a DICOM file chooses between the bundles for children and for adults; "
            "without an age the default bundle reads."
        ),
        "parameters": [
            {
                "name": "model",
                "in": "query",
                "description": "Name of a bundle; `/models` lists them.",
                "schema": _TEXT,
            },
            {
                "name": "heatmap",
                "in": "query",
                "description": "Also draw where the film spoke for infection: over the film, or "
                "alone, as a PNG whose palette index is the strength from 0 to 255.",
                "schema": {"enum": list(HEATMAPS), "default": "none"},
            },
            {
                "name": "heatmap_class",
                "in": "query",
                "description": "What the map shows: `infection`, or what speaks for one class "
                "against the others, by its id; `/models` lists them.",
                "schema": {**_TEXT, "default": INFECTION},
            },
        ],
        "requestBody": {
            "required": True,
            "content": {
                "multipart/form-data": {"schema": _object({"file": _BINARY})},
                "image/*": {"schema": _BINARY},
                "application/dicom": {"schema": _BINARY},
                "application/octet-stream": {"schema": _BINARY},
            },
        },
        "responses": {
            "200": _answer("The reading.", "Reading"),
            **_problems(
                "missing_file",
                "empty_file",
                "invalid_parameter",
                "unknown_model",
                "too_large",
                "too_many_pixels",
                "unsupported_format",
                "unreadable_image",
                "not_a_chest_xray",
                "unsuitable_image",
                "not_ready",
            ),
        },
    }
}

_NAME = {"name": "name", "in": "path", "required": True, "schema": _TEXT}


def document() -> dict[str, Any]:
    """The OpenAPI document."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "X-Ray Result Interpreter",
            "version": API_VERSION,
            "description": "Reads frontal chest radiographs for signs of infection. "
            "Research use only. Not a medical device.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "paths": {
            "/predict": _PREDICT,
            "/models": _get("The loaded models", "Models", "not_ready"),
            "/models/{name}": _get(
                "One model and its card",
                "ModelCard",
                "unknown_model",
                "not_ready",
                parameters=[_NAME],
            ),
            "/models/{name}/figures/{file}": {
                "get": {
                    "summary": "One plot of a model's card",
                    "parameters": [_NAME, {**_NAME, "name": "file"}],
                    "responses": {
                        "200": {
                            "description": "The plot.",
                            "content": {"image/svg+xml": {"schema": _TEXT}},
                        },
                        **_problems("unknown_model", "not_found", "not_ready"),
                    },
                }
            },
            "/healthz": _get("Alive", "Alive"),
            "/readyz": _get("Ready to predict", "Ready", "not_ready"),
            "/metrics": {
                "get": {
                    "summary": "Metrics for Prometheus",
                    "responses": {
                        "200": {
                            "description": "Prometheus's text format.",
                            "content": {"text/plain": {"schema": _TEXT}},
                        },
                        **_problems(),
                    },
                }
            },
        },
        "components": {"schemas": _SCHEMAS},
    }
