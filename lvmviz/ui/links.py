"""What a link says of controls: its words as values, and values as its words."""

from __future__ import annotations

import dataclasses
import json
import math
from typing import Any

from lvmviz.core import Choice, Knob

FEW = 12  # choices that are named when a link asks for another


def short(value: float) -> str:
    return repr(value) if isinstance(value, float) and not value.is_integer() else str(int(value))


def number(text: str, kind: type, meta: Knob) -> Any:
    try:
        if not text.isascii() or "_" in text:
            raise ValueError
        made = kind(text) if kind is float else int(text)
    except ValueError:
        raise ValueError("it is no number" if kind is float else "it is no whole number") from None
    low, high = (
        meta.low if meta.low is not None else -math.inf,
        meta.high if meta.high is not None else math.inf,
    )
    if not low <= made <= high:  # also false for nan
        raise ValueError(f"it must lie between {low:g} and {high:g}")
    return made


def flag(text: str) -> bool:
    if text not in ("0", "1"):
        raise ValueError("it must be 0 or 1")
    return text == "1"


def one_of(text: str, options: Any) -> str:
    if text not in options:
        few = len(options) <= FEW
        raise ValueError(
            f"it must be one of {', '.join(options)}"
            if few
            else f"it is none of the {len(options)} choices here"
        )
    return text


def words(text: str) -> list[str]:
    """A JSON list of words, as the query string carries it."""
    try:
        made = json.loads(text)
    except (ValueError, RecursionError):
        raise ValueError("it is no list") from None
    if not isinstance(made, list) or not made or not all(isinstance(word, str) for word in made):
        raise ValueError("it is no list of names")
    return list(dict.fromkeys(made))


def link_of(value: Choice) -> dict[str, str]:
    """The link of a choice: what the query string says of it, where it differs from its class's defaults."""
    return {name: text for name, text in _texts(value, type(value)(), "") if text}


def _texts(value: Any, base: Any, name: str) -> list[tuple[str, str]]:
    if not isinstance(value, Choice):
        same = value == base
        return [(name, "" if same else json.dumps(value) if isinstance(value, tuple) else text_of(value))]
    own = [] if not name or type(value) is type(base) else [(name, type(value).__name__)]
    base = base if type(value) is type(base) else type(value)()
    for field in dataclasses.fields(value):  # type: ignore[arg-type]
        full = f"{name}.{field.name}" if name else field.name
        own += _texts(getattr(value, field.name), getattr(base, field.name), full)
    return own


def text_of(value: Any) -> str:
    if isinstance(value, bool):
        return str(int(value))
    return value if isinstance(value, str) else short(value)
