"""Where the card and the repository answer CLAIM (2024 update) and TRIPOD+AI, item by item.

CLAIM: Tejani 2024, Radiology: Artificial Intelligence 6(4):e240300. TRIPOD+AI: Collins 2024,
BMJ 385:e078378. The wording of the items is shortened here. What is not there is said to
be missing: both lists are for finding gaps.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from training.card_recalibrated import population
from training.card_tables import table
from training.card_training import initial_weights
from training.layout import FOLDERS

_NONE = "none"
#: What is known of the films: of the public data sets, and of folders of which nothing is.
_PUBLIC = {
    "de_identification": "done by the publishers of the data",
    "annotation": "Data, as far as published; variability not known",
    "acquisition": "not known: the public data sets do not say",
    "size": "all public films",
    "open": "all open",
    "data_open": "data and code open",
    "ethics": "public, de-identified data; none is claimed here",
}
_PRIVATE = {
    "de_identification": "not known: the films are a private collection",
    "annotation": "not known",
    "acquisition": "not known",
    "size": "all readable films of the collection",
    "open": "the software is open, the films are not",
    "data_open": "code open, data not",
    "ethics": "not known; none is claimed here",
}

#: Item numbers, what they ask, where it is answered; in braces what depends on the bundle.
CLAIM = (
    ("1–2", "title and abstract", "title and head of this card; README.md"),
    ("3–4", "background, intended use, objectives", "Intended use; README.md"),
    ("5–6", "prospective or retrospective, goal", "retrospective; a model and its evaluation"),
    ("7", "data sources", "Data"),
    ("8", "inclusion and exclusion", "Data: all readable films; near-duplicates of held-out films "
     "excluded"),
    ("9", "preprocessing", "`cxr/preprocess.py`; `input` in bundle.json"),
    ("10", "selection of data subsets", "Data"),
    ("11", "de-identification", "{de_identification}"),
    ("12", "missing data", "Data: unreadable files; films without a class do not occur"),
    ("13", "image acquisition", "{acquisition}"),
    ("14–15", "reference standard and its rationale", "Data; Limits"),
    ("16–18", "annotators, annotation of the test set, variability",
     "{annotation}"),
    ("19–20", "partitions, and at what level they are disjoint", "Data: by patient or "
     "near-duplicate group"),
    ("21", "intended sample size", "none was calculated; {size} are used"),
    ("22", "model", "Training; `training/architectures/`"),
    ("23", "software", "Training; requirements*.txt with hashes"),
    ("24", "initialisation", "Training: {initial}"),
    ("25–27", "training, choice of the final model, ensembling",
     "Training; `training/recipes/`; docs/experiments.md"),
    ("28–29", "metrics, statistical uncertainty", "Figures; Calibration"),
    ("30", "robustness", "Audit: Robustness, Shortcuts"),
    ("31", "explainability", "Audit: Where it looked"),
    ("32–33", "internal and external data", "Figures; Audit: Another hospital"),
    ("34", "trial registration", _NONE),
    ("35–36", "cases included, demographics of each partition", "Data; demographics not known"),
    ("37–38", "performance with its uncertainty", "Figures; Operating points"),
    ("39", "failure analysis", "Audit: Subgroups, Shortcuts"),
    ("40–41", "limitations, implications for practice", "Limits; What must not be done with it"),
    ("42–43", "protocol; software, model and data", "no protocol was registered; {open}, "
     "see README.md"),
    ("44", "funding", "none declared"),
)  # fmt: skip

TRIPOD_AI = (
    ("1–2", "title, abstract", "title and head of this card"),
    ("3a–c", "context, target population, health inequalities",
     "Intended use; inequalities cannot be examined, see Subgroups"),
    ("4", "objectives", "development and evaluation"),
    ("5a–b", "sources and dates of the data", "Data; dates not known"),
    ("6a–c", "setting, eligibility, treatments", "Data; treatments not known"),
    ("7", "data preparation", "`cxr/preprocess.py`"),
    ("8a–c", "outcome and who assessed it", "Data; Limits"),
    ("9a–c", "predictors", "the film alone"),
    ("10", "sample size", "{size}; not calculated"),
    ("11", "missing data", "Data: unreadable files"),
    ("12a–g", "analysis: partition, model, tuning, performance, calibration, heterogeneity",
     "Data; Training; Figures; Calibration; Audit"),
    ("13", "class imbalance", "`class_balance` in `training/recipe.py`; calibrated for "
     "{prevalence} infected"),
    ("14", "fairness", "Audit: Subgroups, as far as the data tell"),
    ("15", "model output and thresholds", "Operating points"),
    ("16", "differences between training and evaluation data", "Limits; Audit: Shortcuts"),
    ("17", "ethical approval", "{ethics}"),
    ("18a–f", "funding, conflicts, protocol, registration, data, code",
     "none declared; no protocol, no registration; {data_open}, see README.md"),
    ("19", "patient and public involvement", _NONE),
    ("20a–c", "participants: flow, characteristics, training against evaluation", "Data; "
     "characteristics not known"),
    ("21–22", "model development and specification", "Training; model.keras and bundle.json are "
     "the whole model"),
    ("23a–b", "performance with intervals, heterogeneity", "Figures; Audit"),
    ("24", "updating", "{updating}; the version is at the head of this card"),
    ("25–26", "interpretation, limitations", "Limits; Audit"),
    ("27a–c", "use in practice: poor input, expertise, next steps",
     "The gate; What must not be done with it"),
)  # fmt: skip


def checklist_sections(document: Mapping[str, Any]) -> list[str]:
    """Markdown, one entry a paragraph.

    Args:
        document: ``bundle.json``.
    """
    again = document.get("recalibrated")
    training = document["training"]
    said = {
        "prevalence": "one half",
        "updating": "none",
        "initial": initial_weights(training),
        **(_PRIVATE if training["data"].get("name") == FOLDERS else _PUBLIC),
    }
    if again is not None:
        said["updating"] = "calibration and thresholds anew, see Calibrated for another hospital"
        if again["prevalence"] != 0.5:
            said["prevalence"] = population(again["prevalence"])
    claim, tripod = (
        [[item, asks, where.format(**said)] for item, asks, where in items]
        for items in (CLAIM, TRIPOD_AI)
    )
    head = ["Item", "Asks for", "Answered in"]
    return [
        "## Reporting checklists",
        "CLAIM, 2024 update (Tejani 2024, doi:10.1148/ryai.240300):",
        table(head, claim, left=3),
        "TRIPOD+AI (Collins 2024, doi:10.1136/bmj-2023-078378):",
        table(head, tripod, left=3),
    ]
