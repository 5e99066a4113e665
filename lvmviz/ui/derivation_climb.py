"""Why EM's relatives climb, or do not: the chain of bounds over one M-step, with its values."""

from __future__ import annotations

from lvmviz.runs.job import Trace
from lvmviz.schemes import Scheme
from lvmviz.summaries.relatives import Estimate
from lvmviz.ui.derivation import Line, Term
from lvmviz.ui.derivation_em import lines as of_em

_NEW, _OLD = r"\theta{\theta^{\text{new}}}", r"\theta{\theta^{\text{old}}}"


def lines(trace: Trace, index: int, scheme: Scheme, estimate: Estimate | None = None) -> list[Line]:
    """The lines of EM, then those of the M-step at or after a snapshot; sums over all points, in nats."""
    info = trace[index].info
    made = of_em(info._replace(moved="start" if info.moved == "start" else info.moved[0]), scheme)
    return [*made, *_climb(trace, index), *_noise(estimate)]


def _climb(trace: Trace, index: int) -> list[Line]:
    moves = [i for i in range(1, len(trace)) if trace[i].info.moved[0] == "M"]
    if not moves:
        return []
    at = next((i for i in moves if i >= index), moves[-1])
    now, before = trace[at].info, trace[at - 1].info
    where = f"Iteration {now.iteration}, {now.moved}"
    new, old = (
        Term(rf"\p{{\mathcal{{L}}(\q{{q}},{_NEW})}}", now.elbo),
        Term(rf"\p{{\mathcal{{L}}(\q{{q}},{_OLD})}}", before.elbo),
    )
    rise = Term(r"\text{rise}", now.elbo - before.elbo)
    new_gap = Term(rf"\kl{{\mathrm{{KL}}(q\,\|\,p(Z\mid X,{_NEW}))}}", now.kl)
    old_gap = Term(rf"\kl{{\mathrm{{KL}}(q\,\|\,p(Z\mid X,{_OLD}))}}", before.kl)
    closed = "E had closed the gap" if abs(before.kl) < 1e-6 else "E had left this gap"
    return [
        Line(f"{where}: the bound holds for any θ", Term(rf"\p{{\log p(X\mid{_NEW})}}", now.log_lik), ">=",
             [("+", new)], new_gap),
        Line(f"{where}: any θ that lifts the ELBO will do", new, ">=", [("+", old)], rise),
        Line(f"{closed}: so log p rises by the rise, and more", old, "=",
             [("+", Term(rf"\p{{\log p(X\mid{_OLD})}}", before.log_lik)), ("-", old_gap)]),
    ]  # fmt: skip


def _noise(estimate: Estimate | None) -> list[Line]:
    """The estimate as the exact expectation and what the draws add."""
    if estimate is None or estimate.exact != estimate.exact:
        return []
    value, error, exact = estimate
    return [
        Line(f"Draws: an average, per point, with standard error {error:.4f}",
             Term(r"\q{\tfrac1M\sum_m}\log p(X,\q{Z^{(m)}}\mid\theta{\theta})/N", value), "=",
             [("+", Term(r"\mathbb{E}_{p(Z\mid X)}[\log p(X,Z\mid\theta{\theta})]/N", exact)),
              ("+", Term(r"\text{noise}", value - exact))]),
    ]  # fmt: skip
