"""What is known of the public data sets beyond their pixels: whom they show, and on what terms."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from training.layout import COVID, KERMANY, MASKS_ZIP


@dataclass(frozen=True)
class Provenance:
    """Of one data set.

    Attributes:
        title: of the model that is trained on it.
        population: whom that model may read; becomes ``population`` in ``bundle.json``.
        source: one paragraph on where the films are from.
        licence: terms and the citation they ask for.
        caveats: what anyone who uses the figures must know.
    """

    title: str
    population: dict[str, Any]
    source: str
    licence: str
    caveats: tuple[str, ...]


_VIEWS = {"modalities": ["CR", "DX"], "body_parts": ["CHEST"], "views": ["PA", "AP"]}

PROVENANCE = {
    KERMANY: Provenance(
        title="Pneumonia in children's chest radiographs",
        population={"label": "Children", "min_age_years": 1, "max_age_years": 5, **_VIEWS},
        source=(
            "Chest X-Ray Images (Pneumonia), Kermany et al. 2018: 5,856 frontal radiographs of "
            "children of one to five years from one hospital, Guangzhou Women and Children's "
            "Medical Center, graded by two physicians and checked by a third."
        ),
        licence=(
            "CC BY 4.0. Kermany D, Zhang K, Goldbaum M. Labeled Optical Coherence Tomography "
            "(OCT) and Chest X-Ray Images for Classification. Mendeley Data, 2018. "
            "doi:10.17632/rscbjbr9sj.2"
        ),
        caveats=(
            "One hospital, one country, ages one to five; nothing is known about other children.",
            "The official test films differ from the training films (other proportions, other "
            "normals): figures on them are lower than on validation, and nearer to what a new "
            "hospital would see.",
            "Bacterial against viral pneumonia is read from file names, not from cultures of "
            "each film's patient, and is hard even for radiologists.",
        ),
    ),
    COVID: Provenance(
        title="COVID-19 and other pneumonia in adults' chest radiographs",
        population={"label": "Adults", "min_age_years": 18, "max_age_years": 120, **_VIEWS},
        source=(
            "COVID-19 Radiography Database (Qatar University, University of Dhaka and others): "
            "normals from the RSNA challenge and Kermany's children, COVID-19 from PadChest and "
            "other collections, viral pneumonia from Kermany's children. Where the data has its "
            "fourth class, Lung opacity (other infections and oedema), the same recipe trains "
            "on it."
        ),
        licence=(
            "The authors ask for citation of Chowdhury MEH et al. Can AI Help in Screening Viral "
            "and COVID-19 Pneumonia? IEEE Access 2020, doi:10.1109/ACCESS.2020.3010287, and "
            "Rahman T et al. Exploring the effect of image enhancement techniques on COVID-19 "
            "detection using chest X-ray images. Comput Biol Med 2021, "
            "doi:10.1016/j.compbiomed.2021.104319"
        ),
        caveats=(
            "Each class comes from other hospitals than the next: part of the accuracy is "
            "recognising the source, not the disease. Expect less elsewhere.",
            "Viral pneumonia and some normals are children; an adult with viral pneumonia was "
            "never shown to the model.",
            "File names carry no patient, so films of one patient can stand on both sides of "
            "the split; near-duplicates are kept together.",
        ),
    ),
    MASKS_ZIP: Provenance(
        title="Normal adults",
        population={"label": "Adults", "min_age_years": 18, "max_age_years": 120, **_VIEWS},
        source="275 normal frontal films of adults with outlines of the lungs (openist).",
        licence="Not stated: used for training and measuring only, never shipped.",
        caveats=("Nothing is known of these patients.",),
    ),
}


def provenance_of(dataset: str) -> Provenance:
    """Of a known data set, or an honest blank for a user's own folders."""
    return PROVENANCE.get(
        dataset,
        Provenance(
            title="Chest radiographs of a private collection",
            population={"label": "As in the training data", **_VIEWS},
            source="Folders of the user's own.",
            licence="Not stated.",
            caveats=("Nothing is known here about whom these films show.",),
        ),
    )
