"""The page Gaps with one latent: an encoder's q over every x, what it leaves, and what it saves."""

from __future__ import annotations

import numpy as np

from lvmviz.algorithms.amortized_vi import CAPACITIES, DECODERS, AmortizedVI, OneLatentDecoder
from lvmviz.core import Knob
from lvmviz.figures import amortization as figures
from lvmviz.figures import budget
from lvmviz.figures.theme import number
from lvmviz.runs.job import Job, Trace
from lvmviz.summaries import amortization as summaries
from lvmviz.ui import code, frame, own, state
from lvmviz.ui.controls import Controls
from lvmviz.ui.derivation import derivation
from lvmviz.ui.derivation_gaps import split_lines
from lvmviz.ui.dock import dock
from lvmviz.ui.live import afresh, keep, live
from lvmviz.ui.player import trace_player
from lvmviz.ui.plot import plot
from lvmviz.ui.scenes import Scene
from lvmviz.ui.table import Column, table
from lvmviz.ui.thermometer import thermometer

PLAYER = "player"
NAMES = {"log_evidence": "log p(x)", "kl": "KL(q‖p)", "elbo": "ELBO"}
MEAN = Knob(label="Decoder f", options=tuple(DECODERS), help="What z makes of x: f(z), but for the noise.")
NOISE = Knob(0.1, 2.0, "The standard deviation of x given z.", "Noise sd", more=True)
CAPACITY = Knob(label="Encoder", options=CAPACITIES, help="One q for all x, or lines in x, or an MLP.")
REACH = Knob(0.5, 3.0, "The encoder sees x from minus this to this.", "Trained up to |x| =")
DRAWS = Knob(
    1, 1000, "How many draws the importance weighted bound averages.", "IWAE draws K", "fine", more=True
)
AT = Knob(-3.2, 3.2, "Whose numbers are told: any x, also one that training never showed.", "Datum x")
STEPS = Knob(0, summaries.INNER, "Steps that every new datum climbs by itself.", "Inner steps")
NEW = Knob(1, 1_000_000, "How many new data there are to infer.", "New data N", "fine", more=True)
HIDDEN = Knob(1, 64, "Units of the MLP's hidden layer.", "Hidden units", more=True)
COUNT = Knob(2, 400, "How many x the encoder is trained on.", "Training x", "box", more=True)
SEED = Knob(0, 9999, "Other first weights of the MLP.", "Seed", "box", more=True)
MOST = Knob(
    1, 400, "Training stops earlier when it has settled.", "At most this many steps", "box", more=True
)


def draw(stage: frame.Stage, controls: Controls, cards: tuple[Scene, ...]) -> None:
    """Controls, the run, pictures and numbers."""
    with stage.picture:
        algorithm = _asked(controls)
        at, draws = controls.value("x", float, 1.0, AT), controls.value("draws", int, 8, DRAWS)
        inner, new = controls.value("inner", int, 4, STEPS), controls.value("new", int, 1000, NEW)
        job = Job(
            algorithm,
            steps=controls.value("iterations", int, 60, MOST),
            seed=controls.value("seed", int, 0, SEED),
        )
        afresh(job.id, at_end=True)
        trace = keep(live(job, growing=64))
        if trace is None:
            return
        index = _pictures(trace, at, (inner, new))
    _told(stage, trace, index, at, (inner, new, draws), cards)


def _asked(controls: Controls) -> AmortizedVI:
    mean = controls.value("decoder.mean", str, "sigmoid", MEAN)
    noise = controls.value("decoder.noise", float, 0.4, NOISE)
    capacity = controls.value("capacity", str, "MLP", CAPACITY)
    more = {"hidden": controls.value("hidden", int, 8, HIDDEN)} if capacity == "MLP" else {}
    reach, count = controls.value("reach", float, 1.5, REACH), controls.value("count", int, 40, COUNT)
    decoder = OneLatentDecoder(mean=mean, noise=noise)
    return AmortizedVI(decoder=decoder, capacity=capacity, reach=reach, count=count, **more)


