"""The card's sections that ``audit`` measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from training.card_tables import interval, percent, plain, table

NOT_AUDITED = (
    "This bundle was not audited yet: `python -m training audit` measures shortcuts, robustness, "
    "subgroups, the map and another hospital, and writes them here."
)

_BY = {
    "class": "true class",
    "source": "source",
    "sharpness": "sharpness",
    "contrast": "contrast",
    "exposure": "exposure",
    "view": "view",
}


def audit_sections(audit: Mapping[str, Any] | None) -> list[str]:
    """Markdown, one entry a paragraph."""
    if audit is None:
        return ["## Audit", NOT_AUDITED]
    return [
        "## Audit",
        f"Measured on {audit['films']} test films with `python -m training audit`, "
        f"{audit['created'][:10]}; docs/audit.md explains each measure.",
        *_shortcuts(audit["shortcuts"]),
        *_robustness(audit["robustness"]),
        *_subgroups(audit["subgroups"]),
        *_attention(audit["attention"]),
        *_seeds(audit["seeds"]),
        *_external(audit["external"]),
        *_normals(audit.get("normals")),
    ]


def _shortcuts(found: Mapping[str, Any]) -> list[str]:
    rows = [
        [one["words"], plain(one["auc"]), percent(one["accuracy"]), plain(one["relearned_auc"])]
        for one in found["pictures"]
    ]
    parts = [
        "### Shortcuts",
        "How well infection is told from what is left when parts of the film are taken away. "
        "0.5 is chance. *Relearned*: a linear model on the network's features of just these "
        "pictures; what it tells, a network could have learned to use instead of the lungs.",
        table(["Shown", "AUC as shipped", "Accuracy as shipped", "AUC relearned"], rows),
        "![Area under the ROC curve of the whole film and of its parts](figures/shortcuts.svg)",
    ]
    lungs = found["lungs"]
    if lungs:
        figures = lungs["figures"]
        parts.append(
            f"Lungs were found by a small network trained on {lungs['learned_from']} other films "
            f"(Dice {plain(figures['dice'])} on {lungs['held_out']} held-out ones); its masks are "
            f"plausible on {100 * lungs['plausible_share']:.1f} % of these films."
        )
    asked = [[line["question"], str(line["films"]), plain(line["auc"])] for line in
             found["told_from_features"]]  # fmt: skip
    asked.append(
        [
            "infected or normal, from nine file statistics (grey levels, borders, file size) "
            "without the picture",
            "all",
            plain(found["infection_from_file_statistics"]),
        ]
    )
    parts += [
        "What the features tell that is not the disease (linear model, patients apart):",
        table(["Question", "Films", "AUC"], asked),
    ]
    return parts


def _robustness(lines: Sequence[Mapping[str, Any]]) -> list[str]:
    worst = min(lines, key=lambda line: float(line["stands"]["value"]))
    kept = sum(line["stands"]["value"] >= 0.97 for line in lines)
    rows = [
        [line["change"], percent(line["stands"]), percent(line["turned_over"]),
         percent(line["accuracy"])]
        for line in lines
    ]  # fmt: skip
    return [
        "### Robustness",
        "Changes so mild that a radiologist would read the film alike. A decision *stands* where "
        "it is the same of the three as before, and *turns over* from normal to infected or "
        f"back. At least 97 % stand under {kept} of {len(lines)} changes; the fewest under "
        f"*{worst['change']}*, {percent(worst['stands'])}.",
        table(["Change", "Decisions that stand", "Turned over", "Accuracy"], rows),
        "![Share of decisions that stand under each change](figures/robustness.svg)",
    ]


def _parts(lines: Sequence[Mapping[str, Any]]) -> str:
    rows = []
    for line in lines:
        figures = line["figures"]
        rows.append(
            [
                f"{_BY[line['by']]}: {line['name']}",
                f"{line['films']} ({line['infected']})",
                *(percent(figures.get(name)) for name in ("sensitivity", "specificity")),
                plain(figures.get("auc")),
                percent(figures.get("share_decided")),
                percent(figures.get("accuracy_decided")),
            ]
        )
    head = ["Part", "Films (infected)", "Sensitivity", "Specificity", "AUC", "Decided",
            "Right of these"]  # fmt: skip
    return table(head, rows)


def _subgroups(lines: Sequence[Mapping[str, Any]]) -> list[str]:
    return [
        "### Subgroups",
        "Parts of fewer than 20 films are left out. Sharpness, contrast and exposure are cut into "
        "thirds of the test films. Sex, age and ethnicity are not in the data: nothing can be "
        "said about them.",
        _parts(lines),
    ]


def _attention(found: Mapping[str, Any]) -> list[str]:
    parts = ["### Where it looked"]
    deletion = found["deletion"]
    if deletion:
        figures, share = deletion["figures"], round(100 * deletion["deleted_share"])
        hottest, random, difference = (
            interval(figures[name], 1, 100)
            for name in ("drop_hottest", "drop_random", "difference")
        )
        parts.append(
            f"Greying out the hottest {share} % of the map lowers the probability of infection by "
            f"{hottest} percentage points, greying out as much elsewhere by {random} (difference "
            f"{difference}; {deletion['films']} infected films that were called so). "
            f"{percent(figures['calls_lost_hottest'])} of the calls are lost by it, at random "
            f"{percent(figures['calls_lost_random'])}."
        )
    randomisation = found["randomisation"]
    if randomisation:
        rows = [
            [
                f"the last {step['layers']}" if step["layers"] > 1 else "the last one",
                *(interval(step[name], 2) for name in _LIKENESS),
            ]
            for step in randomisation["steps"]
        ]
        parts += [
            "A map that shows what was learned must change when weights are replaced by random "
            "ones (1 = the same map, 0 = unrelated; "
            f"{randomisation['films']} films, {randomisation['random_networks']} random networks):",
            table(
                ["Layers replaced", "Rank correlation", "Its size", "Structural similarity"], rows
            ),
        ]
    down, right = found["map_offset"]
    parts.append(
        f"Maps are moved {100 * abs(down):.1f} % of the height {'down' if down >= 0 else 'up'} and "
        f"{100 * abs(right):.1f} % of the width {'right' if right >= 0 else 'left'} before they "
        "are shown, by as much as the network was measured to look beside its own grid."
    )
    return parts


_LIKENESS = ("rank_correlation", "absolute_rank_correlation", "structural_similarity")


def _seeds(found: Mapping[str, Any] | None) -> list[str]:
    if found is None:
        return []
    figures, accuracy = found["figures"], found["accuracy"]
    return [
        "### Other seeds",
        f"{len(found['models'])} trainings from different random weights take the same decision "
        f"on {percent(figures['same_decision'])} of the films and opposite ones on "
        f"{percent(figures['opposite_decision'])}. Accuracy "
        f"{100 * accuracy['mean']:.1f} ± {100 * accuracy['standard_deviation']:.1f} % (mean and "
        "standard deviation)."
        + (f" Measured with version {found['of_version']}." if "of_version" in found else ""),
    ]


def _external(found: Mapping[str, Any] | None) -> list[str]:
    if found is None:
        return []
    figures = found["figures"]
    rows = [
        [truth, *(f"{count} ({100 * count / max(sum(counts.values()), 1):.0f} %)"
                  for count in counts.values())]
        for truth, counts in (
            ("opacity confirmed", found["decisions"]["infected"]),
            ("no finding", found["decisions"]["normal"]),
        )
    ]  # fmt: skip
    return [
        "### Another hospital",
        f"{found['name']}; {found['question']}: {found['films']} films of {found['patients']} "
        f"patients, {found['infected']} with opacity; {found['left_out']} others of the "
        "collection answer another question and are left out"
        f"{_lost(found)}. Never used for training, calibration or choosing anything.",
        f"**Area under the ROC curve {plain(figures['auc'])}**; at the cut of 0.5 sensitivity "
        f"{percent(figures['sensitivity'])}, specificity {percent(figures['specificity'])}; "
        f"calibration error {percent(figures['calibration_error'])}.",
        table(["Films", "called normal", "uncertain", "called infected"], rows),
        *([_parts(found["parts"])] if found["parts"] else []),
    ]


def _lost(found: Mapping[str, Any]) -> str:
    """Films that should have been measured on and were not."""
    missing, unreadable = found.get("missing", 0), found.get("unreadable", 0)
    if not missing and not unreadable:
        return ""
    return f"; of {missing} that the list names there was no file, {unreadable} could not be read"


def _normals(found: Mapping[str, Any] | None) -> list[str]:
    if found is None:
        return []
    calls = found["decisions"]
    others = (
        "Other films of this source were in the training, these were not."
        if found["trained_on"]
        else "No film of this source was in the training."
    )
    return [
        "### Normal films of another source",
        f"{found['films']} films of `{found['name']}`, all normal. {others} Called infected, at "
        f"the cut of 0.5: **{percent(found['over_called'])}**. Decisions: {calls['normal']} "
        f"normal, {calls['uncertain']} uncertain, {calls['infected']} infected "
        f"({percent(found['decided_infected'])}).",
    ]
