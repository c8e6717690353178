"""``tune``: search a recipe's settings with Optuna, on validation films alone."""

from __future__ import annotations

import csv
import hashlib
import json
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import optuna
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from optuna.exceptions import StorageInternalError
from optuna.trial import TrialState
from sqlalchemy.exc import SQLAlchemyError

from training import plots
from training.data import Prepared
from training.device import use_device
from training.errors import TrainingError
from training.files import write_csv, write_json
from training.members import train_members
from training.page import plot, section, setting, table, text, write_page
from training.prepared import prepare_for
from training.recipe import Recipe, load_recipe, load_search
from training.run import Run, start_run
from training.search import Search, apply, resolve, suggest

_STUDY = "study.db"


@dataclass(frozen=True)
class TuneOptions:
    """Of one ``tune``; see ``python -m training tune --help``."""

    recipe: str
    data: Path
    runs: Path
    cache: Path
    seed: int = 0
    trials: int = 30
    epochs: int | None = None
    precision: str = "auto"
    fresh: bool = False


class _Report(keras.callbacks.Callback):  # type: ignore[misc]
    """Tells the trial its validation loss after every epoch, and ends it where it is pruned."""

    def __init__(self, trial: optuna.Trial, folder: Path) -> None:
        super().__init__()
        self.trial, self.folder = trial, folder

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        # From the files: a trial that went on after an interruption has epochs behind it.
        losses = _losses(self.folder)
        if not np.isfinite(losses[-1]):
            raise optuna.TrialPruned("the training diverged")
        self.trial.report(losses[-1], len(losses) - 1)
        if self.trial.should_prune():
            raise optuna.TrialPruned


def tune(options: TuneOptions) -> Path:
    """Run trials until there are as many as asked for; the run folder.

    Raises:
        TrainingError: the recipe names no search space, or the data are not usable.
    """
    started = time.time()
    device = use_device(options.precision)
    recipe = load_recipe(options.recipe, epochs=options.epochs)
    search = load_search(options.recipe)
    if options.trials < 1:
        raise TrainingError(f"--trials must be at least 1, not {options.trials}.")
    prepared = prepare_for(recipe, options.data, options.cache, options.seed)
    same = {
        "recipe": recipe.to_json(),
        "data_sha256": prepared.dataset.sha256,
        "seed": options.seed,
        "search": [repr(one) for one in search],
    }
    run = start_run(
        f"tune-{options.recipe}",
        options.runs,
        same,
        {"recipe_name": options.recipe, "data": options.data.name},
        fresh=options.fresh,
        reopen=True,  # more trials may be asked for
        device=device,
    )
    with _stored(run.folder / _STUDY):
        study = _open_study(run, options.seed)
        left = options.trials - _ended(study)
        if left > 0:
            study.optimize(
                lambda trial: _objective(trial, recipe, search, prepared, options.seed, run.folder),
                n_trials=left,
                show_progress_bar=False,
                callbacks=[_say],
            )
        best = _write_results(run, study, recipe, search)
    run.finish(device=str(device), seconds={"total": time.time() - started}, best=best)
    print(f"Open {run.folder / 'index.html'}")
    return run.folder


@contextmanager
def _stored(place: Path) -> Iterator[None]:
    """What the database says when it cannot go on, as a sentence."""
    try:
        yield
    except (SQLAlchemyError, StorageInternalError) as error:
        reason: BaseException = error
        while reason.__cause__:  # SQLite's own words, without the statement
            reason = reason.__cause__
        raise TrainingError(
            f"{place} cannot be used: {reason}. If the disk is full, free some room; call again "
            "and it goes on."
        ) from error


def _open_study(run: Run, seed: int) -> optuna.Study:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        study_name="tune",
        storage=f"sqlite:///{(run.folder / _STUDY).resolve()}",
        load_if_exists=True,
        direction="minimize",
        # Seeded by what is known already: a resumed search does not draw its first points again.
        sampler=optuna.samplers.TPESampler(seed=seed, n_startup_trials=8),
        pruner=optuna.pruners.MedianPruner(n_startup_trials=4, n_warmup_steps=2),
    )
    if count := len(study.trials):
        study.sampler.reseed_rng()
        print(f"{_ended(study)} of {count} trials are known from before.")
    waiting = [
        trial.system_attrs.get("fixed_params")
        for trial in study.get_trials(deepcopy=False, states=(TrialState.WAITING,))
    ]
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING, TrialState.FAIL)):
        if trial.state == TrialState.RUNNING:  # killed before it could say so
            study.tell(trial.number, state=TrialState.FAIL)
        begun = trial.user_attrs.get("folder")
        if begun and (run.folder / begun).exists() and trial.params not in waiting:
            study.enqueue_trial(trial.params)  # its weights are there: it goes on, not anew
    return study


def _ended(study: optuna.Study) -> int:
    return len(study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED)))


