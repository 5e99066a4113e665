"""Evidence, ELBO and KL: the numbers every page shows, in nats."""

from __future__ import annotations

from typing import NamedTuple


class Decomposition(NamedTuple):
    """The evidence and every term of the ELBO's presentations, all in nats, all sums over the same data.

    ELBO = joint + entropy = likelihood - kl_prior = log_evidence - kl.
    Each term is computed on its own; none is a difference of two others (note 000, "Different presentations
    of the ELBO"; note 004).
    """

    log_evidence: float  # log p(x)
    elbo: float  # E_q[log p(x, z) - log q(z)]
    kl: float  # KL(q(z) || p(z | x))
    joint: float  # E_q[log p(x, z)]
    entropy: float  # H(q)
    likelihood: float  # E_q[log p(x | z)]
    kl_prior: float  # KL(q(z) || p(z))
    error: float = 0.0  # how far any sum of these terms may be off: 0 where they are exact

    def per(self, count: float) -> Decomposition:
        """The same terms, and their error, per datum: every number divided by `count`."""
        return Decomposition(*(term / count for term in self))
