"""E and M as the player's buttons: where each leads, and why it sometimes changes nothing."""

from __future__ import annotations

from collections.abc import Sequence

from lvmviz.figures.theme import Tokens
from lvmviz.schemes import Scheme
from lvmviz.ui.player import Button

FIRST_E = "q knows nothing of x yet, so M would make all components alike. Press E first."


def buttons(moved: Sequence[str], end: str, scheme: Scheme, colours: Tokens) -> list[Button]:
    """E, M and E+M for a trace whose frames say what moved ("start", "E" or "M"); `end` says why it ended."""
    again = {"E": scheme.e_again, "M": scheme.m_again}
    last = len(moved) - 1
    frames = range(len(moved))
    after = [min(i + 1, last) for i in frames]
    e = [i if moved[i] == "E" else after[i] for i in frames]
    m = [after[i] if moved[i] == "E" else i for i in frames]
    both = [after[i] if moved[i] == "E" else min(i + 2, last) for i in frames]

    def said(name: str) -> list[str]:
        return [end if i == last else FIRST_E if moved[i] == "start" else again[name] for i in frames]

    return [
        Button("E", "e", colours.q_text, f"E-step: {scheme.e_does} (key E)", e, said("E")),
        Button("M", "m", colours.theta_text, f"M-step: {scheme.m_does} (key M)", m, said("M")),
        Button("E+M", "n", colours.text, "One whole iteration (key N)", both, [end] * len(moved)),
    ]


def labels(moved: Sequence[str], iterations: Sequence[int], collapsed: Sequence[int]) -> list[str]:
    """What the scrubber says of each frame; `collapsed` is the number of a collapsed component, or 0."""
    return [_label(*step) for step in zip(moved, iterations, collapsed, strict=True)]


def _label(moved: str, iteration: int, collapsed: int) -> str:
    if collapsed:
        return f"iteration {iteration}, M: component {collapsed} collapsed, log p(X) → ∞"
    return "start, before the first E" if moved == "start" else f"iteration {iteration}, after {moved}"
