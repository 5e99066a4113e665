"""Evidence, ELBO and KL: the numbers every page shows, in nats."""

from __future__ import annotations

from typing import NamedTuple


class Decomposition(NamedTuple):
    """The evidence and every term of the ELBO's presentations, all in nats, all sums over the same data.

    ELBO = joint + entropy = likelihood - kl_prior = log_evidence - kl.
    On the line and over data each term is computed on its own; none is a difference of two others. In the
    plane the ELBO, the entropy and kl_prior are averages over the same nodes, and joint and likelihood are
    sums of these; kl is an integral of its own, by a rule that shares no node with the ELBO's, so that
    ELBO + KL = log p(x) is seen, not assumed (note 000, "Different presentations of the ELBO"; note 004).
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
