"""What a card says of how its network was trained, and what was done to export it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePath
from typing import Any


def training_paragraph(document: Mapping[str, Any]) -> str:
    """Recipe, time, device and libraries in one paragraph.

    Args:
        document: ``bundle.json``.
    """
    training = document["training"]
    networks = "; ".join(
        f"{network['epochs']} epochs ({_kept(network)}) in {network['seconds'] / 60:.1f} minutes"
        for network in training["networks"]
    )
    libraries = ", ".join(f"{name} {version}" for name, version in document["libraries"].items())
    return (
        f"Recipe `{training['recipe']}`, from {initial_weights(training)}, "
        f"seed {training['seed']}; "
        f"input {document['input']['size']} × {document['input']['size']} pixels. "
        f"Networks averaged: {len(training['networks'])}. {networks}. Device: "
        f"{training['device']}. {_lungs(training)}{_exported(training)}{libraries}."
    )


def initial_weights(training: Mapping[str, Any]) -> str:
    """What the network's weights were before it was trained."""
    weights = training.get("settings", {}).get("network", {}).get("weights", "none")
    if weights == "none":
        return "random weights"
    if weights == "imagenet":
        return "weights learned from ImageNet (Keras Applications)"
    return f"the weights in `{PurePath(weights).name}`"


def _kept(network: Mapping[str, Any]) -> str:
    if network["best_epoch"] == network["epochs"]:
        return "the last kept"
    return f"best: {network['best_epoch']}"


def _exported(training: Mapping[str, Any]) -> str:
    """What the exported network does that the trained one did not."""
    network = training.get("settings", {}).get("network", {})
    words = ""
    if network.get("upright"):
        words += "It turns the film until the lungs are upright, which it did not in training. "
    if network.get("softness", 1.0) != 1.0:
        words += (
            f"What it sees there is smoothed by a filter {network['softness']} times as wide as "
            "in training. "
        )
    if network.get("mirrored"):
        readers = "" if len(training["networks"]) == 1 else ", each by one half of the networks"
        words += f"It reads each film and its mirror image{readers}, and means the answers. "
    return words


def _lungs(training: Mapping[str, Any]) -> str:
    """What was done about lungs, where there were masks to learn them from."""
    masks = training["data"].get("lung_masks")
    if masks is None:
        return ""
    settings = training["settings"]
    words = []
    if settings["network"].get("view"):
        words.append(
            "It finds the lungs first and reads what lies within a box around them; nothing "
            "outside that box has a say. "
        )
    shares = settings["stages"][0]["augmentation"]
    if shares["lungs_out"] or shares["lungs_only"]:
        words.append(
            f"While it learned, {100 * shares['lungs_out']:.0f} % of the films had their lungs "
            f"blanked and were to be called nothing, {100 * shares['lungs_only']:.0f} % had "
            "nothing left but the lungs. "
        )
    words.append(f"What lungs are, it learned by way of a segmenter from `{masks}`. ")
    return "".join(words)
