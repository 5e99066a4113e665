"""lvmviz: see latent variable models. The public names, and nothing else."""

__version__ = "0.1.0"

from lvmviz.algorithms.best_fit import best_fit
from lvmviz.algorithms.em import EM
from lvmviz.algorithms.vae import TrainVAE
from lvmviz.algorithms.vi import VI
from lvmviz.core import Algorithm, Choice, choice, knob
from lvmviz.covariances import Covariance, Diagonal, Full, Spherical, Tied
from lvmviz.datasets import (
    Blobs,
    BreastCancer,
    CrossedEllipses,
    Dataset,
    Diabetes,
    Digits,
    Iris,
    Moons,
    Stored,
    ThreeInARow,
    Wine,
)
from lvmviz.divergences import Decomposition
from lvmviz.families import Family, Gaussian, LaplaceQ, MixtureOf2, SinhArcsinh, StudentQ
from lvmviz.formula_targets import Formula
from lvmviz.gradients import Estimator, Exact, Reparameterized, ScoreFunction, StickingTheLanding
from lvmviz.image_sets import OpenML, StoredImages
from lvmviz.likelihoods import Bernoulli, ContinuousBernoulli, GaussianNoise, Likelihood
from lvmviz.networks import MLP, Convolutional, LinearMap, Network
from lvmviz.objectives import IWAE, ForwardKL, Objective, Renyi, ReverseKL
from lvmviz.observations import DigitImages, Observations, Rows
from lvmviz.optimizers import LBFGS, Adam, GradientAscent, NaturalGradient, Optimizer
from lvmviz.quadrature import decompose, log_evidence
from lvmviz.regularizers import Added, Floor, Regularizer
from lvmviz.runs.execute import run
from lvmviz.runs.handle import submit
from lvmviz.runs.job import Job, Snapshot, Trace
from lvmviz.schemes import ExpectationMaximization, GeneralizedEM, KMeans, Scheme, SoftKMeans
from lvmviz.sigmoid import SigmoidModel
from lvmviz.sklearn_api import VAE, BernoulliMixture, GaussianMixture
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
from lvmviz.toys import Pinwheel, Rings, SwissRoll

__all__ = [
    "Adam", "Added", "Algorithm", "Bernoulli", "BernoulliMixture", "Blobs", "BreastCancer", "ByHand",
    "Cauchy", "Choice",
    "ConjugateGaussian", "ContinuousBernoulli", "Convolutional", "Covariance", "CrossedEllipses",
    "Dataset", "Decomposition", "Diabetes", "Diagonal", "DigitImages", "Digits", "EM", "EqualModes",
    "Estimator", "Exact", "ExpectationMaximization", "Family", "Floor", "Formula", "ForwardKL", "Full",
    "Gaussian", "GaussianMixture", "GaussianNoise", "GeneralizedEM", "GradientAscent", "IWAE", "Iris", "Job",
    "KMeans", "KMeansPlusPlus", "LBFGS", "Laplace", "LaplaceQ", "Likelihood", "LinearMap", "LogGamma", "MLP",
    "MixtureOf2", "Moons", "NaturalGradient", "Network", "Objective", "Observations", "OpenML",
    "Optimizer", "Pinwheel", "RandomPoints", "Regularizer", "Renyi", "Reparameterized", "ReverseKL",
    "Rings", "Rows", "Scheme", "ScoreFunction", "SigmoidDecoder", "SigmoidModel", "SinhArcsinh", "Skewed",
    "Snapshot", "SoftKMeans", "Spherical", "Spike", "Start", "StickingTheLanding", "Stored",
    "StoredImages", "Student", "StudentQ", "SwissRoll", "Target", "ThreeInARow", "Tied", "Trace",
    "TrainVAE", "TwoModes", "VAE", "VI", "Wine", "best_fit", "choice", "decompose", "knob",
    "log_evidence", "run", "submit",
]  # fmt: skip
