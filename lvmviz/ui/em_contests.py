"""Many fits below a mixture's picture: the restart lottery, and K against its criteria."""

from __future__ import annotations

import contextlib
import dataclasses
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import streamlit as st

from lvmviz.algorithms.choose_components import ChooseComponents, ChooseInfo
from lvmviz.algorithms.em import EM
from lvmviz.algorithms.restarts import Restarts
from lvmviz.figures import contests as figures
from lvmviz.figures import criteria as over_k
from lvmviz.figures.theme import number
from lvmviz.runs.job import Job, Trace
from lvmviz.summaries import contests
from lvmviz.summaries import em as summaries
from lvmviz.ui import background, frame, state
from lvmviz.ui.links import link_of
from lvmviz.ui.live import live
from lvmviz.ui.plot import plot

URL = "mixtures"  # of the page
RESTARTS, CHOICE = "Restarts", "K"
VIEWS = {
    RESTARTS: "where 200 starts end: click one to see it",
    CHOICE: "how many components AIC, BIC and held-out points prefer: click one to use it",
}
FRAMES = 100  # of a run while it goes on, at most
KEPT = 4_000_000  # bytes of its states
NUMBER = 8  # bytes
UNSETTLED = "not settled: allow more iterations under More"


def head(view: str, em: EM) -> tuple[str, str]:
    """What stands above a view: its name, and how it is read."""
    if view == RESTARTS:
        return "Restart lottery", "a dot a start: click one to see it"
    if not em.scheme.free:
        return (
            "How many components",
            "a rule fixes the variances, so log p(X) may fall and AIC, BIC mean little",
        )
    labels = "without labels; " if em.revealed else ""
    return "How many components", f"{labels}rings: the best K for each; click one to use it"


def draw(view: str, trace: Trace, height: int) -> None:
    """One of the views; a sentence in its place where there is nothing to compare."""
    leave(view)
    try:
        (_restarts if view == RESTARTS else _choice)(trace, height)
    except (ValueError, LookupError, OSError) as fault:
        said = str(fault)
        frame.empty(f"{said[:1].upper()}{said[1:]}.".replace("..", "."), name=f"no_{view}", height=height)


def leave(view: str = "") -> None:
    """Take back what is queued for the views that nobody looks at."""
    for other in VIEWS:
        if other != view:
            background.withdraw_all_but("", other)


# ---- restarts ----


