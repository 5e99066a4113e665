"""An optimizer's path, or why it cannot set out from where q stands, and what would help."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator

import streamlit as st

from lvmviz.algorithms.vi import VI
from lvmviz.core import Choice
from lvmviz.families import Gaussian, LaplaceQ, Line, StudentQ
from lvmviz.gradients import Exact
from lvmviz.objectives import ForwardKL, ReverseKL
from lvmviz.runs.job import Job, Trace
from lvmviz.summaries import fit as summaries
from lvmviz.targets import Target
from lvmviz.ui import fit, frame, state
from lvmviz.ui.controls import remedy
from lvmviz.ui.live import live

REMEDIES: tuple[tuple[str, str, Choice], ...] = (
    ("Use the exact gradient", "gradient", Exact()),
    ("Take a Gaussian for q", "family", Gaussian()),
    ("Take a Student for q", "family", StudentQ()),
    ("Fit by the reverse KL", "objective", ReverseKL()),
)


def path(job: Job, computed: Callable[[Job], Trace | None] = live) -> Trace | None:
    """The optimizer's path, once it has set out; where there can be none, why, and q stays where it is."""
    if not fit.fitted():
        frame.place()
        return None
    try:
        return computed(job)
    except ValueError as fault:
        refused(str(fault), summaries.vi(job))
        return None


def refused(fault: str, vi: VI) -> None:
    """The fault, or a truer word for it, and a button for each remedy; q stays where it stands."""
    with st.container():
        frame.failed((_endless(vi) or fault).replace(" || ", "‖"))
        with st.container(horizontal=True, gap="small"):
            for label, name, choice in _remedies(vi):
                remedy(label, name, type(choice).__name__)
            st.button("Back to q", key="refused_back", on_click=fit.leave)


def no_landscape(target: Target, family: Line, height: int) -> None:
    """In the landscape's place where the ELBO of every q of the family is infinite."""
    box = frame.empty(
        f"The ELBO is −∞ for every {family.name()} here: its tails are heavier than the posterior allows.",
        name="landscape",
        height=height,
    )
    if not summaries.is_endless(target, Gaussian()):
        box.button("Take a Gaussian for q", key="landscape_gaussian", on_click=state.put,
                   args=("family", Gaussian.__name__))  # fmt: skip


def _remedies(vi: VI) -> Iterator[tuple[str, str, Choice]]:
    """Those with which the optimizer sets out, one for each control."""
    mended: set[str] = set()
    for label, name, choice in REMEDIES:
        if name not in mended and type(choice) is not type(getattr(vi, name)) and _helps(vi, name, choice):
            mended.add(name)
            yield label, name, choice


def _helps(vi: VI, name: str, choice: Choice) -> bool:
    """Whether VI can set out with this in place of what it has."""
    shape = {"phi": ()} if name == "family" else {}  # another family has other numbers
    try:
        dataclasses.replace(vi, **{name: choice}, **shape).init(0)
    except ValueError:
        return False
    return True


def _endless(vi: VI) -> str:
    """A sentence where the objective is infinite for every place of this q; else empty."""
    name = vi.family.name()
    lost = isinstance(vi.family, Line) and summaries.is_endless(vi.target, vi.family)
    if lost and isinstance(vi.objective, ReverseKL):
        return (
            f"KL(q‖p) is infinite for every {name}, wherever it stands: its tails are heavier than this "
            "posterior allows. Take a family of q with thinner ones."
        )
    if not (isinstance(vi.objective, ForwardKL) and isinstance(vi.family, (Gaussian, LaplaceQ))):
        return ""
    if math.isfinite(summaries.forward(vi.target, vi.family, vi.mean, vi.sd)):
        return ""
    return (
        f"KL(p‖q) is infinite for every {name}, wherever it stands: its tails are too thin "
        "for this posterior. A Student's are heavier; the reverse KL does not mind."
    )
