"""Fit q in one dimension: push q onto the posterior with the hand, and watch the ELBO close on log p."""

from lvmviz import VI, Job, ui
from lvmviz.core import Knob
from lvmviz.families import Family, Gaussian, LocationScale, SinhArcsinh
from lvmviz.formula_targets import Formula
from lvmviz.gradients import Estimator, Exact
from lvmviz.objectives import ForwardKL, Objective, ReverseKL
from lvmviz.optimizers import Adam, Optimizer
from lvmviz.runs.job import Trace
from lvmviz.summaries import fit as summaries
from lvmviz.targets import Cauchy, EqualModes, Skewed, Target, TwoModes
from lvmviz.ui import answers, fit, fit_films, fit_numbers, own
from lvmviz.ui.derivation_vi import lines
from lvmviz.ui.fit_answer import Look, answer
from lvmviz.ui.fit_end import arrived, flown
from lvmviz.ui.fit_formula import own_formula
from lvmviz.ui.fit_path import path_player, source
from lvmviz.ui.fit_refused import no_landscape, path

TITLE = "One dimension"
GROUP = "Fit q"
CLAIM = "Move q until it covers the posterior. What is left over is the KL."
PLAYER = "fit"
PICTURE, ROW = 338, 186  # heights, px
NAMES = {"log_evidence": "log p(x)", "kl": "KL(q‖p)", "elbo": "ELBO"}
POSTERIOR = Knob(label="Posterior", help="What q has to cover.")
FAMILY = Knob(label="Family of q", help="What q may be.")
OBJECTIVE = Knob(label="Objective", help="What Fit climbs.")
OPTIMIZER = Knob(label="Optimizer", help="How q moves.")
GRADIENT = Knob(label="Gradient", help="Exact by quadrature, or estimated from draws.")
STARTS = Knob(1, 64, "How many q's climb at once.", "Starts", "box")
STEPS = Knob(1, 400, "The fit stops earlier when it has converged.", "At most this many steps", "box")
SEED = Knob(0, 9999, "For gradients estimated from draws.", "Seed", "box")


def link(target: Target, **places: float) -> dict[str, str]:
    """The link of a scene: the posterior, and where q stands."""
    own = ui.link_of(VI(target=target)).items()
    stands = {name: f"{value:g}" for name, value in places.items()}
    return {name: text for name, text in own if name.startswith("target")} | stands


SCENES = (
    ui.Scene(
        name="width",
        title="Too narrow or too wide?",
        question="q has the best mean. Half the best sd, or twice: which costs more?",
        answers=("Half", "Twice"),
        right=1,
        reason="Twice the sd puts q where the posterior has next to nothing, and q log(q/p) punishes that. "
        "Set sd to 0.78, then to 3.1, and compare.",
        link=link(Skewed(), mean=2.18, sd=0.78),
    ),
    ui.Scene(
        name="far",
        title="The far start",
        question="From N(−4, 0.87²): will the sd first grow or shrink?",
        answers=("Grow", "Shrink"),
        right=0,
        reason="Far from the mass log p falls steeply: a wider q reaches nearer to it. Only when q has "
        "arrived does the sd settle. Press Fit.",
        link=link(Skewed(), mean=-4.0, sd=0.87) | {"second": "0"},  # which stands just there
    ),
    ui.Scene(
        name="two-modes",
        title="Two modes, one q",
        question="q starts on the small mode. Will Fit leave it for the larger one?",
        answers=("Yes", "No"),
        right=1,
        reason="Between the modes the ELBO has a valley, and a gradient only climbs. It stays with a KL of "
        "1.36 where .28 could be had.",
        link=link(TwoModes(), mean=-3.0, sd=0.8),
    ),
    ui.Scene(
        name="forward",
        title="The other direction",
        question="Equal modes, and Fit minimizes KL(p‖q) instead. Where does q go?",
        answers=("Onto one mode", "Across both"),
        right=1,
        reason="KL(p‖q) punishes every place where p is and q is not: q has to cover both, with mean 0 and "
        "sd 2.62. KL(q‖p) would have chosen one.",
        link=link(EqualModes(), mean=-2.0, sd=1.0) | {"objective": ForwardKL.__name__},
    ),
    ui.Scene(
        name="cauchy",
        title="A tail too heavy",
        question="A Cauchy posterior under a Gaussian q. How large is KL(p‖q)?",
        answers=("Small", "Infinite"),
        right=1,
        reason="KL(q‖p) is small, but a Gaussian's log density falls like z², which a Cauchy cannot "
        "average. A number from a box would be finite, and wrong.",
        link=link(Cauchy(), mean=0.0, sd=1.5),
    ),
    ui.Scene(
        name="flow",
        title="Let q lean",
        question="A Gaussian leaves .022 nats on the skewed posterior. Can a flow do better?",
        answers=("Yes", "No"),
        right=0,
        reason="Two more numbers, skew and tail, bend the Gaussian. Press Fit and read the KL.",
        link=link(Skewed()) | {"family": SinhArcsinh.__name__},
    ),
)


