"""The page Gaps on a VAE's run: twelve images' gaps in parts, and one posterior with every q on it."""

from __future__ import annotations

import numpy as np
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from lvmviz.core import Knob
from lvmviz.figures import image_gaps as figures
from lvmviz.figures.theme import number
from lvmviz.runs.job import Trace
from lvmviz.summaries import vae
from lvmviz.summaries import vae_gaps as summaries
from lvmviz.summaries.vae import Moment
from lvmviz.ui import code, frame, latent_runs, own, state
from lvmviz.ui.controls import Controls
from lvmviz.ui.derivation import derivation
from lvmviz.ui.derivation_gaps import split_lines
from lvmviz.ui.dock import dock
from lvmviz.ui.gaps_toy import DRAWS
from lvmviz.ui.live import piece_by_piece
from lvmviz.ui.plot import plot
from lvmviz.ui.scenes import Scene, scenes
from lvmviz.ui.table import Column, table
from lvmviz.ui.thermometer import thermometer

FLOW = "flow"
BATCHES = f"batches of {summaries.TOGETHER} data"
SEEN = Knob(
    label="Data",
    options=summaries.SEEN,
    help="What the encoder is asked about; the last three are new to it.",
)
PLACE = Knob(1, summaries.BARS, "Whose posterior is drawn; or click a bar.", "Datum")
MANY = Knob(
    help=f"Also the mean over {summaries.MANY} data: a few seconds.",
    label=f"Mean over {summaries.MANY}",
    more=True,
)
NAMES = {"log_evidence": "log p(x)", "kl": "KL(q‖p)", "elbo": "ELBO"}
LONG = {"mean-field": "best mean-field", "full": "best full"}


def draw(stage: frame.Stage, place: DeltaGenerator, controls: Controls, cards: tuple[Scene, ...]) -> None:
    """The run, its gaps, one image."""
    walked = latent_runs.chosen(place, stage.picture, tables=True)
    if walked is None:
        scenes(cards)
        return
    at = vae.moment(walked.trace, len(walked.trace) - 1)
    with stage.picture:
        latent_runs.strip(walked)
    if told := summaries.refusal(at):
        with stage.picture:
            frame.empty(told, name="refused")
        scenes(cards)
        return
    _show(stage, controls, walked.trace, at, cards)


def _show(stage: frame.Stage, controls: Controls, trace: Trace, at: Moment, cards: tuple[Scene, ...]) -> None:
    seen = controls.value("seen", str, summaries.SEEN[0], SEEN._replace(options=summaries.seen_options(at)))
    options = (*summaries.families(at), FLOW)
    asked = controls.value(
        "best",
        str,
        options[0],
        Knob(
            label="Best q",
            options=options,
            help="Whose best q splits the gap; a flow is fitted for the one image, beside the full Gaussian.",
        ),
    )
    posterior = "full" if asked == FLOW else asked
    place = controls.value("image", int, 1, PLACE._replace(high=len(summaries.images(at, seen)))) - 1
    many, draws = controls.value("many", bool, False, MANY), controls.value("draws", int, 8, DRAWS)
    made = summaries.gaps(at, seen, posterior)
    with stage.picture:
        _pictures(at, seen, made, place, (asked, draws))
    first, best = (summaries.image_terms(at, made, place, which) for which in (False, True))
    with stage.evidence:
        depends = (*at.key, seen, posterior, place, frame.dark())
        thermometer(lambda: [first], depends=depends, decimals=3, names=NAMES, second=best)
        _numbers(at, seen, place, asked)
        _means(at, seen, posterior, made, (many, draws))
    parts = made.parts
    told = float(parts.approximation[place]), float(parts.amortization[place]), float(parts.error[place])
    derivation(split_lines(first, *told), decimals=3)
    link = state.current()
    dock(
        "amortization-gap-vae",
        "The two gaps of a VAE's encoder",
        cards,
        source=source(trace, at, seen, posterior, made),
        rows=lambda: rows(at, seen, made, draws),
        figure=lambda: _bars(at, seen, made, place, draws, False).checked(),
        model=lambda: vae.settings(at, trace[-1].info),
        weights=lambda: vae.file(at, round(trace[-1].info.epoch)),
        scene=lambda: own.scene_file("gaps", at.vae.data, link),
    )


def names(at: Moment, seen: str) -> list[str]:
    """The images' classes, or their places."""
    some = vae.half(at.vae, "train" if seen == "Training data" else "test")
    if some.labels is None:
        return [str(k + 1) for k in range(min(summaries.BARS, len(some.x)))]
    told = at.vae.data.examples().label_names
    return [told[int(label)] for label in some.labels[: summaries.BARS]]


def _pictures(at: Moment, seen: str, made: summaries.Gaps, place: int, chosen: tuple[str, int]) -> None:
    (asked, draws), dark = chosen, frame.dark()
    depends = (*at.key, seen, dark)
    frame.head("plane", "Posterior and q’s", f"of datum {place + 1}; ellipses at 1 and 2 sd")
    plot(
        "picture",
        lambda: _plane(at, seen, place, asked, dark),
        depends=(*depends, place, asked),
        height=figures.PLANE,
        alt="The exact posterior of one image, the encoder's q and the refined ones",
    )
    frame.head(
        "bars",
        "The gap of twelve data",
        "nats: hatched is left by the best q, plain by sharing one encoder",
    )
    plot(
        "bars",
        lambda: _bars(at, seen, made, place, draws, dark),
        depends=(*depends, place, asked != "mean-field", draws),
        height=figures.BARS,
        on_pick=_picked,
        alt="Approximation and amortization gap of twelve images, stacked",
    )


