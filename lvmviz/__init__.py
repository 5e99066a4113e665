"""lvmviz: see latent variable models. The public names, and nothing else."""

__version__ = "0.1.0"

from lvmviz.algorithms.em import EM
from lvmviz.algorithms.vi import VI, best_fit
from lvmviz.core import Algorithm, Choice, choice, knob
from lvmviz.datasets import Blobs, CrossedEllipses, Dataset, Digits, Iris, Moons, Stored, ThreeInARow, Wine
from lvmviz.divergences import Decomposition
from lvmviz.families import Family, Gaussian, LaplaceQ, MixtureOf2, SinhArcsinh, StudentQ
from lvmviz.formula_targets import Formula
from lvmviz.gradients import Estimator, Exact, Reparameterized, ScoreFunction
from lvmviz.objectives import IWAE, ForwardKL, Objective, Renyi, ReverseKL
from lvmviz.optimizers import LBFGS, Adam, GradientAscent, NaturalGradient, Optimizer
from lvmviz.quadrature import decompose, log_evidence
from lvmviz.regularizers import Added, Floor, Regularizer
from lvmviz.runs.execute import run
from lvmviz.runs.job import Job, Snapshot, Trace
from lvmviz.starts import ByHand, KMeansPlusPlus, RandomPoints, Start
from lvmviz.targets import (
    Cauchy,
    ConjugateGaussian,
    EqualModes,
    Laplace,
    LogGamma,
    SigmoidDecoder,
    Skewed,
    Spike,
    Student,
    Target,
    TwoModes,
)

__all__ = [
    "Adam", "Added", "Algorithm", "Blobs", "ByHand", "Cauchy", "Choice", "ConjugateGaussian",
    "CrossedEllipses", "Dataset", "Decomposition", "Digits", "EM", "EqualModes", "Estimator", "Exact",
    "Family", "Floor", "Formula", "ForwardKL", "Gaussian", "GradientAscent", "IWAE", "Iris", "Job",
    "KMeansPlusPlus", "LBFGS", "Laplace", "LaplaceQ", "LogGamma", "MixtureOf2", "Moons",
    "NaturalGradient", "Objective", "Optimizer", "RandomPoints", "Regularizer", "Renyi",
    "Reparameterized", "ReverseKL", "ScoreFunction", "SigmoidDecoder", "SinhArcsinh", "Skewed",
    "Snapshot", "Spike", "Start", "Stored", "Student", "StudentQ", "Target", "ThreeInARow", "Trace",
    "TwoModes", "VI", "Wine", "best_fit", "choice", "decompose", "knob", "log_evidence", "run",
]  # fmt: skip