def _pictures(trace: Trace, at: float, asked: tuple[int, int]) -> int:
    """The encoder over x, the player, and below them the gap and its price; returned is the frame."""
    dark = frame.dark()
    depends = (trace.key, at, dark)
    frame.head("encoder", "Posterior and q over every x", "a column is the density of z for one x")
    plot(
        "picture",
        lambda: _film(trace, at, dark),
        depends=depends,
        height=figures.ENCODED,
        channel=PLAYER,
        alt="The posterior of z for every x as a landscape, the best Gaussian and the encoder's q",
    )
    infos = [snapshot.info for snapshot in trace]
    labels = [f"step {info.iteration}, mean gap of the training x {number(info.gap, 4)}" for info in infos]
    index = trace_player(PLAYER, trace, labels)
    left, right = frame.halves()
    with left:
        frame.head("gap", "The gap at every x", "trained between the dots")
        plot(
            "gap",
            lambda: _over_x(trace, at, dark),
            depends=depends,
            height=figures.GAP,
            channel=PLAYER,
            alt="Approximation and amortization gap over x, stacked",
        )
    with right:
        _spent(trace, asked, dark)
    return index


def _over_x(trace: Trace, at: float, dark: bool) -> figures.Film:
    algorithm, total = summaries.amortized(trace), summaries.encoded(trace).total
    seen = summaries.landscape(algorithm.decoder)
    return figures.over_x(seen.x, seen.gap, total, reach=algorithm.reach, at=at, dark=dark)


def _film(trace: Trace, at: float, dark: bool) -> figures.Film:
    algorithm, made = summaries.amortized(trace), summaries.encoded(trace)
    seen = summaries.landscape(algorithm.decoder)
    return figures.encoded(
        seen.x,
        seen.z,
        seen.density,
        (summaries.best_beside(trace), seen.sd),
        made.mean,
        made.sd,
        reach=algorithm.reach,
        at=at,
        dark=dark,
    )


def _told(
    stage: frame.Stage,
    trace: Trace,
    index: int,
    x: float,
    asked: tuple[int, int, int],
    cards: tuple[Scene, ...],
) -> None:
    algorithm, dark, (inner, new, draws) = summaries.amortized(trace), frame.dark(), asked
    terms, parts = summaries.terms(trace, x), summaries.parts_at(trace, index, x)
    with stage.evidence:
        thermometer(lambda: terms, depends=(trace.key, x, dark), decimals=4, names=NAMES, channel=PLAYER)
        _numbers(trace, index, x, draws)
        _meter(trace, (inner, new))
    told = (terms[index], *(float(part[0]) for part in parts[1:]))
    derivation(split_lines(*told), decimals=4)
    link = state.current()
    dock(
        "amortization-gap",
        "The two gaps of amortized inference",
        cards,
        source=source(trace, index, x, parts),
        rows=lambda: rows(trace, index),
        figure=lambda: _film(trace, x, False).at(index),
        model=lambda: {
            "x": x,
            "phi": trace[index].state.phi[0].tolist(),
            "info": trace[index].info._asdict(),
        },
        scene=lambda: own.scene_file("gaps", algorithm, link),
    )


