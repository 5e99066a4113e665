"""The terms' names and numbers beside the bars, with leaders to what they name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from lvmviz.figures import theme
from lvmviz.figures.thermometer.scale import LEVEL
from lvmviz.figures.thermometer.stage import BAR, GUTTER, Stage

_CLOSED = {"log_evidence", "entropy"}  # what no draws are needed for
APART = 38  # px, least distance of two labels

NAMES = {
    "log_evidence": "log p(x)",
    "elbo": "ELBO",
    "kl": "KL(q‖p)",
    "second": "KL of second q",
    "joint": "E[log p(x, z)]",
    "entropy": "entropy H(q)",
    "likelihood": "E[log p(x|z)]",
    "kl_prior": "KL to prior",
}
_LABELS = {
    "I": ("log_evidence", "kl", "elbo", "entropy", "joint"),
    "II": ("likelihood", "kl_prior", "log_evidence", "kl", "elbo"),
    "III": ("log_evidence", "kl", "elbo"),
    "Σ": ("likelihood", "kl_prior", "log_evidence", "kl", "elbo"),
}
# how the terms add up: to the ELBO in I and II; words, as −KL above a number misreads. In Σ they add up to
# the evidence, which does not stand below them: an "=" would make a false sentence
_SIGNS = {
    "I": {"entropy": "plus ", "elbo": "= "},
    "II": {"kl_prior": "minus ", "elbo": "= "},
    "III": {},
    "Σ": {"kl_prior": "minus ", "kl": "plus "},
}


def _terms(stage: Stage) -> tuple[str, ...]:
    """What is named, from the top."""
    return _LABELS[stage.presentation] + (("second",) if stage.has_second else ())


def draw_labels(stage: Stage, names: Mapping[str, str]) -> np.ndarray:
    """The terms' names and their leaders; the names' heights (T, n)."""
    terms, anchors, inks = _terms(stage), _anchors(stage), _inks(stage.colours)
    at = np.stack([anchors[name] for name in terms], 1)
    y = _apart(at, stage.scale.height)
    for i, name in enumerate(terms):
        left = GUTTER + BAR if name == "kl" else stage.right()  # the gap is the first bar's
        x = [left + 2, *(stage.right() + step for step in (9, 22, 29))]
        leader = {"x": x, "mode": "lines", "line": {"width": 1.25, "color": inks[name][0]}}
        stage.add(leader, np.stack([at[:, i], at[:, i], y[:, i], y[:, i]], 1))
    words = [_SIGNS[stage.presentation].get(name, "") + names[name] for name in terms]
    font = {"size": 12, "color": [inks[name][1] for name in terms]}
    stage.add({"text": words, **_words(stage, len(terms), font)}, y)
    return y


def draw_numbers(
    stage: Stage, told: dict[str, np.ndarray], y: np.ndarray, decimals: int, sampled: bool = False
) -> None:
    """The live numbers under the names at heights `y`; their standard errors where they are `sampled`."""
    terms, muted = _terms(stage), stage.colours.muted
    small = f'<span style="font-size:11px;font-weight:400;color:{muted}"> '
    errors = told["error"].tolist() if sampled else [0.0] * len(y)
    rows = np.stack([told[name] for name in terms], 1).tolist()
    numbers = [
        [_with_error(name, value, error, decimals, small) for name, value in zip(terms, row, strict=True)]
        for row, error in zip(rows, errors, strict=True)
    ]
    font = {"size": 17, "color": stage.colours.text, "weight": 600}
    stage.add(_words(stage, len(terms), font), y - 18, numbers)


def _with_error(name: str, value: float, error: float, decimals: int, small: str) -> str:
    if not error or name in _CLOSED:
        return f"{_told(value, decimals)}{small}nats</span>"
    digits = theme.digits_of(error, decimals)
    return f"{_told(value, digits)}{small}± {theme.number(error, digits)}</span>"


def _words(stage: Stage, count: int, font: dict[str, Any]) -> dict[str, Any]:
    x = [stage.right() + 31.0] * count
    return {"x": x, "mode": "text", "textposition": "middle right", "textfont": font}


def _anchors(stage: Stage) -> dict[str, np.ndarray]:
    """The height each label points at, px: a line's own, a piece's middle."""
    evidence, elbo = stage.pixels("log_evidence"), stage.elbo()
    made = {"log_evidence": evidence, "kl": (evidence + elbo) / 2, "elbo": elbo}
    for name in LEVEL[stage.presentation]:
        made[name] = stage.pixels(name)
        made["entropy" if name == "joint" else "kl_prior"] = (made[name] + elbo) / 2
    if stage.has_second:
        made["second"] = (evidence + stage.elbo("second_elbo", "second")) / 2
    return made


def _apart(anchors: np.ndarray, height: int) -> np.ndarray:
    """Label heights (T, n) near their anchors, in the same order, at least `APART` apart and inside."""
    order = np.argsort(-np.round(anchors), axis=1, kind="stable")
    y = np.minimum(np.take_along_axis(anchors, order, 1), height - 9.0)
    for i in range(1, y.shape[1]):
        y[:, i] = np.minimum(y[:, i], y[:, i - 1] - APART)
    y[:, -1] = np.maximum(y[:, -1], 28.0)
    for i in range(y.shape[1] - 2, -1, -1):
        y[:, i] = np.maximum(y[:, i], y[:, i + 1] + APART)
    placed = np.empty_like(y)
    np.put_along_axis(placed, order, y, 1)
    return placed


def _inks(colours: theme.Tokens) -> dict[str, tuple[str, str]]:
    """The colour of each term's mark and of its name."""
    made = dict.fromkeys(NAMES, (colours.posterior, colours.posterior))
    made["kl"] = made["second"] = colours.gap, colours.gap
    return made | {"entropy": (colours.q_mark, colours.q_text), "kl_prior": (colours.prior, colours.muted)}


def _told(value: float, decimals: int) -> str:
    """A number that fits: past a hundred thousand its decimals say nothing."""
    return theme.number(value, decimals if abs(value) < 1e5 else 0)
