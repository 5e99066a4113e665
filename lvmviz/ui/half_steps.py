"""E and M as the player's buttons: where each leads, and why it sometimes changes nothing."""

from __future__ import annotations

from collections.abc import Sequence

from lvmviz.figures.theme import Tokens
from lvmviz.schemes import Scheme
from lvmviz.ui.player import Button

CUT = "The half-steps that follow are left out of this trace: go on with the arrow or the slider."
FIRST_E = "q knows nothing of x yet, so M would make all components alike. Press E first."


def buttons(
    moved: Sequence[str], steps: Sequence[int], end: str, scheme: Scheme, colours: Tokens
) -> list[Button]:
    """E, M and E+M for a trace whose frames say what moved ("start", "E" or "M"); `end` says why it ended.

    Where half-steps are left out between two frames, no button leads across.
    """
    again = {"E": scheme.e_again, "M": scheme.m_again}
    last = len(moved) - 1
    frames = range(len(moved))
    joined = [i < last and steps[i + 1] == steps[i] + 1 for i in frames]
    after = [i + 1 if joined[i] else i for i in frames]
    e = [i if moved[i] == "E" else after[i] for i in frames]
    m = [after[i] if moved[i] == "E" else i for i in frames]
    both = [after[i] if moved[i] == "E" else after[after[i]] for i in frames]

    def said(name: str) -> list[str]:
        return [_refused(i, name) for i in frames]

    def _refused(i: int, name: str) -> str:
        if i == last:
            return end
        if not joined[i] and moved[i] != name:
            return CUT
        return FIRST_E if moved[i] == "start" else again.get(name, CUT)

    return [
        Button("E", "e", colours.q_text, f"E-step: {scheme.e_does} (key E)", e, said("E")),
        Button("M", "m", colours.theta_text, f"M-step: {scheme.m_does} (key M)", m, said("M")),
        Button("E+M", "n", colours.text, "One whole iteration (key N)", both, said("E+M")),
    ]


def labels(moved: Sequence[str], iterations: Sequence[int], collapsed: Sequence[int]) -> list[str]:
    """What the scrubber says of each frame; `collapsed` is the number of a collapsed component, or 0."""
    return [_label(*step) for step in zip(moved, iterations, collapsed, strict=True)]


def _label(moved: str, iteration: int, collapsed: int) -> str:
    if collapsed:
        return f"iteration {iteration}, M: component {collapsed} collapsed, log p(X) → ∞"
    return "start, before the first E" if moved == "start" else f"iteration {iteration}, after {moved}"
