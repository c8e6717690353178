"""What goes over the wire, as pydantic models: the OpenAPI document is made from them.

Requests are checked against them. Answers are not, on the way out (it would cost every reading
time); the tests do that.
"""

from __future__ import annotations

from functools import cache
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.json_schema import SkipJsonSchema

from app.errors import PROBLEMS
from app.predictor import HEATMAPS, INFECTION
from cxr.verdict import REASONS

Probability = Annotated[float, Field(ge=0, le=1)]
Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


def without_null_defaults(schema: dict[str, Any]) -> None:
    """What may be left out has no default in the description.

    Null is not always a value that it may have, and generators of clients make a member that has
    a default one that must be there.
    """
    for member in schema.get("properties", {}).values():
        if member.get("default", ...) is None:
            del member["default"]


class Answer(BaseModel):
    """Something that the service says."""

    model_config = ConfigDict(
        json_schema_serialization_defaults_required=True, json_schema_extra=without_null_defaults
    )


class Parameters(BaseModel):
    """Something that a request says besides its body."""

    @classmethod
    @cache
    def model_json_schema(  # type: ignore[override]  # mypy does not see through the cache
        cls, *args: Any, **options: Any
    ) -> dict[str, Any]:
        """The same, made once: flask-openapi3 asks for it at every request (about 1 ms)."""
        return super().model_json_schema(*args, **options)


class PredictQuery(Parameters):
    # A mistyped `model` must not leave the film to another model without a word.
    model_config = ConfigDict(extra="forbid")

    # An empty one is an unset variable of a script, not a wish for the default.
    model: str | None = Field(
        None, min_length=1, description="Name of a bundle; `/models` lists them."
    )
    heatmap: Literal[HEATMAPS] = Field(  # type: ignore[valid-type]
        "none",
        description="Also draw where the film spoke for infection, as a PNG. `overlay`: over the "
        "film. `map`: alone, with a palette whose index is the strength from 0 to 255. Both have "
        "at most 640 pixels a side. `layer`: the colours alone (RGBA, no palette), transparent "
        "where nothing speaks for it, to lay over the film in its proportions.",
    )
    heatmap_class: str = Field(
        INFECTION,
        description=f"What the map shows: `{INFECTION}`, or what speaks for one class against "
        "the others, by its id; `/models` lists them.",
    )


class ModelPath(Parameters):
    name: str = Field(description="Name of a bundle.")


class VersionPath(ModelPath):
    version: str = Field(description="Version of a bundle: the one that is loaded.")


class FigurePath(ModelPath):
    file: str = Field(description="Name of a plot, as the card links to it.")


class Thresholds(Answer):
    rule_out: Probability
    rule_in: Probability


class WarningNote(Answer):
    code: str
    detail: str


class ModelName(Answer):
    name: str
    version: str
    sha256: Sha256


class Image(Answer):
    format: Literal["JPEG", "PNG", "TIFF", "WEBP", "BMP", "DICOM"]
    width: int = Field(ge=1)
    height: int = Field(ge=1)
    sha256: Sha256


class Timing(Answer):
    decode: float
    model: float
    total: float


class Reading(Answer):
    """One film, read."""

    finding: str = Field(description="The most probable class.")
    decision: Literal["normal", "infected", "uncertain"] = Field(
        description="`infected` from `rule_in` up, `normal` below `rule_out`, else `uncertain`."
    )
    infection_probability: Probability = Field(
        description="Calibrated; the sum over the classes that mean infection."
    )
    probabilities: dict[str, Probability] = Field(description="Label → calibrated probability.")
    thresholds: Thresholds = Field(description="`rule_out` and `rule_in` of the bundle.")
    warnings: list[WarningNote] = Field(
        description="Reasons to trust the reading less; `no_heatmap`: the model has no map to show."
    )
    model: ModelName = Field(description="Which bundle read.")
    image: Image = Field(description="What was found in the file.")
    heatmap: str | None = Field(description="A PNG as `data:` URI, if the query asked for one.")
    timing_ms: Timing = Field(description="Milliseconds for decoding, the model and in total.")
    notice: str


class Problem(Answer):
    """Every error: RFC 9457."""

    model_config = ConfigDict(json_schema_serialization_defaults_required=False)

    type: str = Field(json_schema_extra={"format": "uri-reference"})
    title: str
    status: int
    detail: str = Field(description="What was wrong with this request.")
    code: Literal[tuple(PROBLEMS)] = Field(description="Rely on this.")  # type: ignore[valid-type]
    request_id: str = Field(description="Also in the header `X-Request-ID`.")
    reason: SkipJsonSchema[None] | Literal[tuple(REASONS)] = Field(  # type: ignore[valid-type]
        default=None, description="With some codes: what is to be put right. New ones may come."
    )
    error: SkipJsonSchema[None] | str = Field(
        default=None, description="`detail` again, where clients of the V2 protocol look for it."
    )


class FindingClass(Answer):
    id: str
    label: str
    infected: bool


class Model(Answer):
    """A bundle, in short."""

    name: str
    version: str
    sha256: Sha256
    classes: list[FindingClass]
    thresholds: Thresholds
    population: dict[str, Any] = Field(description="Whom it was made for.")
    url: str


class ModelCard(Model):
    """A bundle with all that is known of it."""

    model_config = ConfigDict(extra="allow")

    metrics: dict[str, Any]
    audit: dict[str, Any] | None = Field(
        description="What `python -m training audit` found; null before it."
    )
    card: str = Field(description="Markdown.")


class Refused(Answer):
    bundle: str
    reason: str


class Models(Answer):
    default: str = Field(description="Reads where none is named and no age chooses.")
    models: list[Model]
    failed: list[Refused] = Field(description="Bundles that could not be loaded, and why.")


class Alive(Answer):
    status: Literal["alive"]


class GateName(Answer):
    version: str
    sha256: Sha256


class Ready(Answer):
    status: Literal["ready"]
    models: list[ModelName]
    gate: GateName | None = Field(description="Refuses what is no chest film; null: off.")
    failed: list[Refused]
