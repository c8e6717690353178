"""The plots of every command, each as a matplotlib figure. No display, no global state."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import seaborn
from matplotlib import rc_context
from matplotlib.figure import Figure
from numpy.typing import NDArray
from sklearn.metrics import auc, precision_recall_curve, roc_curve

from training.reliability import reliability_diagram

#: Told apart without colour vision (Okabe and Ito 2008).
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#5b5b5b")


def canvas(
    width: float = 7.0, height: float = 4.0, rows: int = 1, columns: int = 1
) -> tuple[Figure, Any]:
    """A figure and its axes (one, or an array of them), in inches."""
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots(rows, columns)


def png(figure: Figure, dots_per_inch: int = 110) -> bytes:
    """The figure as PNG, the same bytes for the same figure."""
    content = io.BytesIO()
    with rc_context({"savefig.facecolor": "white"}):
        figure.savefig(content, format="png", dpi=dots_per_inch, metadata={"Software": None})
    return content.getvalue()


def counts(labels: Sequence[str], numbers: Sequence[int]) -> Figure:
    """The same numbers as a pie and as bars."""
    figure, (pie, bars) = canvas(9, 3.6, 1, 2)
    colours = _cycle(len(labels))
    pie.pie(numbers, labels=labels, colors=colours, autopct="%.1f %%", startangle=90)
    drawn = bars.bar(labels, numbers, color=colours)
    bars.bar_label(drawn, [f"{number:,}" for number in numbers])
    bars.set(ylabel="radiographs")
    bars.margins(y=0.12)
    bars.tick_params("x", rotation=15)
    return figure


def films(pictures: Sequence[Sequence[NDArray[Any]]], titles: Sequence[str]) -> Figure:
    """A grid of grey pictures, one row for each title."""
    columns = max(len(row) for row in pictures)
    figure = Figure(figsize=(1.45 * columns, 1.65 * len(pictures)), layout="constrained")
    axes = figure.subplots(len(pictures), columns, squeeze=False)
    for row, (shown, title) in enumerate(zip(pictures, titles, strict=True)):
        for column in range(columns):
            place = axes[row, column]
            place.set_axis_off()
            if column < len(shown):
                place.imshow(shown[column], cmap="gray")
        # A title may reach over its neighbours; it must not push them aside.
        axes[row, 0].set_title(title, loc="left", fontsize=9).set_in_layout(False)
    return figure


def pairs(pictures: Sequence[Sequence[NDArray[Any]]], titles: Sequence[str]) -> Figure:
    """Two grey pictures side by side below each title, three such pairs in a row."""
    columns = 3
    rows = -(-len(pictures) // columns)
    figure = Figure(figsize=(3.3 * columns, 2.05 * rows), layout="constrained")
    places = figure.subfigures(rows, columns, squeeze=False, wspace=0.06, hspace=0.04).ravel()
    for place, shown, title in zip(places, pictures, titles, strict=False):
        place.suptitle(title, fontsize=8)
        for axes, picture in zip(place.subplots(1, 2), shown, strict=True):
            axes.set_axis_off()
            axes.imshow(picture, cmap="gray")
    return figure


def lines(
    series: Mapping[str, NDArray[Any]], across: NDArray[Any], x_title: str, y_title: str
) -> Figure:
    """One line for each name."""
    figure, axes = canvas()
    for (name, values), colour in zip(series.items(), _cycle(len(series)), strict=True):
        axes.plot(across, values, label=name, color=colour)
    axes.set(xlabel=x_title, ylabel=y_title)
    axes.legend(frameon=False)
    return figure


def distributions(table: Any, values: Sequence[tuple[str, str]], group: str) -> Figure:
    """A box and a violin plot for each column of a pandas table, split by ``group``.

    Args:
        values: (column, title of its axis).
    """
    figure, axes = canvas(10, 3.4 * len(values), len(values), 2)
    axes = np.reshape(axes, (len(values), 2))
    number = table[group].nunique()
    colours = dict(zip(table[group].unique(), _cycle(number), strict=True))
    for row, (column, title) in enumerate(values):
        options = {"data": table, "x": group, "y": column, "hue": group, "palette": colours}
        seaborn.boxplot(**options, ax=axes[row, 0], fliersize=2, legend=False)
        # A column that is the same everywhere has no density to estimate.
        if table.groupby(group, observed=True)[column].nunique().min() > 1:
            seaborn.violinplot(**options, ax=axes[row, 1], cut=0, legend=False)
        else:
            seaborn.stripplot(**options, ax=axes[row, 1], size=2, legend=False)
        for place in axes[row]:
            place.set(xlabel="", ylabel=title)
            place.tick_params("x", rotation=12)
    return figure


def matrix(
    numbers: NDArray[Any], rows: Sequence[str], columns: Sequence[str], **titles: str
) -> Figure:
    """A heat map with its numbers written in it; titles are ``xlabel`` and ``ylabel``."""
    figure, axes = canvas(1.9 + 1.05 * len(columns), 1.4 + 0.7 * len(rows))
    seaborn.heatmap(
        numbers,
        annot=True,
        fmt="d" if np.asarray(numbers).dtype.kind in "iu" else ".2f",
        cmap="Blues",
        cbar=False,
        xticklabels=list(columns),
        yticklabels=list(rows),
        ax=axes,
    )
    axes.tick_params("y", rotation=0)
    axes.set(**titles)
    return figure


def roc_and_precision_recall(
    answers: Mapping[str, tuple[NDArray[np.bool_], NDArray[Any]]],
) -> Figure:
    """Both curves for each name → (truth, score)."""
    figure, (roc, recall) = canvas(10, 4.4, 1, 2)
    for (name, (truth, score)), colour in zip(answers.items(), _cycle(len(answers)), strict=True):
        false_positives, sensitivity, _ = roc_curve(truth, score)
        area = auc(false_positives, sensitivity)
        roc.plot(false_positives, sensitivity, color=colour, label=f"{name} (AUC {area:.3f})")
        precision, recalled, _ = precision_recall_curve(truth, score)
        recall.plot(recalled, precision, color=colour, label=name)
    roc.plot([0, 1], [0, 1], color="0.7", linestyle=":")
    roc.set(xlabel="1 − specificity", ylabel="sensitivity")
    recall.set(xlabel="sensitivity (recall)", ylabel="precision", ylim=(0, 1.02))
    for axes in (roc, recall):
        axes.legend(frameon=False, fontsize=8)
    return figure


def reliability(truth: NDArray[np.bool_], probability: NDArray[Any]) -> Figure:
    """How often films of each predicted probability were infected, and how many there are."""
    figure, (curve, histogram) = canvas(9, 4, 1, 2)
    rows = reliability_diagram(probability, truth)
    believed, happened = ([row[name] for row in rows] for name in ("probability", "infected"))
    curve.plot([0, 1], [0, 1], color="0.7", linestyle=":")
    curve.plot(believed, happened, marker="o", color=COLOURS[0])
    curve.set(xlabel="predicted probability of infection", ylabel="share infected")
    edges = np.linspace(0, 1, 21)
    histogram.hist(
        [probability[~truth], probability[truth]],
        bins=edges,
        stacked=True,
        color=COLOURS[:2],
        label=["normal", "infected"],
    )
    histogram.set(xlabel="predicted probability of infection", ylabel="films")
    histogram.legend(frameon=False)
    return figure


def intervals(
    names: Sequence[str], values: NDArray[Any], low: NDArray[Any], high: NDArray[Any], title: str
) -> Figure:
    """A point with its interval for each name, best on top."""
    order = np.argsort(values)
    figure, axes = canvas(7.5, 0.9 + 0.34 * len(names))
    errors = np.stack([values - low, high - values])[:, order].clip(min=0)
    axes.errorbar(
        values[order], np.arange(len(names)), xerr=errors, fmt="o", color=COLOURS[0], capsize=3
    )
    axes.set_yticks(np.arange(len(names)), [names[i] for i in order])
    axes.set(xlabel=title)
    axes.grid(axis="x", alpha=0.3)
    return figure


def training_curves(history: Any) -> Figure:
    """Loss and accuracy of each epoch, from a pandas table as Keras's CSVLogger writes it."""
    figure, (loss, accuracy) = canvas(9.5, 3.6, 1, 2)
    epochs = np.arange(1, len(history) + 1)
    for axes, name in ((loss, "loss"), (accuracy, "accuracy")):
        for column, colour, words in (
            (name, COLOURS[0], "training"),
            (f"val_{name}", COLOURS[1], "validation"),
        ):
            if column in history:
                axes.plot(epochs, history[column], color=colour, label=words)
        axes.set(xlabel="epoch", ylabel=name)
        axes.legend(frameon=False)
    for number in np.flatnonzero(np.diff(history.get("stage", np.ones(len(history))))):
        for axes in (loss, accuracy):
            axes.axvline(number + 1.5, color="0.7", linestyle=":")
    return figure


def _cycle(number: int) -> list[str]:
    return [COLOURS[i % len(COLOURS)] for i in range(number)]
