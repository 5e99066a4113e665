"""Estimating log p(x): models where it is known, proposals, weights, and what they are worth."""

from lvmviz.evidence.annealed import Annealed, Hamiltonian, Kernel, Metropolis
from lvmviz.evidence.estimators import EvidenceEstimator, GroupedBound, ImportanceSampling
from lvmviz.evidence.models import BinaryLatents, EvidenceModel, GaussianLatents, OneLatent
from lvmviz.evidence.pareto import khat
from lvmviz.evidence.proposals import FromPrior, NearPosterior, PlacedQ, Proposal, UniformBox

__all__ = [
    "Annealed", "BinaryLatents", "EvidenceEstimator", "EvidenceModel", "FromPrior", "GaussianLatents",
    "GroupedBound", "Hamiltonian", "ImportanceSampling", "Kernel", "Metropolis", "NearPosterior", "OneLatent",
    "PlacedQ", "Proposal", "UniformBox", "khat",
]  # fmt: skip
