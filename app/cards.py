"""What is known about a bundle: as JSON for programs, as a page for people."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from app.population import describe
from cxr.bundle_fields import FIGURES_FOLDER

if TYPE_CHECKING:
    from markdown_it import MarkdownIt

    from cxr.bundle import Bundle
    from cxr.gate import Gate


#: An interval, which a narrow page must not break in two.
_INTERVAL = re.compile(r"\[([\d.]+), ([\d.]+)\]")


@cache
def _markdown() -> MarkdownIt:
    from markdown_it import MarkdownIt  # when a page first needs it

    # A card is text from the bundle, not part of the application: HTML in it stays text.
    return MarkdownIt("commonmark", {"html": False}).enable("table")


def inline_html(text: str) -> str:
    """One line of Markdown (the API's descriptions) as HTML."""
    return str(_markdown().renderInline(text))


def _address(bundle: Bundle) -> str:
    return f"/models/{quote(bundle.name)}"  # a hospital's own may be called "ward 3?"


def summary(bundle: Bundle) -> dict[str, Any]:
    """The facts that a program needs to choose a bundle and to understand its readings."""
    return {
        "name": bundle.name,
        "version": bundle.version,
        "sha256": bundle.sha256,
        "classes": [
            {"id": finding.id, "label": finding.label, "infected": finding.infected}
            for finding in bundle.classes
        ],
        "thresholds": {
            "rule_out": bundle.thresholds.rule_out,
            "rule_in": bundle.thresholds.rule_in,
        },
        "population": {**bundle.population, "description": describe(bundle.population)},
        "url": _address(bundle),
    }


def gate_summary(gate: Gate | None) -> dict[str, str] | None:
    """Which gate stands before the models; None where it is switched off."""
    return None if gate is None else {"version": gate.version, "sha256": gate.sha256}


def refused(failures: Mapping[str, str]) -> list[dict[str, str]]:
    """What could not be loaded, and why."""
    return [{"bundle": name, "reason": reason} for name, reason in failures.items()]


def full(bundle: Bundle) -> dict[str, Any]:
    """All of ``bundle.json`` and ``audit.json``, the summary's members, the card's Markdown."""
    return {
        **bundle.document,
        **summary(bundle),
        "metrics": bundle.metrics,
        "audit": bundle.audit,
        "card": bundle.card,
    }


def card_html(bundle: Bundle) -> str:
    """The card's Markdown as HTML without anything that the Markdown did not say.

    Its plots lie beside it in the bundle; in the page they have an address of their own. How a
    column is aligned is said by a class: the pages' policy forbids styles within them.
    """
    tokens = _markdown().parse(bundle.card)
    for token in tokens:
        if token.attrs.pop("style", None) == "text-align:right":
            token.attrs["class"] = "number"
        for part in token.children or ():
            part.content = _INTERVAL.sub("[\\1,\u00a0\\2]", part.content)
            source = str(part.attrs.get("src", ""))
            if part.type == "image" and source.startswith(f"{FIGURES_FOLDER}/"):
                part.attrs["src"] = f"{_address(bundle)}/{source}"
    return str(_markdown().renderer.render(tokens, _markdown().options, {}))
