"""The numbers of the page Missing pixels: exact beside estimated, and the likeliest components."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from lvmviz.divergences import Decomposition
from lvmviz.factorized import SETTLED, SWEEPS, Estimate
from lvmviz.figures.theme import digits_of, number
from lvmviz.summaries import missing_pixels as summaries
from lvmviz.summaries import pixels_by_vae
from lvmviz.summaries.missing_pixels import Open
from lvmviz.ui import frame
from lvmviz.ui.pixels import Asked
from lvmviz.ui.table import Column, Row, table

LIKELY = 4  # components that are listed
EXACT, TINY, LEAST = (
    3,
    0.01,
    5e-7,
)  # decimals, and errors: two decimals above one, none at all below the other
FAR = 3.0  # standard errors from which an estimate is remarked on
NAMES = {
    "log_evidence": "log p(x_o)",
    "kl": "KL(q‖p)",
    "elbo": "ELBO",
    "joint": "E[log p(x_o, x_h)]",
    "likelihood": "E[log p(x_o|x_h)]",
}


def most(terms: Sequence[Decomposition]) -> str:
    """Such as ", ± 0.06 at most", the largest standard error of all; nothing where all are exact."""
    error = max(one.error for one in terms)
    return f", ± {number(error, digits_of(error, EXACT))} at most" if error else ""


def numbers(asked: Asked, made: Open, phi: np.ndarray, terms: Decomposition) -> None:
    """A row a quantity: by summing completions where there are not too many, and by draws of q."""
    told = f"{asked.image.count} pixels hidden, nats"
    frame.head("numbers", "Numbers", told)
    columns, rows = table_of(asked, made, phi, terms)
    table("numbers", columns, rows=rows, alt="log p of the seen pixels, ELBO and KL, exact and by draws",
          height=int((26 + 24 * len(rows)) * frame.scale()))  # fmt: skip
    for sentence in remarks(asked, made, phi, terms):
        frame.remark(sentence)


def table_of(
    asked: Asked, made: Open, phi: np.ndarray, terms: Decomposition
) -> tuple[list[Column], list[Row]]:
    """The columns and rows of the numbers."""
    columns = [Column("", "left"), Column("exact"), Column(f"S = {made.draws}")]
    evidence: Row = ["log p(x_o)", number(terms.log_evidence, EXACT), ""]
    if not made.exact:
        pairs = (("ELBO", terms.elbo), ("KL(q‖p)", terms.kl))
        return columns, [evidence, *[[name, "", _pair(value, terms.error)] for name, value in pairs]]
    rough, best = summaries.rough(made, phi, asked.seed), summaries.best(made)
    mean = summaries.terms(made, made.posterior_mean[None])[0].kl
    assert best is not None, "what is exact has a best q"
    return columns, [
        evidence,
        ["ELBO", number(terms.elbo, EXACT), _pair(*rough.elbo)],
        ["KL(q‖p)", number(terms.kl, EXACT), _pair(*rough.kl)],
        ["KL at p’s mean", number(mean, EXACT), ""],
        ["least KL found", number(best.kl, EXACT), f"{best.starts} starts"],
    ]


def _pair(value: float, error: float) -> str:
    digits = digits_of(error, EXACT)
    return f"{number(value, digits)} ± {error:.{digits}f}"


def remarks(asked: Asked, made: Open, phi: np.ndarray, terms: Decomposition) -> list[str]:
    """What the numbers do not say themselves."""
    said = []
    if not made.image.count:
        return ["Nothing is hidden: q has nothing to say, and the ELBO is log p(x)."]
    if made.image.hidden.all():
        said.append("Everything is hidden: log p of nothing is 0, and the posterior is the prior.")
    if not made.exact:
        said.append(
            "Too many completions to sum: ELBO and KL are a closed bound and a mean over draws (seed "
            f"{asked.seed}); CAVI climbs the bound in which the component has a q of its own."
        )
    else:
        said.append(f"Draws: seed {asked.seed}.{_off(summaries.rough(made, phi, asked.seed), terms)}")
    if made.image.joint.rough:
        error = pixels_by_vae.rule_error(made)
        said.append(
            f"The VAE’s integral is a sum over a lattice: two halves of it differ by {error:.1e} nats."
            + (" Nodes further out were added." if made.image.joint is not asked.image.joint else "")
        )
    return said


def _off(rough: Estimate, terms: Decomposition) -> str:
    """A word on an estimate that its own error does not explain."""
    value, error = rough.elbo
    off = abs(value - terms.elbo) / error if error > 1e-9 else 0.0
    if not FAR < off < 1e4:
        return ""
    return f" Their ELBO is {off:.0f} standard errors off: q seldom draws the completions that count."


def stopped(asked: Asked, phis: np.ndarray) -> None:
    """A word on a climb that had not settled."""
    if asked.climbs and len(phis) > SWEEPS and np.abs(phis[-1] - phis[-2]).max(initial=0.0) >= SETTLED:
        frame.remark(f"CAVI was stopped after {SWEEPS} sweeps, before φ had settled.")


def components(made: Open) -> None:
    """The likeliest components given what is seen."""
    frame.head("components", "Posterior", "of what made the image")
    order = np.argsort(-made.resp, kind="stable")[:LIKELY]
    shares = made.resp[order].tolist()
    rows: list[Row] = [
        [made.image.joint.component(k), number(share, 4)]
        for k, share in zip(order.tolist(), shares, strict=True)
    ]
    table("components", [Column("", "left"), Column("p(k | x_o)")], rows=rows,
          alt="The likeliest components given the seen pixels",
          height=int((26 + 24 * len(rows)) * frame.scale()))  # fmt: skip


def model(asked: Asked, phi: np.ndarray, terms: Decomposition) -> dict[str, Any]:
    """q and its numbers as plain lists: what a file of it holds."""
    image = asked.image
    places = np.flatnonzero(image.hidden).tolist()
    return {"hidden": places, "phi": phi.tolist(), "x": image.x.tolist(), **terms._asdict()}