def draw() -> None:
    """Controls, q, pictures, numbers."""
    ui.opened(SCENES)
    stage = ui.stage()
    with stage.controls:
        view, more = ui.columns()
    controls = ui.Controls(view, more, {Formula: own_formula})
    try:
        hide = fit.guessing(controls)
        target = controls.choose(Target, "target", Skewed(), POSTERIOR, aside=True)
        family = controls.choose(Family, "family", Gaussian(), FAMILY, aside=True)
        q = fit.sliders(controls, target, family)
        objective = controls.choose(Objective, "objective", ReverseKL(), OBJECTIVE, aside=True)
        with view:
            fit.fit_buttons(hide)
        job = _job(ui.Controls(more, more), target, q, objective)
        with stage.picture:
            trace = path(job)
        _show(stage, controls, job, q, trace, hide)
    except (ValueError, LookupError, OSError) as fault:
        with stage.picture:
            ui.failed(str(fault))


def _job(controls: ui.Controls, target: Target, q: fit.Q, objective: Objective) -> Job:
    """What Fit would do from where q stands."""
    optimizer = controls.choose(Optimizer, "optimizer", Adam(), OPTIMIZER)
    gradient = controls.choose(Estimator, "gradient", Exact(), GRADIENT)
    starts, steps = controls.value("starts", int, 8, STARTS), controls.value("steps", int, 200, STEPS)
    ends = fit.range_of(target)
    vi = VI(
        target=target,
        family=q.family,
        objective=objective,
        optimizer=optimizer,
        gradient=gradient,
        starts=starts,
        mean=q.places[0].mean,
        sd=q.places[0].sd,
        phi=() if isinstance(q.family, LocationScale) else tuple(q.phi.tolist()),
        within=(ends.low, ends.high),
    )
    return Job(vi, steps=steps, seed=controls.value("seed", int, 0, SEED))


