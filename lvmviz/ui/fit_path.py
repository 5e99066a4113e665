"""An optimizer's path on the pages that fit q: its player, and the lines that give the KL on screen."""

from __future__ import annotations

from collections.abc import Sequence

from lvmviz.families import Family
from lvmviz.figures.theme import number
from lvmviz.runs.job import Trace
from lvmviz.targets import Target
from lvmviz.ui import fit
from lvmviz.ui.code import calls, script, snapshot
from lvmviz.ui.player import player


def path_player(channel: str, trace: Trace | None) -> int:
    """The frame of the path that q stands on; 0 without one."""
    if trace is None:
        return 0
    labels = ["where q stood"] + [f"step {step}" for step in range(1, len(trace))]
    name = f"{trace.job.id}:{len(trace)}"
    return player(channel, labels=labels, buttons=[], trace_id=name, autoplay=fit.autoplay())


def told(kl: float) -> str:
    """A line of code ends with the number that it gives."""
    return f"  # {number(kl, 3)} nats"


def source(
    target: Target, family: Family, phi: Sequence[float], trace: Trace | None, index: int, kl: float
) -> str:
    """The lines that give the KL on screen: of a frame of the path, else of q's numbers."""
    if trace is not None:
        return script(trace.job, f"{snapshot(trace, index)}.info.kl{told(kl)}")
    return calls(
        ["decompose"],
        {"target": target, "family": family},
        f"phi = {[round(x, 10) for x in phi]}\ndecompose(target, family, phi).kl{told(kl)}",
    )
