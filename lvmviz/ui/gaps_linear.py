"""The page Gaps with a linear VAE: its training ends at probabilistic PCA, and no rotation is seen by x."""

from __future__ import annotations

from typing import Any

from lvmviz.algorithms.linear_vae import TrainLinearVAE
from lvmviz.algorithms.ppca import PPCAEM
from lvmviz.core import Choice, Knob
from lvmviz.datasets import Iris, Wine
from lvmviz.figures import fit_trace
from lvmviz.figures import linear_vae as figures
from lvmviz.figures.theme import number
from lvmviz.gaps import AsGiven
from lvmviz.runs.job import Job, Trace
from lvmviz.summaries import linear_vae as summaries
from lvmviz.ui import code, frame, own, state
from lvmviz.ui.controls import Controls, remedy
from lvmviz.ui.derivation import derivation
from lvmviz.ui.derivation_gaps import linear_lines
from lvmviz.ui.dock import dock
from lvmviz.ui.live import afresh, keep, live
from lvmviz.ui.player import trace_player
from lvmviz.ui.plot import plot
from lvmviz.ui.scenes import Scene
from lvmviz.ui.table import Column, table
from lvmviz.ui.thermometer import PER_DATUM, thermometer

PLAYER = "player"
WHOLE: dict[type[Choice], Choice] = {Iris: Iris(features=()), Wine: Wine(features=())}
ANGLE = Knob(0.0, 90.0, "Turns the first two latents of the optimum: W becomes WR.", "Rotation, degrees")
SEED = Knob(0, 9999, "Other first weights.", "Seed", "box", more=True)
MOST = Knob(
    1, 600, "Training stops earlier when it has settled.", "At most this many steps", "box", more=True
)
EM_STEPS = 80  # half-steps
TRACE = 150  # px


class WholeTables(Controls):
    """Controls whose irises and wines have all their columns until somebody chooses: two leave one latent."""

    def aside(self) -> Controls:
        made = WholeTables(self.more, self.more, self.editors)
        made.desk = self.desk
        return made

    def adjust(self, cls: type[Choice], name: str = "", base: Choice | None = None) -> Any:
        return super().adjust(cls, name, base if type(base) is cls else WHOLE.get(cls))


def draw(stage: frame.Stage, controls: Controls, cards: tuple[Scene, ...]) -> None:
    """Controls, the run, pictures and numbers."""
    algorithm = WholeTables(controls.view, controls.more, controls.editors).adjust(TrainLinearVAE)
    turn = controls.value("angle", float, 0.0, ANGLE) if algorithm.latents > 1 else None
    job = Job(
        algorithm,
        steps=controls.value("iterations", int, 300, MOST),
        seed=controls.value("seed", int, 0, SEED),
    )
    with stage.picture:
        if algorithm.latents >= (width := len(algorithm.data.table().columns)):
            frame.failed(f"{algorithm.latents} latents need more columns than the {width} of this table.",
                         "Use fewer latents, or more columns under More.")  # fmt: skip
            remedy(f"Use {width - 1}", "latents", width - 1)
            return
        best = summaries.optimum(algorithm)
        afresh(job.id, at_end=True)
        trace = keep(live(job, growing=64))
        if trace is None:
            return
    _show(stage, trace, best, turn, cards)


def _em(algorithm: TrainLinearVAE) -> Job:
    """The same model by EM."""
    return Job(
        PPCAEM(data=algorithm.data, gaps=AsGiven(), latents=algorithm.latents), steps=EM_STEPS, every=EM_STEPS
    )


def _show(
    stage: frame.Stage,
    trace: Trace,
    best: summaries.Optimum,
    turn: float | None,
    cards: tuple[Scene, ...],
) -> None:
    algorithm, terms, dark = summaries.linear_vae(trace), summaries.decompositions(trace), frame.dark()
    turned = None if turn is None else summaries.turned(best.theta, algorithm.data, turn)
    with stage.picture:
        index = _pictures(trace, best, turned, turn or 0.0)
    with stage.evidence:
        thermometer(lambda: terms, depends=(trace.key, dark), decimals=4, names=PER_DATUM, channel=PLAYER)
        em = live(_em(algorithm), beside="em") if algorithm.learned else None  # when the pictures are there
        _compared(trace, index, em, best)
        _rotated(turned, turn or 0.0)
    derivation(linear_lines(terms[index], best, turned), decimals=4)
    link, elbo = state.current(), number(trace[index].info.elbo, 6)
    dock(
        "linear-vae",
        "A linear VAE is probabilistic PCA",
        cards,
        source=code.script(trace.job, f"{code.snapshot(trace, index)}.info.elbo  # {elbo} nats"),
        rows=lambda: [snapshot.info._asdict() for snapshot in trace],
        figure=lambda: _spectrum(trace, best, False).at(index),
        model=lambda: summaries.parameters(trace[index]),
        scene=lambda: own.scene_file("gaps", algorithm.data, link),
    )


