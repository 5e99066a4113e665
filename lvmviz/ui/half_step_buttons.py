"""E and M as the player's buttons: where each leads, and why it sometimes changes nothing."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from lvmviz.figures.theme import Tokens
from lvmviz.schemes import Scheme
from lvmviz.ui.player import Button

CUT = "The half-steps that follow are left out of this trace: go on with the arrow or the slider."
FIRST_E = "q knows nothing of x yet, so M would make all components alike. Press E first."


def cut(steps: Sequence[int]) -> list[bool]:
    """Whether half-steps are left out before each frame: what changed since is not its work alone."""
    return [False, *(now - was > 1 for was, now in itertools.pairwise(steps))]


def buttons(
    moved: Sequence[str], steps: Sequence[int], end: str, scheme: Scheme, colours: Tokens
) -> list[Button]:
    """E, M and E+M for a trace whose frames say what moved ("start", "E" or "M"); `end` says why it ended.

    M may have parts ("M means"): one press is one of them, and E+M goes on until E comes next.
    Where half-steps are left out between two frames, no button leads across.
    """
    again = {"E": scheme.e_again, "M": scheme.m_again}
    last = len(moved) - 1
    frames = range(len(moved))
    joined = [not left_out for left_out in cut(steps)[1:]] + [False]
    comes = [who[0] for who in moved[1:]] + [""]  # what the next frame did
    e, m = ([i + 1 if joined[i] and comes[i] == who else i for i in frames] for who in "EM")
    both = [_whole(i, comes, joined) for i in frames]

    def refused(i: int, name: str) -> str:
        if i == last:
            return end
        if not joined[i] and moved[i][0] != name:
            return CUT
        return FIRST_E if moved[i] == "start" else again.get(name, CUT)

    def said(name: str) -> list[str]:
        return [refused(i, name) for i in frames]

    return [
        Button("E", "e", colours.q_text, f"E-step: {scheme.e_does} (key E)", e, said("E")),
        Button("M", "m", colours.theta_text, f"M-step: {scheme.m_does} (key M)", m, said("M")),
        Button("E+M", "n", colours.text, "One whole iteration (key N)", both, said("E+M")),
    ]


def _whole(frame: int, comes: Sequence[str], joined: Sequence[bool]) -> int:
    """Where the iteration ends that goes on from a frame; before what is left out."""
    while joined[frame]:
        frame += 1
        if comes[frame] != "M":
            break
    return frame


def labels(moved: Sequence[str], iterations: Sequence[int], collapsed: Sequence[int]) -> list[str]:
    """What the scrubber says of each frame; `collapsed` is the number of a collapsed component, or 0."""
    return [_label(*step) for step in zip(moved, iterations, collapsed, strict=True)]


def _label(moved: str, iteration: int, collapsed: int) -> str:
    if collapsed:
        return f"iteration {iteration}, M: component {collapsed} collapsed, log p(X) → ∞"
    return "start, before the first E" if moved == "start" else f"iteration {iteration}, after {moved}"
