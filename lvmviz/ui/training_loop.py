"""One training step as a diagram of eight boxes, stepped in the browser, and the derivation below it."""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import streamlit as st

from lvmviz.algorithms.vae import TrainVAE
from lvmviz.core import Knob
from lvmviz.figures.theme import number
from lvmviz.figures.vae_images import ink
from lvmviz.runs.job import Trace
from lvmviz.summaries import vae as summaries
from lvmviz.summaries.vae.lesson import lesson
from lvmviz.summaries.vae.turns import Turn, turns
from lvmviz.ui import frame
from lvmviz.ui.component import component
from lvmviz.ui.controls import Controls
from lvmviz.ui.derivation import derivation
from lvmviz.ui.derivation_vae import lines

MOST = 3  # numbers of a vector that are told; of more, the first two
REMARK = "Adam begins anew at each snapshot."
Box = dict[str, Any]


def draw(trace: Trace, index: int, growing: bool) -> None:
    """One training step and the derivation, of one example that can be chosen.

    They wait for the end of a run that grows: each snapshot costs a while, and the picture is to be live.
    """
    if growing:
        frame.head("loop", "One training step", "and the derivation with its numbers: when the run rests")
        return
    row = _loop(trace, index)
    at = summaries.moment(trace, index)
    derivation(lines(lesson(at, summaries.half(at.vae, "train").x[row])), decimals=2)


def _loop(trace: Trace, index: int) -> int:
    """The boxes with their chooser; returned is the training example that is looked at."""
    algorithm = summaries.vae(trace)
    count = len(summaries.half(algorithm, "train").x)
    with frame.head("loop", "One training step", f"as one example of the minibatch sees it. {REMARK}"):
        place = st.container(width=240, key="loop_choice")
        meant = Knob(0, count - 1, "Which training example is followed.", _noun(algorithm), "box")
        row = Controls(place, place).value("example", int, 0, meant)
    batches = summaries.infos(trace)[index].iteration
    dark = frame.dark()
    boxes = _boxes(_Key(trace.job.id, trace.steps[index], row, batches, dark), trace, index)
    data: dict[str, Any] = {"turns": boxes, "alt": "One training step in eight boxes"}
    data["id"] = hashlib.sha256(json.dumps(data).encode()).hexdigest()[:16]
    data["place"] = f"{trace.job.id} {row}"  # of another image or run one begins at its first box
    component("loop")(key="training_loop", data=data)
    return row


def _noun(algorithm: TrainVAE) -> str:
    return "Training image" if summaries.is_images(algorithm) else "Training point"


class _Key(tuple):
    """What the boxes follow from."""

    def __new__(cls, *parts: object) -> _Key:
        return super().__new__(cls, parts)


@st.cache_resource(max_entries=64, show_spinner=False, hash_funcs={_Key: lambda key: repr(tuple(key))})
def _boxes(key: _Key, _trace: Trace, _index: int) -> list[list[Box]]:
    at = summaries.moment(_trace, _index)
    _, _, row, batches, dark = key
    return [boxes(turn, at.vae, bool(dark)) for turn in turns(at, int(row), int(batches))]


def boxes(turn: Turn, algorithm: TrainVAE, dark: bool) -> list[Box]:
    """The eight boxes of one minibatch."""
    show = functools.partial(_seen, algorithm, dark)
    return [
        _box("x", "data", "one example", **show(turn.x, "x")),
        _box("Encoder", "q", "tells q(z|x)", rows=[("μ", _vector(turn.mean)), ("σ", _vector(turn.sd))]),
        _box("Draw", "q", _mixing(algorithm), rows=[("ε", _vector(turn.noise)), ("z", _vector(turn.z))]),
        _box("Decoder", "theta", "tells p(x|z)", **show(turn.decoded, "E[x|z]")),
        _box("Terms", "data", "nats", rows=[("log p(x|z)", number(turn.reconstruction, 2)),
                                            ("KL(q‖p(z))", number(turn.kl, 2))]),
        _box("ELBO", "p", "log p(x|z) − KL", rows=_elbo(turn)),
        _box("Gradient", "data", "back to q, then to all weights", rows=[
            ("∂/∂μ", _vector(turn.slope_mean)), ("∂/∂σ", _vector(turn.slope_sd)),
            ("|∇φ|", f"{turn.encoder_slope:.3g}"), ("|∇θ|", f"{turn.decoder_slope:.3g}")]),
        _box("Adam", "theta", "moves the weights", rows=[
            ("|Δφ|", f"{turn.encoder_step:.3g}"), ("|Δθ|", f"{turn.decoder_step:.3g}"),
            ("ELBO", number(turn.after, 2)),
            ("change", number(turn.after - turn.elbo, 2, signed=True))]),
    ]  # fmt: skip


def _box(title: str, tone: str, told: str, *, image: str = "", rows: Sequence[tuple[str, str]] = ()) -> Box:
    return {"title": title, "tone": tone, "told": told, "image": image, "rows": [list(row) for row in rows]}


def _elbo(turn: Turn) -> list[tuple[str, str]]:
    """The ELBO, and what is climbed instead where beta is not 1."""
    if turn.beta == 1.0:
        return [("", number(turn.elbo, 2))]
    climbed = number(turn.reconstruction - turn.beta * turn.kl, 2)
    return [("", number(turn.elbo, 2)), ("climbed", climbed), ("with β", f"{turn.beta:.3g}")]


def _mixing(algorithm: TrainVAE) -> str:
    return "z = μ + σ ε" if algorithm.posterior == "mean-field" else "z = μ + L ε"


def _seen(algorithm: TrainVAE, dark: bool, values: np.ndarray, name: str) -> dict[str, Any]:
    """An example as a picture, or its first numbers."""
    shape = summaries.examples(algorithm).shape
    if len(shape) == 2:
        return {"image": ink(np.clip(values, 0.0, 1.0).reshape(shape), dark)}
    return {"rows": [(name, _vector(values))]}


def _vector(values: np.ndarray) -> str:
    """Its numbers, or the first two of many."""
    some = values if len(values) <= MOST else values[:2]
    told = ", ".join(number(value, 2) for value in some.tolist())
    if len(values) == 1:
        return told
    return f"({told})" if len(values) <= MOST else f"({told}, …)"
