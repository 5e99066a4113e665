"""The change of variables: the density of a draw through its map, one point and on average, and the KL."""

from __future__ import annotations

import math

from lvmviz.divergences import Decomposition
from lvmviz.families import Plane, Stack
from lvmviz.summaries.plane_numbers import Change
from lvmviz.ui.derivation import Line, Term
from lvmviz.ui.derivation_vi import lines as general

_Q, _NOISE = r"\q{\log q(z)}", r"\log q_0(\varepsilon)"
_GAP = r"\kl{\mathrm{KL}(q\,\|\,p(z\mid x))}"
_JOINT = r"\mathbb{E}_{\q{q}}[\log p(x,z)]"
_ELBO, _EVIDENCE = r"\p{\mathrm{ELBO}(\q{q})}", r"\p{\log p(x)}"
NOISE_ENTROPY = 1.0 + math.log(2.0 * math.pi)  # of two standard normals, nats
AGREE = 1e-6  # nats between the way forth and the way back
MOST = 1e-3  # nats: two rules that differ by more are not called equal


def lines(family: Plane, terms: Decomposition, told: Change) -> list[Line]:
    """Every line with its values, nats."""
    sure = max(terms.error, min(told.error, MOST), AGREE)
    det = _det(family)
    joint, entropy = Term(_JOINT, terms.joint), Term(r"\mathrm{H}(\q{q})", terms.entropy)
    noise, mean = Term(r"\mathrm{H}(q_0)", NOISE_ENTROPY), Term(rf"\mathbb{{E}}\,{det}", told.mean_log_det)
    elbo, evidence, gap = Term(_ELBO, terms.elbo), Term(_EVIDENCE, terms.log_evidence), Term(_GAP, terms.kl)
    pushed = Term(r"\mathbb{E}_{q_0}[\log p(x,g(\varepsilon))]", terms.joint)
    ratio = r"\mathbb{E}_{q_0}\!\left[\log\frac{q_0(\varepsilon)}{|\det J|\;p(g(\varepsilon)\mid x)}\right]"
    at, to = (f"({x:.2g}, {y:.2g})" for x, y in (told.noise, told.z))
    return [
        Line(f"Noise ε = {at} goes to z = {to}".replace("-", "−"), Term(_Q, told.log_q), "=",
             [("+", Term(_NOISE, told.log_noise)), ("-", Term(det, math.fsum(told.log_dets)))], error=AGREE),
        *_each(family, told),
        Line("On average: q’s entropy", entropy, "=", [("+", noise), ("+", mean)], error=sure),
        Line("So the ELBO needs only the way forth", elbo, "=", [("+", pushed), ("+", noise), ("+", mean)],
             error=sure),
        Line("The KL, over the noise", gap, "=", [("+", Term(ratio, terms.kl))]),
        Line("Its parts: log p(x) comes out", gap, "=", [("+", evidence), ("-", joint), ("-", entropy)],
             error=sure),
        *(line._replace(error=sure) for line in general(terms)[6:]),
    ]  # fmt: skip


def _det(family: Plane) -> str:
    if not isinstance(family, Stack):
        return r"\log|\det J|"
    return r"\textstyle\sum_l\log|\det J_l|"


def _each(family: Plane, told: Change) -> list[Line]:
    """Of a flow: every layer's part at that point."""
    if not isinstance(family, Stack) or len(told.log_dets) > 7:
        return []
    names = [*(rf"\log|\det J_{k}|" for k in range(1, len(told.log_dets))), r"\log s_x s_y"]
    parts = [("+", Term(name, value)) for name, value in zip(names, told.log_dets, strict=True)]
    return [Line("Layer by layer, at that point", Term(_det(family), math.fsum(told.log_dets)), "=", parts)]
