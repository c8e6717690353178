"""The networks: each module has a frozen dataclass that describes one, and builds it.

``build`` gives the network that is trained: (n, size, size, 1) in [0, 1] → (n, classes)
logits. ``assemble`` gives the one that is exported, of stock Keras layers only: the same
input → (n, classes) probabilities. A graph that has a layer called ``features``, averaged
and followed by one dense layer, has class activation maps (``cxr/bundle.py``).
"""

from __future__ import annotations

from collections.abc import Sequence
from types import ModuleType
from typing import Any

import keras

from training.architectures import densenet, hog, plain, residual
from training.architectures.densenet import DenseNetwork
from training.architectures.hog import HogNetwork
from training.architectures.plain import PlainNetwork
from training.architectures.residual import ResidualNetwork, WeightStandardizedConv2D

Network = ResidualNetwork | PlainNetwork | DenseNetwork | HogNetwork

_MODULES: dict[type, ModuleType] = {
    ResidualNetwork: residual,
    PlainNetwork: plain,
    DenseNetwork: densenet,
    HogNetwork: hog,
}


def build(network: Network, size: int, classes: int) -> keras.Model:
    """The network that is trained, with float32 logits."""
    built: Any = _MODULES[type(network)].build(network, size, classes)
    return built


def assemble(members: Sequence[keras.Model], network: Network) -> keras.Model:
    """The model that is exported: one or more trained networks, their logits averaged."""
    assembled: Any = _MODULES[type(network)].assemble(members, network)
    return assembled


__all__ = [
    "DenseNetwork",
    "HogNetwork",
    "Network",
    "PlainNetwork",
    "ResidualNetwork",
    "WeightStandardizedConv2D",
    "assemble",
    "build",
]
