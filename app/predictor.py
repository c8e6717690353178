"""bytes → Reading: the only caller of decode and model, whoever asks."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from app.admission import Admission
from app.errors import InvalidParameterError, PatientUnknownError, UnknownModelError
from app.pictures import THUMBNAIL_SIDE, film_png
from app.population import (
    ReadingWarning,
    bundle_for_age,
    patient_unknown,
    serves_several,
    warnings_for,
)
from app.reading import Evidence, Reading
from cxr.decode import decode
from cxr.explain import (
    MAX_SIDE,
    class_activation,
    infection_activation,
    layer_png,
    map_png,
    on_whole_picture,
    overlay,
    overlay_png,
)
from cxr.frame import film_in, without_frame
from cxr.png import png
from cxr.preprocess import reduced, to_model_input
from cxr.radiograph import Limits, Radiograph
from cxr.suitability import contrast, refuse_blank

if TYPE_CHECKING:
    from cxr.bundle import Bundle, Prediction
    from cxr.gate import Gate

#: Said where a heatmap was asked for and there is none; see ``_activation``.
NO_HEATMAP = ReadingWarning(
    "no_heatmap",
    "This model cannot show where it looked: it yields no map, or none that lies on the film.",
)

#: A map, and how far it lies from its place (``cxr.explain.upsample``).
Activation = tuple[NDArray[np.float32], tuple[float, float]]

HEATMAPS = ("none", "overlay", "map", "layer")
#: What a map may show instead of one class: all that speaks for infection.
INFECTION = "infection"


class Predictor:
    """Reads radiographs with one of several bundles. Thread-safe.

    Args:
        bundles: name → loaded bundle; at least one.
        limits: what a file may hold.
        default_model: name of the bundle that reads when nothing chooses another.
        admission: bounds what is read at once; None does not.
        gate: judges whether a picture may be read at all; None lets every picture in.
    """

    def __init__(
        self,
        bundles: Mapping[str, Bundle],
        limits: Limits,
        *,
        default_model: str | None = None,
        admission: Admission | None = None,
        gate: Gate | None = None,
    ) -> None:
        if not bundles:
            raise ValueError("a predictor needs at least one bundle")
        self.bundles = dict(bundles)
        self._limits = limits
        self.turn: Callable[[], AbstractContextManager[None]] = (
            admission.turn if admission else nullcontext
        )
        self.gate = gate
        # A bundle that failed to load must not take the unnamed requests down with it.
        self.default = self.bundles.get(default_model or "") or next(iter(self.bundles.values()))
        specs = [bundle.spec for bundle in self.bundles.values()]
        self._reduce_to = max(spec.reduce_to for spec in specs)
        # Borders are cut off a film before it is halved.
        self._halves = not any(spec.remove_artefacts for spec in specs)

    def bundle(self, name: str) -> Bundle:
        """The bundle called ``name``.

        Raises:
            UnknownModelError: there is none; names those that are loaded.
        """
        try:
            return self.bundles[name]
        except KeyError:
            known = ", ".join(self.bundles)
            raise UnknownModelError(f"No model has that name. Loaded are: {known}.") from None

    def read(
        self,
        data: bytes,
        model: str | None = None,
        heatmap: str = "none",
        *,
        heatmap_class: str = INFECTION,
        map_if_normal: bool = True,
        with_film: bool = False,
        with_evidence: bool = False,
        with_thumbnail: bool = False,
        needs_patient: bool = False,
    ) -> Reading:
        """Read one radiograph.

        Args:
            data: the file's bytes; its format is found from the content.
            model: name of a bundle; None lets the age in a DICOM file choose between child
                and adult. Where there is no age, the default bundle reads, with a warning if
                there are bundles for both.
            heatmap: ``none``, ``overlay`` (the film with the regions that spoke for
                infection), ``map`` (the regions alone) or ``layer`` (the overlay's colours
                alone, transparent elsewhere).
            heatmap_class: ``infection``, or the id of one of the bundle's classes.
            map_if_normal: have the map, as evidence too, also where the decision is ``normal``.
            with_film: also return the film itself as a picture for people.
            with_evidence: also return the decoded film and what spoke for infection.
            with_thumbnail: also return a small picture of the film.
            needs_patient: refuse a file without an age instead of taking the default bundle,
                when ``model`` is None.

        Raises:
            RadiographError: the bytes cannot be read as a chest radiograph, or show none.
            UnknownModelError: no bundle is called ``model``.
            InvalidParameterError: ``heatmap`` is none of the four, or ``heatmap_class`` no
                class of the bundle.
            PatientUnknownError: ``needs_patient``, and nothing says who the patient is.
            OverloadedError: too many wait to be read.
        """
        with self.turn():
            began = time.perf_counter()
            if heatmap not in HEATMAPS:
                raise InvalidParameterError(f"heatmap must be one of: {', '.join(HEATMAPS)}.")
            named = self.bundle(model) if model else None
            radiograph = decode(data, self._limits, reduce_to=self._reduce_to)
            decoded = time.perf_counter()
            # Once for the gate, the network and the overlay.
            small = reduced(radiograph, self._reduce_to) if self._halves else radiograph
            film = without_frame(small)  # a canvas around it says nothing of levels and shape
            spread = contrast(film)
            refuse_blank(spread)
            if not (with_film or with_evidence):
                radiograph = small  # full-size pixels are free before the network runs
            doubtful = self.gate is not None and self.gate.check(small).doubtful

            age = radiograph.dicom.patient_age_years if radiograph.dicom else None
            bundle = named or self._bundle_for(age, needs_patient)
            assumed = named is None and age is None and serves_several(self.bundles.values())
            _check_class(heatmap_class, bundle)
            prediction = bundle.predict(to_model_input(small, bundle.spec)[np.newaxis])
            probabilities = prediction.probabilities[0]
            infection = float(bundle.infection_probability(prediction.probabilities)[0])
            decision = bundle.thresholds.decide(infection)
            modelled = time.perf_counter()

            shown = self._for_people(data, radiograph) if with_film else small
            picture = found = None
            shows_map = map_if_normal or decision != "normal"
            wanted = heatmap != "none" and shows_map
            if wanted or (with_evidence and shows_map):
                found = _activation(bundle, prediction, heatmap_class, small)
            if wanted and found is not None:
                picture = _draw(heatmap, shown, found, for_people=with_film)
            labels = [finding.label for finding in bundle.classes]
            return Reading(
                finding=labels[int(probabilities.argmax())],
                decision=decision,
                infection_probability=infection,
                probabilities={
                    label: float(p) for label, p in zip(labels, probabilities, strict=True)
                },
                warnings=(
                    *((patient_unknown(bundle),) if assumed else ()),
                    *warnings_for(film, bundle, spread, doubtful=doubtful),
                    *((NO_HEATMAP,) if wanted and found is None else ()),
                ),
                bundle=bundle,
                image_format=radiograph.format,
                image_width=radiograph.width,
                image_height=radiograph.height,
                image_sha256=hashlib.sha256(data).hexdigest(),
                heatmap=picture,
                film=film_png(shown) if with_film else None,
                evidence=_evidence(radiograph, found) if with_evidence else None,
                thumbnail=film_png(small, THUMBNAIL_SIDE) if with_thumbnail else None,
                timing_ms={
                    "decode": (decoded - began) * 1000,
                    "model": (modelled - decoded) * 1000,
                    "total": (time.perf_counter() - began) * 1000,
                },
            )

    def _bundle_for(self, age: float | None, needs_patient: bool) -> Bundle:
        if age is None:
            if needs_patient and len(self.bundles) > 1:
                raise PatientUnknownError("The file does not say how old the patient is.")
            return self.default
        return bundle_for_age(self.bundles.values(), age) or self.default

    def _for_people(self, data: bytes, radiograph: Radiograph) -> Radiograph:
        """The radiograph again at the detail a person wants, if the model got it reduced."""
        side = max(radiograph.pixels.shape)
        if side >= MAX_SIDE or side >= max(radiograph.width, radiograph.height):
            return radiograph
        return decode(data, self._limits, reduce_to=MAX_SIDE)


def _evidence(radiograph: Radiograph, found: Activation | None) -> Evidence:
    """Where there is no map, one that shows nothing anywhere."""
    return Evidence(radiograph, *(found or (np.zeros((1, 1), np.float32), (0.0, 0.0))))


def _draw(heatmap: str, film: Radiograph, found: Activation, *, for_people: bool) -> bytes:
    """The map as a PNG; an overlay for people has the size of the film beside it."""
    if heatmap == "overlay":
        return png(overlay(film, *found)) if for_people else overlay_png(film, *found)
    draw = map_png if heatmap == "map" else layer_png
    activation, offset = found
    height, width = film.pixels.shape
    return draw(activation, width, height, offset)


def _check_class(wanted: str, bundle: Bundle) -> None:
    ids = [finding.id for finding in bundle.classes]
    if wanted not in (INFECTION, *ids):
        raise InvalidParameterError(
            f"heatmap_class must be one of: {', '.join([INFECTION, *ids])}, for {bundle.name}."
        )


def _activation(
    bundle: Bundle, prediction: Prediction, wanted: str, picture: Radiograph
) -> Activation | None:
    """The map for ``wanted``; None where the network's architecture yields none.

    Nor is there one where borders are cut off first: how far is another thing for each film, and
    its map would lie beside what it speaks of.
    """
    if prediction.activation_maps is None or bundle.spec.remove_artefacts:
        return None
    maps = prediction.activation_maps[0]
    if wanted == INFECTION:
        activation = infection_activation(maps, prediction.probabilities[0], bundle.classes)
    else:
        ids = [finding.id for finding in bundle.classes]
        activation = class_activation(maps, ids.index(wanted))
    place = film_in(picture.pixels) if bundle.spec.cut_frame else None
    if place is None:
        return activation, bundle.map_offset
    whole = on_whole_picture(activation, place, picture.pixels.shape, bundle.map_offset)
    return whole, (0.0, 0.0)
