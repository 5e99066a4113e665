"""The VAE lab's parts: its start, its plane, its numbers."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from lvmviz.algorithms.vae import WATCHED, TrainVAE, VAEInfo
from lvmviz.core import Knob
from lvmviz.datasets import Stored
from lvmviz.figures.theme import number
from lvmviz.image_sets import OpenML, StoredImages
from lvmviz.observations import Observations, Rows
from lvmviz.runs.execute import snapshots
from lvmviz.runs.job import LONG, Job, Trace
from lvmviz.summaries import vae as summaries
from lvmviz.summaries.vae import Evidence
from lvmviz.ui import background, frame, run_words, state, vae_evidence, vae_films
from lvmviz.ui.controls import Controls, switch, switched
from lvmviz.ui.live import LONG_S, keep
from lvmviz.ui.plot import plot
from lvmviz.ui.table import Column, table
from lvmviz.ui.thermometer import thermometer
from lvmviz.ui.vae_images import own_images

_SEEN = "lvmviz.vae.seen"
START = "train"  # in a link: begin at once
EMPTY = 446  # height of the empty stage, px
PATIENCE_S, GROWING_S = 0.4, 0.0  # what a page waits for the evidence of the snapshot on screen
ROWS = 5
SHARE = Knob(0.0, 1.0, "How far the draws are on their way.", "From the prior to the data")
PICTURES = {"q": "where the encoder puts the data", "Decoded": "what every place of the plane decodes to"}
HEADS = {"q": "q of each {}", "Decoded": "what each place decodes to", "Cloud to data": "draws, decoded"}
CLOUD = {
    "q": "where the encoder puts the data",
    "Cloud to data": "the prior's draws pushed through the decoder",
}


# ---- before there is a run ----


def here(data: Observations) -> bool:
    """Whether the data are on this computer; else their place says how they come."""
    if isinstance(data, OpenML) and not data.here:
        _offer_to_fetch(data)
        return False
    missing = _missing(data)
    if missing:
        frame.empty(missing, name="images", height=EMPTY)
    return not missing


def _missing(data: Observations) -> str:
    if isinstance(data, StoredImages) and not data.digest:
        return "No images yet. Load some on the left: an npz file, IDX files, or pictures of one size."
    if isinstance(data, Rows) and isinstance(data.table, Stored) and not data.table.digest:
        return "No table yet. Load one on the left: a row is a point, a column a feature."
    return ""


def _offer_to_fetch(data: OpenML) -> None:
    size = f"{data.size / 1e6:.0f} MB"
    told = f"{data.source} is fetched from openml.org once ({size}) and kept on this computer."
    box = frame.empty(told, name="fetch", height=EMPTY)
    if box.button(f"Fetch {size}", key="fetch"):
        with box, st.spinner(f"Fetching {data.source}: {size}, then half a minute to read it"):
            data.examples()
        st.rerun()


def started(job: Job) -> bool:
    """Whether there is a run of this job; else its place has the button that starts it."""
    if state.placed(START):
        state.place(START, "")
        keep(_first(job))
        return True
    if background.begun(job):
        return True
    box = frame.empty("Nothing is trained with these settings yet.", name="start", height=EMPTY)
    name = job.algorithm.data.name() if isinstance(job.algorithm, TrainVAE) else ""
    seconds = run_words.duration(max(1.0, LONG_S * job.steps * job.algorithm.effort() / LONG))
    box.button(f"Train on {name}, {seconds} at most", key="start", on_click=state.place, args=(START, "1"))
    return False


def _first(job: Job) -> Trace:
    """The state before training, to be looked at until a worker has begun."""
    return Trace(job, itertools.islice(snapshots(job), 1))


def epochs(algorithm: TrainVAE) -> Knob:
    """The control of how long is trained: epochs, or parts of them where they are long."""
    each = summaries.steps_an_epoch(algorithm)
    if each == 1:
        return Knob(1, 500, "Passes over the training examples.", "Epochs")
    return Knob(1, 500, f"A step is {algorithm.batches} minibatches; {each} steps are an epoch.", "Steps")


def arrive(trace: Trace) -> None:
    """A run that is opened is shown at its end; afterwards the position is the visitor's."""
    seen = state.generation(), trace.job.id
    if st.session_state.get(_SEEN) != seen and not state.placed(state.POSITION):
        state.place(state.POSITION, state.LAST)
    st.session_state[_SEEN] = seen


