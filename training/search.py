"""The part of a recipe that ``tune`` may change: named places, and what may stand there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any

from training.recipe import Recipe


@dataclass(frozen=True)
class Range:
    """A number between two bounds.

    Attributes:
        place: of the setting within the recipe, as in ``stages.augmentation.gamma``; a place
            within ``stages`` is changed in every stage.
        log: whether magnitudes, not values, are tried evenly.
    """

    place: str
    low: float
    high: float
    log: bool = False


@dataclass(frozen=True)
class Choice:
    """One of a few values."""

    place: str
    values: tuple[Any, ...]


Search = tuple[Range | Choice, ...]


def suggest(search: Search, trial: Any) -> dict[str, Any]:
    """What an Optuna trial tries at each place."""
    values: dict[str, Any] = {}
    for one in search:
        if isinstance(one, Range):
            values[one.place] = trial.suggest_float(one.place, one.low, one.high, log=one.log)
        else:
            # Optuna keeps numbers and words in its database, not tuples: the position stands in.
            plain = all(isinstance(value, str | int | float | bool) for value in one.values)
            options = one.values if plain else tuple(map(repr, one.values))
            chosen = trial.suggest_categorical(one.place, options)
            values[one.place] = one.values[options.index(chosen)]
    return values


def resolve(search: Search, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Values of a finished trial, from the parameters that Optuna kept."""
    values = dict(parameters)
    for one in search:
        if isinstance(one, Choice) and one.place in values:
            named = {repr(value): value for value in one.values}
            values[one.place] = named.get(values[one.place], values[one.place])
    return values


def apply(recipe: Recipe, values: Mapping[str, Any]) -> Recipe:
    """The recipe with other values at these places.

    Raises:
        AttributeError: the recipe has no such place.
    """
    for place, value in values.items():
        recipe = _with(recipe, place.split("."), value)
    return recipe


def _with(whole: Any, path: Sequence[str], value: Any) -> Any:
    if isinstance(whole, tuple):
        return tuple(_with(part, path, value) for part in whole)
    name, *rest = path
    if not is_dataclass(whole) or name not in {field.name for field in fields(whole)}:
        raise AttributeError(f"{type(whole).__name__} has no setting {name!r}")
    changed = _with(getattr(whole, name), rest, value) if rest else value
    return replace(whole, **{name: changed})  # type: ignore[type-var]
