"""The API's description (OpenAPI 3.1): flask-openapi3 makes it from the routes themselves.

A view's annotated parameters are checked and described in one; what the library cannot know
(which problem codes a route answers, that a body is a film) is said beside the route with the
functions below.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NoReturn

from flask import Flask
from flask_openapi3.models.info import Info
from flask_openapi3.models.license import License
from flask_openapi3.models.server import Server
from flask_openapi3.openapi import OpenAPI
from flask_openapi3.types import ResponseDict, SecuritySchemesDict
from pydantic import BaseModel, ValidationError

from app.errors import PROBLEMS, InvalidParameterError
from app.refusals import BEFORE_FLASK
from app.schemas import Problem
from app.settings import PROJECT_ROOT, Settings

API_VERSION = "1.0.0"

#: Any route may answer these: a host that is not served, no key, a request that did not arrive
#: in time, too many of them, a defect here.
EVERYWHERE = (
    "invalid_parameter",
    "unauthorized",
    "request_timeout",
    "rate_limited",
    "internal_error",
)

#: A route that asks a model by its name.
ASKS_A_MODEL = ("unknown_model", "not_ready")

#: A route that reads films.
READS_FILMS = (
    "empty_file",
    "too_large",
    "too_many_pixels",
    "unsupported_format",
    "unreadable_image",
    "not_a_chest_xray",
    "unsuitable_image",
    "overloaded",
)

#: Of those, what a route does not answer that asks nobody who they are, and counts nobody.
_WHERE_ASKED = {"unauthorized", "rate_limited"}

#: Statuses of ``invalid_parameter`` beside its own: the request was not understood at all.
_NOT_UNDERSTOOD = {
    int(refusal.status[:3]): f"`{refusal.code}`: {refusal.detail}"
    for refusal in BEFORE_FLASK
    if refusal.code == "invalid_parameter"
    and not refusal.status.startswith(str(PROBLEMS[refusal.code].status))
}

_BINARY = {"type": "string", "format": "binary"}

#: The body of a request that carries one film. ``image/*`` is described, any of them is taken.
FILM_BODY = {
    "required": True,
    "content": {
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "properties": {"file": {**_BINARY, "description": "The radiograph."}},
                "required": ["file"],
            }
        },
        "image/*": {"schema": _BINARY},
        "application/dicom": {"schema": _BINARY},
        "application/octet-stream": {"schema": _BINARY},
    },
}

#: For routes that ask nobody who they are.
OPEN_TO_ALL: dict[str, Any] = {"security": []}

_SECURITY_SCHEMES: SecuritySchemesDict = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "An API key of this service."},
    "header": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
}


def problems(*codes: str, open_to_all: bool = False) -> ResponseDict:
    """``responses`` for the codes and those that any route may answer, one a status.

    Args:
        open_to_all: the route asks nobody who they are.
    """
    by_status = {status: [words] for status, words in _NOT_UNDERSTOOD.items()}
    for code in dict.fromkeys((*codes, *EVERYWHERE)):
        if not (open_to_all and code in _WHERE_ASKED):
            words = f"`{code}`: {PROBLEMS[code].title}"
            by_status.setdefault(PROBLEMS[code].status, []).append(words)
    return {
        str(status): {
            "description": "; ".join(same),
            "content": {
                "application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}
            },
            **({"headers": _RETRY_AFTER} if status in (429, 503) else {}),
        }
        for status, same in sorted(by_status.items())
    }


_RETRY_AFTER = {"Retry-After": {"description": "Seconds.", "schema": {"type": "integer"}}}


def answers(model: type[BaseModel], *codes: str, open_to_all: bool = False) -> ResponseDict:
    """``responses`` of a route that answers ``model`` as JSON, or one of the codes."""
    return {"200": model, **problems(*codes, open_to_all=open_to_all)}


def _refuse(error: ValidationError) -> NoReturn:
    """A parameter that does not fit its model, as the problem that it is.

    pydantic's message says what was expected, never what was sent.
    """
    first = error.errors(include_url=False, include_input=False)[0]
    if first["type"] == "extra_forbidden":
        # The name is the sender's own text: not repeated either.
        raise InvalidParameterError(
            "The address has a parameter that is not known here, perhaps a mistyped name. "
            "/docs lists those that are."
        )
    name = ".".join(str(part) for part in first["loc"])
    message = first["msg"][0].lower() + first["msg"][1:]
    raise InvalidParameterError(f"{name or 'The request'} cannot be used: {message}.")


def make_app(settings: Settings) -> OpenAPI:
    """An application that describes its routes."""
    asks_for_keys = settings.api_keys_file is not None
    security: list[dict[str, list[str]]] = [{name: []} for name in _SECURITY_SCHEMES]
    return OpenAPI(
        "app",
        root_path=str(PROJECT_ROOT),
        info=Info(
            title="X-Ray Result Interpreter",
            version=API_VERSION,
            description="Reads frontal chest radiographs for signs of infection. "
            "Research use only. Not a medical device.",
            license=License(name="Apache-2.0", identifier="Apache-2.0"),
        ),
        servers=[Server(url="/")],
        security_schemes=_SECURITY_SCHEMES if asks_for_keys else {},
        openapi_extensions={"security": security} if asks_for_keys else {},
        validation_error_status=400,
        validation_error_model=Problem,
        validation_error_callback=_refuse,
        doc_ui=False,  # its pages need inline scripts; /docs is ours
    )


def document(app: Flask) -> Mapping[str, Any]:
    """The OpenAPI document of an application that ``make_app`` made."""
    assert isinstance(app, OpenAPI)
    description: dict[str, Any] = app.api_doc
    return description