# ---- pictures ----


def side_by_side(width: int) -> tuple[DeltaGenerator, DeltaGenerator, DeltaGenerator]:
    """Two places, the first so wide, and one below both; on a narrow screen the second comes last."""
    with st.container(key="pair", horizontal=True, gap="medium"):
        left = st.container(key="pair_left", width=width, gap="xsmall")
        right = st.container(key="pair_right", width="stretch", gap="xsmall")
        below = st.container(key="pair_below", width="stretch", gap="xsmall")
    return left, right, below


def axes(controls: Controls, algorithm: TrainVAE) -> tuple[int, int]:
    """Which two latents are drawn; of one or two there is nothing to choose."""
    if algorithm.latent < 3:
        return 0, algorithm.latent - 1
    names = tuple(f"z{k + 1}" for k in range(algorithm.latent))
    across = controls.value("across", str, names[0], Knob(label="Across", options=names, more=True))
    rest = tuple(name for name in names if name != across)
    up = controls.value("up", str, rest[0], Knob(label="Up", options=rest, more=True))
    return names.index(across), names.index(up)


def plane(
    trace: Trace, index: int, across: tuple[int, int], depends: tuple[object, ...], channel: str, height: int
) -> None:
    """q in the latent plane, or what its places decode to."""
    images = summaries.is_images(summaries.vae(trace))
    options = PICTURES if images else CLOUD
    now = switched("plane", options, "q")
    with frame.head("plane", "Latent plane", HEADS[now].format("example" if images else "point")):
        shown = switch("plane", "What the plane shows", options, "q")
    chosen = vae_films.frames(trace, index, background.growing(trace))
    if shown == "Cloud to data":
        _cloud(trace, index, height)
        return
    make = vae_films.plane if shown == "q" else vae_films.manifold
    plot(
        "picture",
        lambda: make(trace, chosen, across, frame.dark()),
        depends=(*depends, shown, across, tuple(chosen)),
        height=height,
        alt=vae_films.alt(trace, index) if shown == "q" else "Decoded images over the latent plane",
        channel=channel,
    )


def _cloud(trace: Trace, index: int, height: int) -> None:
    place = st.container(gap="small")
    share = Controls(place, place).value("share", float, 1.0, SHARE)
    plot(
        "picture",
        lambda: vae_films.cloud(trace, index, share, frame.dark(), height - 62),
        depends=(trace.job.id, trace.steps[index], share, frame.dark()),
        height=height - 62,
        alt="The prior's draws, pushed through the decoder, beside the data",
    )


def terms(trace: Trace, depends: tuple[object, ...], channel: str, height: int) -> None:
    """Reconstruction and KL over the epochs; of many latents also which of them carry it."""
    many = summaries.vae(trace).latent > 2
    options = {"Terms": "reconstruction and KL to the prior", "Latents": "KL to the prior of every latent"}
    with frame.head("terms", *_said(many)):
        shown = switch("terms", "What is drawn", options, "Terms") if many else "Terms"
    make = vae_films.terms if shown == "Terms" else vae_films.by_latent
    plot(
        "terms",
        lambda: make(trace, frame.dark(), height),
        depends=(*depends, shown),
        height=height,
        alt=options[shown],
        channel=channel,
    )


def _said(many: bool) -> tuple[str, str]:
    return ("Terms", "") if many else ("Reconstruction", "left, and KL to the prior, right")


# ---- numbers ----


def evidence(
    trace: Trace, index: int, growing: bool, names: Mapping[str, str]
) -> tuple[str, tuple[int, Evidence] | None]:
    """The thermometer of one snapshot; returned are the half of the data and what is known of it."""
    half = "train" if st.session_state.get("lvmviz.half") == "Train" else "test"
    found = vae_evidence.soon(trace, index, half, GROWING_S if growing else PATIENCE_S)
    known = {index: found} if found else vae_evidence.known(trace, half)
    if not known:
        frame.empty("log p(x) is being worked out.", name="thermometer", height=238)
        return half, None
    at = max((k for k in known if k <= index), default=min(known))
    terms = known[at].mean()
    thermometer(
        lambda: [terms],
        depends=(trace.job.id, trace.steps[at], half, frame.dark()),
        decimals=2,
        names=names if known[at].exact else {**names, "log_evidence": "log p(x), estimate"},
    )
    return half, (at, known[at])


