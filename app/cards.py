"""What is known about a bundle: as JSON for programs, as a page for people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from markdown_it import MarkdownIt

from app.population import describe

if TYPE_CHECKING:
    from cxr.bundle import Bundle

# A card is text from the bundle, not part of the application: HTML in it stays text.
_markdown = MarkdownIt("commonmark", {"html": False}).enable("table")


def inline_html(text: str) -> str:
    """One line of Markdown (the API's descriptions) as HTML."""
    return str(_markdown.renderInline(text))


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
        "url": f"/models/{bundle.name}",
    }


def full(bundle: Bundle) -> dict[str, Any]:
    """All of ``bundle.json`` with the summary's members and the card's Markdown."""
    return {**bundle.document, **summary(bundle), "metrics": bundle.metrics, "card": bundle.card}


def card_html(bundle: Bundle) -> str:
    """The card's Markdown as HTML without anything that the Markdown did not say."""
    return str(_markdown.render(bundle.card))