def _pictures(trace: Trace, best: summaries.Optimum, turned: summaries.Turned | None, turn: float) -> int:
    dark, depends = frame.dark(), (trace.key, frame.dark())
    left, right = frame.halves()
    with left:
        told = f"{best.active} of {len(best.kl)} latents active: λ > σ²"
        frame.head("spectrum", "Spectrum and σ²", told)
        plot(
            "picture",
            lambda: _spectrum(trace, best, dark),
            depends=depends,
            height=figures.SPECTRUM,
            channel=PLAYER,
            alt="Eigenvalues of the data's covariance, the noise variance as a line, and the model's own",
        )
    with right:
        frame.head("latents", "Latents of the optimum", f"turned by {turn:g}°")
        if turned is None:
            frame.empty("A rotation needs two latents: choose more.", name="latents", height=figures.LATENTS)
        else:
            plot(
                "latents",
                lambda: figures.latents(turned.latents, turned.posterior, turned.q, dark=dark),
                depends=(*depends, turn),
                height=figures.LATENTS,
                alt="The latents' posterior means, the posterior's ellipse and that of the best mean-field q",
            )
    infos = [snapshot.info for snapshot in trace]
    labels = [f"step {info.iteration}, ELBO/N {number(info.elbo, 4)}" for info in infos]
    index = trace_player(PLAYER, trace, labels)
    frame.head("climb", "ELBO of the linear VAE", "per datum, under the closed form’s log-likelihood")
    plot(
        "climb",
        lambda: fit_trace.trace(
            summaries.course(trace).elbo,
            best.log_lik,
            name="ELBO/N",
            gap="left to climb",
            decimals=4,
            dark=dark,
            height=TRACE,
        ),
        depends=depends,
        height=TRACE,
        channel=PLAYER,
        alt="ELBO over the steps, under the closed form",
    )
    return index


def _spectrum(trace: Trace, best: summaries.Optimum, dark: bool) -> figures.Film:
    made = summaries.course(trace)
    return figures.spectrum(
        best.eigenvalues,
        best.noise_variance,
        best.kl,
        made.eigenvalues,
        made.noise_variance,
        made.kl,
        dark=dark,
    )


def _compared(trace: Trace, index: int, em: Trace | None, best: summaries.Optimum) -> None:
    """Closed form, EM and the linear VAE: likelihood, noise variance, angle to the closed form's subspace."""
    frame.head("compared", f"{'Two' if em is None else 'Three'} ways to one optimum", "")
    info, model = trace[index].info, trace[index].state.model
    lines = [["closed form", number(best.log_lik, 4), f"{best.noise_variance:.4g}", ""]]
    if em is not None:
        count = len(summaries.linear_vae(trace).data.table().points)
        theta = em[-1].state.theta
        loadings = theta.loadings.double().cpu()
        lines.append(
            [
                f"EM, {em[-1].info.iteration} rounds",
                number(em[-1].info.log_lik / count, 4),
                f"{float(theta.noise_variance):.4g}",
                _degrees(summaries.angle(loadings, best)),
            ]
        )
    lines.append(
        [
            f"VAE, step {info.iteration}",
            number(info.log_lik, 4),
            f"{info.noise_variance:.4g}",
            _degrees(summaries.angle(model.theta.loadings, best)),
        ]
    )
    table(
        "compared",
        [Column("", "left"), Column("log p/N"), Column("σ²"), Column("angle")],
        rows=lines,
        alt="Closed form, EM and linear VAE",
        height=26 + 24 * len(lines),
    )
    short, most = max(best.log_lik - trace[-1].info.elbo, 0.0), trace.job.steps
    cut = f" It was stopped after {most} steps: More allows more." if trace.steps[-1] == most else ""
    frame.remark(f"At its end the VAE’s ELBO is {short:.1e} nats below the closed form.{cut}")


def _degrees(angle: float | None) -> str:
    return "" if angle is None else f"{number(angle, 2)}°"


def _rotated(turned: summaries.Turned | None, turn: float) -> None:
    if turned is None:
        return
    frame.head("rotated", f"Turned by {turn:g}°", "nats per datum")
    lines = [
        ["log p(X)/N", number(turned.log_lik, 4)],
        ["ELBO, mean-field q", number(turned.elbo, 4)],
        ["KL, mean-field q", number(turned.gap, 4)],
    ]
    table(
        "rotated",
        [Column("", "left"), Column("value")],
        rows=lines,
        alt="What a rotation changes",
        height=26 + 24 * 3,
    )
