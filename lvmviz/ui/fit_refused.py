"""Why an optimizer cannot set out from where q stands, and what would help."""

from __future__ import annotations

import math

import streamlit as st

from lvmviz.algorithms.vi import VI
from lvmviz.families import Gaussian, LaplaceQ, StudentQ
from lvmviz.objectives import ForwardKL, ReverseKL
from lvmviz.summaries import fit as summaries
from lvmviz.ui import fit, frame
from lvmviz.ui.controls import remedy


def refused(fault: str, vi: VI) -> None:
    """The fault, or a truer word for it, and a button for each remedy; q stays where it stands."""
    endless = _endless(vi)
    if endless:
        fault = (
            f"KL(p‖q) is infinite for every {vi.family.name()}, wherever it stands: its tails are too thin "
            "for this posterior. A Student's are heavier; the reverse KL does not mind."
        )
    with st.container():
        frame.failed(fault)
        with st.container(horizontal=True, gap="small"):
            if endless:
                remedy("Take a Student for q", "family", StudentQ.__name__)
            if not isinstance(vi.objective, ReverseKL):
                remedy("Fit by the reverse KL", "objective", ReverseKL.__name__)
            st.button("Back to q", key="refused_back", on_click=fit.leave)


def _endless(vi: VI) -> bool:
    """Whether the posterior's tails are too heavy for any place of this q."""
    if not (isinstance(vi.objective, ForwardKL) and isinstance(vi.family, (Gaussian, LaplaceQ))):
        return False
    return math.isinf(summaries.forward(vi.target, vi.family, vi.mean, vi.sd))