def numbers(trace: Trace, index: int, half: str, known: tuple[int, Evidence] | None, growing: bool) -> None:
    """The same numbers as a table, an estimate beside what is exact."""
    with frame.head("numbers", "Numbers", "nats"):
        switch("half", "Which examples", {"Test": "", "Train": ""}, "Test")
    if known is None:
        return
    at, made = known
    rough = None if growing or not made.exact else vae_evidence.rough(trace, at, half)
    columns, rows = _table(made, rough)
    table("numbers", columns, rows=rows, alt="The evidence and its terms", height=26 + 24 * ROWS)
    if told := _told(trace, index, at, made):
        frame.remark(told)


def _table(made: Evidence, rough: Evidence | None) -> tuple[list[Column], list[list]]:
    names = ("log p(x)", "KL(q‖p(z|x))", "ELBO", "reconstruction", "KL to prior")
    keys = ("log_evidence", "kl", "elbo", "likelihood", "kl_prior")
    first = f"S = {made.draws}" if made.draws else "exact"
    columns = [Column("mean", "left"), Column(first)]
    rows = [[name, number(getattr(made.mean(), key), 3)] for name, key in zip(names, keys, strict=True)]
    if made.draws:
        rows[0][1] = f"{rows[0][1]} ± {made.standard_error:.3f}"
    if rough is not None:
        columns.append(Column(f"S = {rough.draws}"))
        for row, key in zip(rows, keys, strict=True):
            row.append(number(getattr(rough.mean(), key), 3))
        rows[0][2] = f"{rows[0][2]} ± {rough.standard_error:.3f}"
    return columns, rows


def _told(trace: Trace, index: int, at: int, made: Evidence) -> str:
    """What is to be said of these numbers."""
    epoch = summaries.infos(trace)[at].epoch
    parts = [f"Mean of {len(made.elbo)} examples after epoch {epoch:g}."] if at == index else [
        f"Of epoch {epoch:g}, the last that is worked out; {len(made.elbo)} examples."
    ]  # fmt: skip
    if made.exact and not made.settled:
        parts.append(f"Two rules differ by up to {made.error.max():.1e} nats.")
    if not made.exact:
        parts.append(
            f"log p(x) is an estimate by importance weights, seed {summaries.SEED}; too low on average."
        )
    return " ".join(parts)


def ledger(trace: Trace, channel: str) -> None:
    """A row a step."""
    infos, count = summaries.infos(trace), len(summaries.half(summaries.vae(trace), "test").x)
    frame.head("ledger", "Ledger", f"{min(WATCHED, count)} test examples, one draw each, nats")
    rows = [
        [f"{info.epoch:g}", number(info.test_elbo, 2), number(info.test_kl, 2), _change(infos, i)]
        for i, info in enumerate(infos)
    ]
    columns = [Column("epoch", "left"), Column("ELBO"), Column("KL to prior"), Column("change")]
    alt = "One row an epoch with the test set's ELBO, KL to the prior and the change of the ELBO"
    table("ledger", columns, rows=rows, alt=alt, height=int(122 * frame.scale()), channel=channel)


def _change(infos: Sequence[VAEInfo], i: int) -> str:
    return number(infos[i].test_elbo - infos[i - 1].test_elbo, 2, signed=True) if i else ""


def rows(trace: Trace) -> list[dict[str, Any]]:
    """Every snapshot's numbers, with log p(x) of the test examples where it is known."""
    known = vae_evidence.known(trace, "test")
    made = []
    for index, (step, info) in enumerate(zip(trace.steps, summaries.infos(trace), strict=True)):
        evidence = known[index].mean() if index in known else None
        row = {"step": step, **info._asdict()}
        row["test_log_evidence"] = evidence.log_evidence if evidence else None
        made.append(row | {"test_gap": evidence.kl if evidence else None})
    return made


# ---- words ----


def label(info: VAEInfo, last: VAEInfo) -> str:
    """The player's word for a frame."""
    return f"epoch {info.epoch:g} of {last.epoch:g}" if info.epoch else "before training"


def ended(info: VAEInfo) -> str:
    """Why training went no further, where something went wrong."""
    return "" if info.status == "training" else info.status[:1].upper() + info.status[1:]


__all__ = ["axes", "ended", "epochs", "evidence", "here", "label", "ledger", "numbers", "own_images", "plane",
           "side_by_side", "started", "terms"]  # fmt: skip