def _objective(
    trial: optuna.Trial,
    recipe: Recipe,
    search: Search,
    prepared: Prepared,
    seed: int,
    folder: Path,
) -> float:
    tried = apply(recipe, suggest(search, trial))
    name = hashlib.sha256(json.dumps(tried.to_json(), sort_keys=True).encode()).hexdigest()[:16]
    place = folder / "trials" / name
    trial.set_user_attr("folder", f"trials/{name}")
    rows = prepared.indices("train"), prepared.indices("validation")
    try:
        train_members(prepared, tried, rows, seed, place, callbacks=(_Report(trial, place),))
        loss = min(_losses(place))
    except optuna.TrialPruned:
        shutil.rmtree(place, ignore_errors=True)
        raise
    shutil.rmtree(place, ignore_errors=True)
    return loss


def _losses(folder: Path) -> list[float]:
    """Validation loss of every epoch so far, over all stages and members."""
    losses: list[float] = []
    for path in sorted(folder.rglob("history.csv")):
        with path.open(newline="") as file:
            losses += [float(row["val_log_loss"]) for row in csv.DictReader(file)]
    return losses


def _say(study: optuna.Study, trial: optuna.trial.FrozenTrial) -> None:
    outcome = "pruned" if trial.state == TrialState.PRUNED else f"{trial.value:.5f}"
    best = f"; best so far {study.best_value:.5f}" if _complete(study) else ""
    print(f"Trial {trial.number}: {outcome}{best}. {trial.params}", flush=True)


def _complete(study: optuna.Study) -> list[optuna.trial.FrozenTrial]:
    return study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))


def _write_results(run: Run, study: optuna.Study, recipe: Recipe, search: Search) -> dict[str, Any]:
    complete = _complete(study)
    if not complete:
        raise TrainingError("No trial came to its end; ask for more with --trials.")
    values = resolve(search, study.best_params)
    best = {"log_loss": study.best_value, "trial": study.best_trial.number, "settings": values}
    write_json(run.folder / "best.json", {**best, "recipe": apply(recipe, values).to_json()})
    places = [one.place for one in search]
    rows = [
        [
            trial.number,
            trial.state.name.lower(),
            "" if trial.value is None else f"{trial.value:.6f}",
            len(trial.intermediate_values),
            *(trial.params.get(place, "") for place in places),
        ]
        for trial in study.trials
    ]
    head = ["trial", "state", "log_loss", "epochs", *places]
    write_csv(run.folder / "trials.csv", head, rows)
    pictures = {"history": (_history(study), "Each trial's least validation loss, and the best so "
                            "far; pruned ones where they were cut off")}  # fmt: skip
    importances = _importances(study)
    if importances:
        pictures["importance"] = (
            _bars(importances),
            "Share of the loss's variance that each setting explains (fANOVA)",
        )
    shown = [plot(run.folder, name, drawn, caption) for name, (drawn, caption) in pictures.items()]
    ranked = sorted(complete, key=lambda trial: trial.value or 0.0)[:20]
    best_rows = [
        [*row[:4], *(setting(resolve(search, trial.params).get(place, "")) for place in places)]
        for trial in ranked
        for row in rows
        if row[0] == trial.number
    ]
    write_page(
        run.folder / "index.html",
        f"Search over {run.document['recipe_name']}",
        f"{len(study.trials)} trials on {run.document['data']}, {len(complete)} to the end; judged "
        "by the cross-entropy of the validation films. No test film was looked at.",
        [
            section(
                "Best settings",
                table(["Setting", "Value"], [[place, setting(values[place])] for place in places]),
                text(f"Validation cross-entropy {study.best_value:.4f}. To use them, write them "
                     "into the recipe's file; best.json holds the whole recipe."),
            ),
            section("Search", *shown),
            section(
                "Trials",
                table(["Trial", "State", "Cross-entropy", "Epochs", *places], best_rows),
            ),
        ],
    )  # fmt: skip
    return best


def _importances(study: optuna.Study) -> dict[str, float]:
    if len(_complete(study)) < 4:  # fewer points than a forest can say anything about
        return {}
    try:
        return dict(optuna.importance.get_param_importances(study))
    except (RuntimeError, ValueError):  # all trials equally good: there is nothing to explain
        return {}


def _history(study: optuna.Study) -> Figure:
    drawn, axes = plots.canvas()
    for state, colour, words in (
        (TrialState.COMPLETE, plots.COLOURS[0], "to the end"),
        (TrialState.PRUNED, plots.COLOURS[6], "pruned"),
    ):
        trials = [t for t in study.trials if t.state == state and t.intermediate_values]
        losses = [min(trial.intermediate_values.values()) for trial in trials]
        axes.scatter([t.number for t in trials], losses, color=colour, label=words, s=22)
    complete = _complete(study)
    best = np.minimum.accumulate([trial.value or 0.0 for trial in complete])
    axes.step(
        [t.number for t in complete], best, where="post", color=plots.COLOURS[1], label="best"
    )
    axes.set(xlabel="trial", ylabel="validation cross-entropy")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(frameon=False)
    return drawn


def _bars(importances: dict[str, float]) -> Figure:
    names = list(importances)[::-1]
    drawn, axes = plots.canvas(7, 0.8 + 0.38 * len(names))
    bars = axes.barh(names, [importances[name] for name in names], color=plots.COLOURS[0])
    axes.bar_label(bars, fmt="%.2f", padding=3)
    axes.set(xlabel="importance")
    axes.margins(x=0.12)
    return drawn
