"""What the running application holds, with its types: ``app.extensions`` knows none.

Only while a request or a command is carried out; ``create_app`` puts these there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import current_app

if TYPE_CHECKING:
    from app.metrics import Metrics
    from app.pacs.settings import PacsSettings
    from app.predictor import Predictor
    from app.registry import Registry
    from app.settings import Settings


def settings() -> Settings:
    found: Settings = current_app.extensions["settings"]
    return found


def pacs_settings() -> PacsSettings:
    found: PacsSettings = current_app.extensions["pacs_settings"]
    return found


def registry() -> Registry:
    found: Registry = current_app.extensions["registry"]
    return found


def predictor() -> Predictor:
    """What reads.

    Raises:
        NotReadyError: the bundles are still loading, or none could be loaded.
    """
    return registry().predictor


def metrics() -> Metrics:
    found: Metrics = current_app.extensions["metrics"]
    return found