def _bars(at: Moment, seen: str, made: summaries.Gaps, place: int, draws: int, dark: bool) -> figures.Drawing:
    parts, images = (made.parts.approximation, made.parts.amortization), None
    if vae.is_images(at.vae):
        shape = at.vae.data.examples().shape
        images = np.clip(summaries.images(at, seen).reshape(-1, *shape), 0.0, 1.0)
    left = summaries.iwae_leaves(at, seen, draws).each
    return figures.bars(*parts, names(at, seen), images, chosen=place, left=left, draws=draws, dark=dark)


def _picked() -> None:
    value = st.session_state["plot_bars"]["pick"]["value"]
    state.put("image", int(value[0]) + 1)


def _plane(at: Moment, seen: str, place: int, asked: str, dark: bool) -> figures.Drawing:
    spread = summaries.density(at, seen, place)
    drawn = {"encoder’s q": summaries.gaps(at, seen, summaries.families(at)[0]).encoder}
    drawn |= {LONG[family]: summaries.gaps(at, seen, family).best for family in summaries.families(at)}
    told = {name: (q.means[place].numpy(), q.scale_tril()[place].numpy()) for name, q in drawn.items()}
    cloud = summaries.cloud(at, seen, place) if asked == FLOW else None
    return figures.plane(spread.first, spread.second, spread.density, told, cloud, dark=dark)


def _numbers(at: Moment, seen: str, place: int, asked: str) -> None:
    """The KL of every q of this image to its posterior."""
    frame.head("numbers", "KL to the posterior", "nats")
    families = summaries.families(at)
    found = {family: summaries.gaps(at, seen, family) for family in families}
    first = found[families[0]]
    lines = [["encoder’s q", number(float(first.parts.total[place]), 4)]]
    lines += [
        [LONG[family], number(float(gaps.parts.approximation[place]), 4)] for family, gaps in found.items()
    ]
    if asked == FLOW:
        lines.append(["flow, 4 couplings", number(summaries.flow(at, seen, place).kl, 4)])
    table(
        "numbers",
        [Column("", "left"), Column("KL(q‖p(z|x))")],
        rows=lines,
        alt="The KL of every q to the posterior",
        height=26 + 24 * len(lines),
    )


def _means(at: Moment, seen: str, posterior: str, made: summaries.Gaps, asked: tuple[bool, int]) -> None:
    """The gap in parts, of these images and of more."""
    frame.head("means", "Means over data", "nats")
    (many, draws), sides = asked, [made.parts]
    if many:
        id = f"many:{at.key}:{seen}:{posterior}"
        if some := piece_by_piece(id, summaries.pieces(at, seen, posterior), BATCHES):
            sides.append(summaries.joined(some))
    left = summaries.iwae_leaves(at, seen, draws)
    lines = [
        [name, *(number(float(parts[k].mean()), 4) for parts in sides)]
        for k, name in enumerate(("gap", "approximation", "amortization"))
    ]
    lines.append([f"left by IWAE, K = {draws}", number(float(left.each.mean()), 4), *[""] * (len(sides) - 1)])
    table(
        "means",
        [Column("", "left"), *(Column(f"{len(parts.total)} data") for parts in sides)],
        rows=lines,
        alt="Means of the gap and its parts",
        height=26 + 24 * len(lines),
    )
    worst = max(float(error.max()) for error in (*(parts.error for parts in sides), left.error))
    frame.remark(f"Each part is an integral of its own; they add up within {worst:.0e} nats for every datum.")


def rows(at: Moment, seen: str, made: summaries.Gaps, draws: int) -> list[dict[str, object]]:
    """A row an image."""
    parts, left = made.parts, summaries.iwae_leaves(at, seen, draws).each
    return [
        {
            "image": k + 1,
            "class": name,
            "log p(x)": float(made.log_evidence[k]),
            "ELBO": float(made.elbo[k]),
            **{field: float(value[k]) for field, value in parts._asdict().items()},
            f"left by IWAE, K = {draws}": float(left[k]),
        }
        for k, name in enumerate(names(at, seen))
    ]


def source(trace: Trace, at: Moment, seen: str, posterior: str, made: summaries.Gaps) -> str:
    """Train, and split the gap of the images on screen."""
    place = -(-at.step // trace.job.every)
    told = number(float(made.parts.amortization.mean()), 4)
    last = (
        f"at = vae.moment(trace, {place})\n"
        f"parts = vae_gaps.gaps(at, {seen!r}, {posterior!r}).parts\n"
        f"parts.amortization.mean()  # {told} nats"
    )
    imports, rest = code.script(trace.job, last).split("\n\n", 1)
    return f"{imports}\nfrom lvmviz.summaries import vae, vae_gaps\n\n{rest}"