def _show(
    stage: ui.Stage, controls: ui.Controls, job: Job, q: fit.Q, trace: Trace | None, hide: bool
) -> None:
    vi = summaries.vi(job)
    target = vi.target
    dark, other = ui.dark(), fit.second(controls, target)
    phis = q.phi[None] if trace is None else summaries.phis(trace)
    terms = [summaries.terms(target, q.family, q.phi)] if trace is None else summaries.decompositions(trace)
    depends = (target, q, dark) if trace is None else (trace.job.id, len(trace), dark)
    second = None if other is None else fit_films.Second(other.family, other.phi, other.places[0])
    made = fit_films.picture(target, q.family, phis, [term.kl for term in terms], second, dark, hide)
    with stage.picture:
        ui.plot(
            "picture",
            lambda: made.film,
            depends=(*depends, other, hide),
            height=PICTURE,
            alt=f"{target.name()}: the posterior, and q from the family {q.family.name()}",
            channel=PLAYER,
            hand=fit.hand(q, made.bells, made.traces, answers.address() if trace is None else ""),
            on_hand=fit.dragged(q.family),
        )
        index = path_player(PLAYER, trace)
        if trace is not None:
            flown(trace)
        _lower_row(target, q, trace, hide, depends)
    best, beside = summaries.best(target, q.family)[1], None if other is None else fit.terms(target, other)
    chosen = ""
    with stage.evidence:
        if hide:
            fit.reveal(terms[index].kl, best)
        else:
            chosen = ui.thermometer(lambda: terms, depends=depends, decimals=3, names=NAMES,
                           second=beside, channel=PLAYER)  # fmt: skip
            fit_numbers.numbers(target, q.family, phis[index], best, vi.objective)
            fit_numbers.estimates(target, q.family, phis[index], vi.gradient, job.seed)
            if trace is not None:
                entries = [
                    ui.Entry(str(step), "q" if step else "", t.elbo, t.kl) for step, t in enumerate(terms)
                ]
                ui.ledger(entries, decimals=3, unit="", channel=PLAYER, what="the path on the left")
    if trace is None:
        ends = fit.range_of(target)
        look = Look(job, q, ends, best, second, beside, chosen, NAMES, dark, ui.scale(), hide)
        answers.offer(lambda places: answer(look, places))
    if not hide:
        ui.derivation(lines(terms[index]), decimals=3)
    if hide:
        return  # code and exports would tell
    shared = ui.link()
    ui.dock(
        "fit-q",
        "Fit q in one dimension",
        SCENES,
        source=source(target, q.family, q.phi.tolist(), trace, index, terms[index].kl),
        rows=lambda: [term._asdict() for term in terms] if trace is None else trace.rows(),
        figure=lambda: made.film.at(index),
        model=lambda: {"family": repr(q.family), "phi": phis[index].tolist(), **terms[index]._asdict()},
        scene=lambda: own.scene_file("fit_q_1d", target, shared),
    )


def _lower_row(
    target: Target, q: fit.Q, trace: Trace | None, hide: bool, depends: tuple[object, ...]
) -> None:
    """The landscape with the paths on it, and the ELBO over the iterations."""
    left, right = ui.halves()
    with left:
        of = "both parts" if len(q.places) > 1 else "q"
        across, wide = summaries.place_names(q.family)
        endless = summaries.is_endless(target, q.family)
        told = "" if hide or endless else f"click to move {of}"
        ui.head("landscape", f"ELBO over {across} and {wide} of q", told)
        if hide:
            ui.empty("Hidden while you guess: it would tell.", name="landscape", height=ROW)
        elif endless:
            no_landscape(target, q.family, ROW)
        else:
            ui.plot(
                "landscape",
                lambda: fit_films.landscape(target, q.family, trace, ui.dark()),
                depends=(target, q.family, trace and depends, ui.dark()),
                height=ROW,
                alt=f"The ELBO over the {across} and the {wide} of q",
                channel=PLAYER,
                on_spot=fit.jump(q),
                mark=None if trace is not None else fit.mark(target, q),
            )
    with right:
        ui.head("iterations", "ELBO over iterations", "" if trace is None or hide else arrived(trace))
        if hide:
            ui.empty("The optimizer waits while you guess.", name="iterations", height=ROW)
        elif trace is None:
            ui.empty("Press Fit: an optimizer goes on from where q stands.", name="iterations", height=ROW)
        else:
            ui.plot("iterations", lambda: fit_films.trace(trace, ui.dark()), depends=depends, height=ROW,
                    alt="ELBO over the iterations under log p(x)", channel=PLAYER)  # fmt: skip


ui.page("fit_q_1d", "Fit q in one dimension", CLAIM, draw)
