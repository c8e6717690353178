"""Whom a bundle was made for: choosing a bundle by age, warning when it does not fit."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from cxr.radiograph import DicomFields, Radiograph
from cxr.suitability import (
    COLOURED_CHROMA,
    CROPPED_ASPECT,
    LOW_CONTRAST,
    LOW_RESOLUTION_SIDE,
    OVEREXPOSED_WHITE,
    white,
)

if TYPE_CHECKING:
    from cxr.bundle import Bundle

ADULT_AGE_YEARS = 18


@dataclass(frozen=True)
class ReadingWarning:
    """A reason to trust a reading less; ``code`` is stable, ``detail`` is for people."""

    code: str
    detail: str

    def to_json(self) -> dict[str, str]:
        return {"code": self.code, "detail": self.detail}


def group_of(population: Mapping[str, Any]) -> Literal["child", "adult"] | None:
    """Whether the ages that a bundle states are children's (under 18) or adults'.

    None where it states none, or both: nobody has said that a film's age may choose it.
    """
    youngest, oldest = population.get("min_age_years"), population.get("max_age_years")
    if oldest is not None and oldest < ADULT_AGE_YEARS:
        return "child"
    return "adult" if youngest is not None and youngest >= ADULT_AGE_YEARS else None


def bundle_for_age(bundles: Iterable[Bundle], age_years: float) -> Bundle | None:
    """The bundle made for a child (under 18) or an adult, or None when there is none."""
    group = "child" if age_years < ADULT_AGE_YEARS else "adult"
    for bundle in bundles:
        if group_of(bundle.population) == group:
            return bundle
    return None


def serves_several(bundles: Iterable[Bundle]) -> bool:
    """Whether there are bundles for children as well as for adults."""
    return len({group_of(bundle.population) for bundle in bundles} - {None}) > 1


def patient_unknown(bundle: Bundle) -> ReadingWarning:
    """Said of a reading by the default bundle that nobody chose, where another might be meant."""
    return ReadingWarning(
        "patient_unknown",
        "Neither the request nor the file says how old the patient is, so the model for "
        f"{describe(bundle.population)} read the film. Name the model of the patient's group "
        "(model=), or send a DICOM file that states the age.",
    )


def _age_words(years: float) -> str:
    if years >= 2:
        return f"{years:.0f} years"
    months = round(years * 12)
    return f"{months} month{'' if months == 1 else 's'}"


def _ages_of(population: Mapping[str, Any]) -> str:
    youngest, oldest = population.get("min_age_years"), population.get("max_age_years")
    if youngest is not None and oldest is not None:
        return f"{youngest:g} to {oldest:g} years"
    if youngest is not None:
        return f"{youngest:g} years and older"
    if oldest is not None:
        return f"up to {oldest:g} years"
    return "ages not stated"


def describe(population: Mapping[str, Any]) -> str:
    """The population in a few words, such as ``Children, 1 to 5 years``."""
    label = population.get("label") or "Patients"
    return f"{label}, {_ages_of(population)}"


def warnings_for(
    radiograph: Radiograph, bundle: Bundle, spread: float, *, doubtful: bool = False
) -> tuple[ReadingWarning, ...]:
    """What makes this radiograph unlike those that the bundle was made for.

    Args:
        spread: its ``contrast``.
        doubtful: the gate let it pass, but only just.
    """
    found = list(_warnings_of_the_picture(radiograph, spread, doubtful))
    if radiograph.dicom is not None:
        found += _warnings_of_the_header(radiograph.dicom, bundle.population)
    return tuple(found)


def _warnings_of_the_picture(
    radiograph: Radiograph, spread: float, doubtful: bool
) -> Iterator[ReadingWarning]:
    if min(radiograph.width, radiograph.height) < LOW_RESOLUTION_SIDE:
        yield ReadingWarning(
            "low_resolution",
            f"The image is only {radiograph.width} × {radiograph.height} pixels: fine detail "
            f"is missing. Use the original radiograph, at least {LOW_RESOLUTION_SIDE} "
            "pixels a side.",
        )
    if max(radiograph.width, radiograph.height) > CROPPED_ASPECT * min(
        radiograph.width, radiograph.height
    ):
        yield ReadingWarning(
            "heavily_cropped",
            f"The image is {radiograph.width} × {radiograph.height} pixels: no chest film is "
            "that long and narrow, so a part of it was cut off. Use the whole radiograph.",
        )
    if spread < LOW_CONTRAST:
        yield ReadingWarning(
            "low_contrast",
            "The image uses only a small part of the grey scale: most of its detail was lost "
            "when it was exposed or exported. Export it with the window it is read with.",
        )
    if white(radiograph) > OVEREXPOSED_WHITE:
        yield ReadingWarning(
            "overexposed",
            "A large part of the film is pure white: detail was lost in exposure or in the "
            "window. Export it with a wider window.",
        )
    if radiograph.chroma > COLOURED_CHROMA:
        yield ReadingWarning(
            "coloured_picture",
            "The picture is coloured and a radiograph is grey: it may be a heatmap laid over a "
            "film, a photograph or a screenshot. Send the film itself.",
        )
    if radiograph.photographed:
        yield ReadingWarning(
            "photograph",
            "A camera took this picture, of a monitor or a light box: its glare, its angle and "
            "its raster change readings. Send the file that the monitor shows.",
        )
    if doubtful:
        yield ReadingWarning(
            "doubtful_chest_xray",
            "This is only just like the frontal chest radiographs that the model knows. Check "
            "that it is one: whole, upright, not inverted, and nothing else in the picture.",
        )


def _warnings_of_the_header(
    fields: DicomFields, population: Mapping[str, Any]
) -> Iterator[ReadingWarning]:
    age = fields.patient_age_years
    # An age is given in completed years: someone of 5 years and 11 months is still 5.
    youngest, oldest = population.get("min_age_years"), population.get("max_age_years")
    too_old = age is not None and oldest is not None and age >= oldest + 1
    too_young = age is not None and youngest is not None and age < youngest
    if age is not None and (too_old or too_young):
        yield ReadingWarning(
            "age_outside_population",
            f"The file says the patient is {_age_words(age)} old, but this model was made "
            f"for {_ages_of(population)}. Choose the other patient group, or rely on a "
            "reader.",
        )
    if fields.frontal is False:
        yield ReadingWarning(
            "view_outside_population",
            "The file names another view than PA or AP, such as a lateral one. The model has "
            "only seen frontal radiographs: use the frontal one.",
        )
    if fields.chest is False:
        yield ReadingWarning(
            "body_part_outside_population",
            "The file says this radiograph shows another part of the body. The model has "
            "only seen chests: check that the right file was sent.",
        )