def source(trace: Trace, index: int, x: float, parts: summaries.Parts) -> str:
    """Train, and split the gap of the x on screen."""
    told = number(float(parts.amortization[0]), 4)
    place = -(-trace.steps[index] // trace.job.every)
    last = (
        f"parts = amortization.parts_at(trace, {place}, {x!r})\nfloat(parts.amortization[0])  # {told} nats"
    )
    imports, rest = code.script(trace.job, last).split("\n\n", 1)
    return f"{imports}\nfrom lvmviz.summaries import amortization\n\n{rest}"


def rows(trace: Trace, index: int) -> list[dict[str, float]]:
    """A row an x: posterior, both q's, the gaps."""
    seen, made = summaries.landscape(summaries.amortized(trace).decoder), summaries.encoded(trace)
    parts = summaries.parts(trace, index)
    columns = {
        "x": seen.x,
        "log p(x)": seen.log_evidence,
        "mean": made.mean[index],
        "sd": made.sd[index],
        "best mean": seen.mean,
        "best sd": seen.sd,
        "gap": parts.total,
        "approximation": parts.approximation,
        "amortization": parts.amortization,
        "error": parts.error,
    }
    return [
        dict(zip(columns, values, strict=True))
        for values in zip(*(p.tolist() for p in columns.values()), strict=True)
    ]


def _numbers(trace: Trace, index: int, x: float, draws: int) -> None:
    """The gap's parts of this x, and on average over where it was trained and where it was not."""
    algorithm = summaries.amortized(trace)
    parts, there = summaries.parts(trace, index), summaries.parts_at(trace, index, x)
    left = summaries.iwae_leaves(trace, index, x, draws)
    inside = np.abs(summaries.landscape(algorithm.decoder).x) <= algorithm.reach
    frame.head("numbers", "The gap in parts", "nats")
    told = [
        ["gap", float(there.total[0]), parts.total],
        ["approximation", float(there.approximation[0]), parts.approximation],
        ["amortization", float(there.amortization[0]), parts.amortization],
        [f"left by IWAE, K = {draws}", left.there, left.over_x],
    ]
    made = [
        [name, *(number(float(value), 4) for value in (one, every[inside].mean(), every[~inside].mean()))]
        for name, one, every in told
    ]
    columns = [
        Column("", "left"),
        Column(f"x = {number(x, 2)}"),
        Column("trained"),
        Column("beyond"),
    ]
    table(
        "numbers",
        columns,
        rows=made,
        alt="The gap and its parts at this x, and means over x",
        height=26 + 24 * len(made),
    )
    worst = max(parts.error.max(), there.error[0], left.error)
    frame.remark(
        f"Means over the drawn x up to |x| = {algorithm.reach:g}, and beyond. Exact within {worst:.0e} nats."
    )


def _meter(trace: Trace, asked: tuple[int, int]) -> None:
    """What N new data cost by either way, in gradients of one datum's ELBO."""
    (inner, new), made = asked, summaries.budget(trace)
    frame.head("meter", "Budget", f"{new:,} new data, after training")
    training, each, more = int(made.asked[-1]), int(made.asked_own[inner]), int(made.asked_warm[inner])
    lines = [
        [f"VI, {inner} steps each", _count(new * each), number(float(made.own[inner]), 4)],
        ["one encoder", _count(training), number(float(made.training[-1]), 4)],
        [f"encoder, then {inner} steps", _count(training + new * more), number(float(made.warm[inner]), 4)],
    ]
    table(
        "meter",
        [Column("", "left"), Column("gradients"), Column("gap")],
        rows=lines,
        alt="Gradients spent and mean gap of each way",
        height=26 + 24 * 3,
    )
    if each:
        ours, theirs = (number(float(gap), 4) for gap in (made.training[-1], made.own[inner]))
        more = made.training[-1] > made.own[inner]
        frame.remark(
            f"The encoder is the cheaper way from {-(-training // each):,} new data on, and leaves "
            + ("as much." if ours == theirs else f"{'more' if more else 'less'}: {ours}, not {theirs}.")
        )


def _count(value: int) -> str:
    return f"{value:,}" if value < 10_000_000 else f"{value:.1e}".replace("e+0", "e").replace("e+", "e")


def _spent(trace: Trace, asked: tuple[int, int], dark: bool) -> None:
    (inner, new), made = asked, summaries.budget(trace)
    frame.head("spent", "What it costs", f"mean gap of {new:,} new x")
    own_way, shared = (new * made.asked_own, made.own), (made.asked, made.training)
    both = made.asked[-1] + new * made.asked_warm, made.warm
    plot(
        "spent",
        lambda: budget.spent(own_way, shared, both, made.least, chosen=inner, dark=dark),
        depends=(trace.key, asked, dark),
        height=budget.BUDGET,
        alt="Mean gap over the gradients spent, of each datum's own climb and of one encoder",
    )
