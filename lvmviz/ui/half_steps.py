"""E and M as the player's buttons: where each leads, and why it sometimes changes nothing."""

from __future__ import annotations

from collections.abc import Sequence

from lvmviz.figures.theme import Tokens
from lvmviz.ui.player import Button

AGAIN = {
    "E": "E again changes nothing: q already is the posterior, KL = 0. Press M.",
    "M": "M again changes nothing: θ already maximizes the ELBO of this q. Press E.",
}
FIRST_E = "q knows nothing of x yet, so M would make all components alike. Press E first."


def buttons(moved: Sequence[str], end: str, colours: Tokens) -> list[Button]:
    """E, M and E+M for a trace whose frames say what moved ("start", "E" or "M"); `end` says why it ended."""
    last = len(moved) - 1
    frames = range(len(moved))
    after = [min(i + 1, last) for i in frames]
    e = [i if moved[i] == "E" else after[i] for i in frames]
    m = [after[i] if moved[i] == "E" else i for i in frames]
    both = [after[i] if moved[i] == "E" else min(i + 2, last) for i in frames]

    def said(name: str) -> list[str]:
        return [end if i == last else FIRST_E if moved[i] == "start" else AGAIN[name] for i in frames]

    return [
        Button(
            "E", "e", colours.q_text, "E-step: q becomes the posterior; the gap closes (key E)", e, said("E")
        ),
        Button("M", "m", colours.theta_text, "M-step: θ maximizes the ELBO; both rise (key M)", m, said("M")),
        Button("E+M", "n", colours.text, "One whole iteration (key N)", both, [end] * len(moved)),
    ]


def labels(moved: Sequence[str], iterations: Sequence[int], collapsed: Sequence[int]) -> list[str]:
    """What the scrubber says of each frame; `collapsed` is the number of a collapsed component, or 0."""
    return [_label(*step) for step in zip(moved, iterations, collapsed, strict=True)]


def _label(moved: str, iteration: int, collapsed: int) -> str:
    if collapsed:
        return f"iteration {iteration}, M: component {collapsed} collapsed, log p(X) → ∞"
    return "start, before the first E" if moved == "start" else f"iteration {iteration}, after {moved}"
