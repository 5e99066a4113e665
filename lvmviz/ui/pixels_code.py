"""The lines of Python that give the KL of the page Missing pixels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lvmviz.figures.theme import number
from lvmviz.runs.job import Trace
from lvmviz.summaries.missing_pixels import Open
from lvmviz.ui.code import script, snapshot
from lvmviz.ui.pixels import Asked
from lvmviz.ui.pixels_joint import Known

# a lattice has more nodes where an image needs them, which `opened` sees to
VAE_LEFT = "left = pixels.opened(pixels.Image(joint, x.numpy(), hidden.numpy())).conditional"
FLOAT = "dtype=torch.float64"


def source(known: Known, asked: Asked, made: Open, phis: np.ndarray, index: int, kl: float) -> str:
    """The joint, the image, what is hidden, q, and its KL."""
    uses = ["Completions" if made.exact else "estimated_terms"]
    if not known.is_vae:
        uses.append("hidden_given_seen")
    sums = ", Completions(left)" if made.exact else ""
    left = VAE_LEFT if known.is_vae else "left = hidden_given_seen(theta, x, hidden)"
    lines = [f"x = {_image(known, asked)}", *_hidden(asked.image.hidden), left]
    lines.append(f"phi = {_phi(asked, phis[0])}")
    if asked.climbs:
        uses.append("coordinate_ascent")
        lines.append(f"phi = coordinate_ascent(left, phi{sums})[{index}]")
    terms = (
        "Completions(left).terms(phi[None])" if made.exact
        else f"estimated_terms(left, phi[None], {made.draws}, {asked.seed})"
    )  # fmt: skip
    last = "\n".join([*lines, f"{terms}[0].kl  # {number(kl, 3)} nats"])
    return _with_theta(known, uses, last)


def _with_theta(known: Known, uses: Sequence[str], last: str) -> str:
    """The lines that come first: imports, and theta."""
    if known.trace is None:
        names = ", ".join(sorted([*uses, "font_digits", "font_mixture"], key=str.lower))
        return f"import torch\nfrom lvmviz import {names}\n\ntheta = font_mixture()\n{last}"
    first = _vae_joint(known.trace) if known.is_vae else "theta = trace[-1].state.theta"
    imports, rest = script(known.trace.job, f"{first}\n{last}").split("\n\n", 1)
    more = (
        "\nfrom lvmviz.summaries import missing_pixels as pixels, pixels_by_vae, vae" if known.is_vae else ""
    )
    return f"import torch\n{imports}, {', '.join(sorted(uses))}{more}\n\n{rest}"


def _vae_joint(trace: Trace) -> str:
    place = snapshot(trace, len(trace) - 1).removeprefix("trace[").removesuffix("]")
    return f"joint = pixels_by_vae.joint(vae.moment(trace, {place}))"


def _image(known: Known, asked: Asked) -> str:
    size = asked.image.x.size
    if (asked.image.x != known.joint.images[asked.row]).any():
        return f"torch.{'ones' if asked.image.x.any() else 'zeros'}({size}, {FLOAT})"
    if known.trace is None:
        return f"font_digits()[{asked.row}]"
    if known.is_vae:
        return f"torch.from_numpy(joint.images[{asked.row}])"
    return f"trace.job.algorithm.rows().x[{asked.row}]"


def _hidden(hidden: np.ndarray) -> list[str]:
    """The mask, as pixels from the first where it is so."""
    count = int(hidden.sum())
    made = [f"hidden = torch.zeros({hidden.size}, dtype=torch.bool)"]
    if count and hidden[:count].all():
        return [*made, f"hidden[:{count}] = True"]
    return [*made, f"hidden[{np.flatnonzero(hidden).tolist()}] = True"] if count else made


def _phi(asked: Asked, phi: np.ndarray) -> str:
    if not asked.painted and asked.preset == "mean":
        return "left.posterior_mean"
    if not len(phi) or (phi == phi[0]).all():
        return f"torch.full(({len(phi)},), {phi[0] if len(phi) else 0.5:g}, {FLOAT})"
    return f"torch.tensor({[round(value, 10) for value in phi.tolist()]}, {FLOAT})"