def lottery_job(em: EM, iterations: int) -> Job:
    """The lottery of an EM, each restart of so many iterations at most."""
    lottery = Restarts(em=dataclasses.replace(em, relabel=0), iterations=iterations)
    bytes = lottery.restarts * em.components * em.data.table().points.shape[1] ** 2 * NUMBER
    frames = max(1, min(FRAMES, KEPT // bytes))
    return Job(lottery, steps=lottery.most_steps, every=math.ceil(lottery.most_steps / frames))


def _restarts(trace: Trace, height: int) -> None:
    job, seed, dark = _job(lottery_job, trace), trace.job.seed, frame.dark()
    found = live(job, beside=RESTARTS)
    if found is None or not len(found):
        return
    ends = contests.lottery(found)
    closes = summaries.em(trace).scheme.closes
    name = f"{'log p(X)' if closes else 'ELBO'}/N where a restart ends, nats"
    said, still = _said(ends), "not settled" if ends.moving.any() else UNSETTLED
    plot(
        "curves",
        lambda: figures.lottery(_ends(ends), seed, name=name, said=said, unsettled=still, dark=dark),
        depends=(found.key, dark, RESTARTS, seed),
        height=height,
        alt=f"Restart lottery: {said}{_spikes(ends)}",
        on_pick=lambda: _show_restart(ends),
    )


def _said(ends: contests.Lottery) -> str:
    """The lottery in words: the best is the highest of those that no regularizer holds."""
    count, honest = int(np.isfinite(ends.height).sum()), ends.honest
    if not (ends.optimum >= 0).any():
        return f"all {count} restarts collapse: raise the regularizer"
    if not honest.any():
        return "each is a spike or collapses: raise the regularizer, or use fewer components"
    best, reach = number(float(ends.height[honest].max()), 4), int((ends.optimum == 0).sum())
    said = f"{reach} of {count} {'reaches' if reach == 1 else 'reach'} the best, {best}"
    return f"{said} so far" if ends.moving.any() else said


def _spikes(ends: contests.Lottery) -> str:
    count = int(ends.spike.sum())
    return f"; {count} {'sits' if count == 1 else 'sit'} on the regularizer" if count else ""


def _ends(ends: contests.Lottery) -> figures.Ends:
    sizes = {one: int((ends.optimum == one).sum()) for one in set(ends.optimum.tolist())}
    told = [
        figures.ends_here(
            seed, float(ends.height[seed]), int(ends.iterations[seed]), sizes[one], len(ends.height),
            not bool(ends.settled[seed]), bool(ends.spike[seed]),
        )
        if one >= 0
        else f"seed {seed}: a component collapses<br>in iteration {int(ends.iterations[seed])}"
        for seed, one in enumerate(ends.optimum.tolist())
    ]  # fmt: skip
    climbing = (ends.optimum >= 0) & ~ends.settled
    return figures.Ends(ends.height, ends.optimum, climbing, ends.spike, told)


def _show_restart(ends: contests.Lottery) -> None:
    """What a click on a dot does: that seed, at the end of its run."""
    seed = int(_picked())
    _go("seed", seed, int(ends.iterations[seed]))


# ---- K ----


def choice_job(em: EM, iterations: int) -> Job:
    """The comparison of K for an EM; whichever K it has, it is the same."""
    em = dataclasses.replace(em, components=1, revealed=0, relabel=0)
    choose = ChooseComponents(em=em, iterations=iterations)
    return Job(choose, steps=choose.most - 1)


def _choice(trace: Trace, height: int) -> None:
    dark, em = frame.dark(), summaries.em(trace)
    shown, free = em.components, em.scheme.free
    found = live(_job(choice_job, trace), beside=CHOICE)
    if found is None or not len(found):
        return
    rows = contests.criteria(found)
    lines = {
        "log_lik": over_k.Line(rows.log_lik, "log p(X)/N", penalized=False),
        "held_out": over_k.Line(rows.held_out, "held-out/N"),
        "aic": over_k.Line(rows.aic, "−AIC/2N", penalized=free),
        "bic": over_k.Line(rows.bic, "−BIC/2N", penalized=free),
    }
    told = [_told(*pair) for pair in zip(rows.infos, rows.held_out.tolist(), strict=True)]
    plot(
        "curves",
        lambda: over_k.choice(rows.components, lines, told, shown, floored=rows.floored.tolist(), dark=dark),
        depends=(found.key, dark, CHOICE, shown),
        height=height,
        alt=f"Criteria over K: {preferred(rows, free)}",
        on_pick=lambda: _use(rows),
    )


def preferred(rows: contests.Criteria, free: bool = True) -> str:
    """Which K each criterion prefers, in words; where a rule fixes the variances AIC and BIC prefer none."""
    names = {"AIC": rows.aic, "BIC": rows.bic} if free else {}
    names["held-out"] = rows.held_out
    tops = {name: contests.best(values) for name, values in names.items()}
    return ", ".join(f"{name} {rows.components[top]}" for name, top in tops.items() if top is not None)


def _told(info: ChooseInfo, held_out: float) -> str:
    """What a K says on hover."""
    free = f"{info.parameters} parameter{'s' * (info.parameters != 1)}"
    lines = [
        f"K = {info.components}, {free}",
        f"log p(X)/N {number(info.log_lik / info.points, 4)}",
        f"held-out/N {number(held_out, 4) if held_out == held_out else 'collapses'}",
        f"AIC {number(info.aic, 1)}, BIC {number(info.bic, 1)}",
    ]
    if info.collapsed:
        lines.append(f"{info.collapsed} restart{'s collapse' if info.collapsed > 1 else ' collapses'}")
    if info.floored:
        lines.append("a component sits on the regularizer")
    return "<br>".join(lines)


def _use(rows: contests.Criteria) -> None:
    """What a click on a K does: so many components, and the start that was best for them, at its end.

    The runs that were compared know no labels, so the one that is shown must not either.
    """
    (info,) = [info for info in rows.infos if info.components == int(_picked())]
    state.put("components", info.components)
    state.put("revealed", 0)
    _go("seed", info.seed, info.iterations)


# ---- both ----


def link(job: Job) -> dict[str, str] | None:
    """The link with which the page Mixtures shows this very job; None where it cannot."""
    for view, kind, make in ((RESTARTS, Restarts, lottery_job), (CHOICE, ChooseComponents, choice_job)):
        asked = job.algorithm
        if isinstance(asked, kind) and _is(job, make, asked.em, asked.iterations):
            em = dataclasses.replace(asked.em, components=3) if view == CHOICE else asked.em
            return {**link_of(em), "iterations": str(asked.iterations), "curves": view}
    return None


def _is(job: Job, make: Callable[[EM, int], Job], em: EM, iterations: int) -> bool:
    with contextlib.suppress(LookupError, OSError, ValueError):  # somebody's table is not here
        return make(em, iterations) == job
    return False


def _job(make: Callable[[EM, int], Job], trace: Trace) -> Job:
    """For the EM that made a trace, and its iterations at most: E and M are two steps."""
    return make(summaries.em(trace), max(1, trace.job.steps // 2))


def _picked() -> Any:
    return st.session_state["plot_curves"]["pick"]["value"]


def _go(control: str, value: int, iterations: int) -> None:
    """Set a control, and stand at the end of the run that it asks for."""
    state.put(control, value)
    state.place(state.POSITION, str(2 * iterations) if iterations else "")
    state.turn()
