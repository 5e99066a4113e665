"""lvmviz: see latent variable models. The public names, and nothing else."""

__version__ = "0.1.0"

from lvmviz.affine_noise import Affine, NoiseMap
from lvmviz.algorithms.amortized_vi import AmortizedVI, OneLatentDecoder
from lvmviz.algorithms.bayes_linreg import EMRegression
from lvmviz.algorithms.bernoulli_em import BernoulliEM
from lvmviz.algorithms.best_fit import best_fit
from lvmviz.algorithms.best_plane import best_gaussian_plane
from lvmviz.algorithms.brute_force import BruteForce
from lvmviz.algorithms.choose_components import ChooseComponents
from lvmviz.algorithms.ecm import ECM
from lvmviz.algorithms.em import EM
from lvmviz.algorithms.estimates import Estimates
from lvmviz.algorithms.gradient_ascents import GradientAscents
from lvmviz.algorithms.gradient_scatter import GradientScatter
from lvmviz.algorithms.linear_vae import TrainLinearVAE
from lvmviz.algorithms.mcem import MonteCarloEM
from lvmviz.algorithms.missing import MissingGaussianEM
from lvmviz.algorithms.ppca import PPCAEM
from lvmviz.algorithms.restarts import Restarts
from lvmviz.algorithms.swapped_linreg import SwappedRegression
from lvmviz.algorithms.vae import TrainVAE
from lvmviz.algorithms.variational_em import VariationalEM
from lvmviz.algorithms.vi import VI
from lvmviz.bernoulli_starts import BernoulliStart, BlurredImages, NearlyAlike
from lvmviz.core import Algorithm, Choice, choice, knob
from lvmviz.correlated import CorrelatedPair
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
from lvmviz.digit_pixels import DigitPixels
from lvmviz.divergences import Decomposition
from lvmviz.evidence import (
    Annealed,
    BinaryLatents,
    EvidenceEstimator,
    EvidenceModel,
    FromPrior,
    GaussianLatents,
    GroupedBound,
    Hamiltonian,
    ImportanceSampling,
    Kernel,
    Metropolis,
    NearPosterior,
    OneLatent,
    PlacedQ,
    Proposal,
    UniformBox,
)
from lvmviz.evidence_updates import EvidenceAscent, EvidenceUpdate, FixedPoint, Maximization
from lvmviz.factorized import coordinate_ascent, estimated_terms
from lvmviz.families import (
    AffineCoupling,
    Autoregressive,
    ComposedFlow,
    Family,
    Flow,
    FullRank,
    Gaussian,
    LaplaceQ,
    Layer,
    LinearLU,
    LinearQR,
    MeanField,
    MixtureOf2,
    MixtureQ,
    Planar,
    SinhArcsinh,
    StudentQ,
)
from lvmviz.font import font_digits, font_mixture
from lvmviz.formula_targets import Formula
from lvmviz.gaps import MAR, MCAR, AsGiven, Gaps
from lvmviz.gradients import (
    Estimator,
    Exact,
    GumbelSoftmax,
    Integrand,
    NormalELBO,
    Reparameterized,
    ScoreFunction,
    Square,
    StateSquare,
    StepUp,
    StickingTheLanding,
    StraightThrough,
    TargetELBO,
    Wiggly,
)
from lvmviz.image_sets import OpenML, StoredImages
from lvmviz.likelihoods import Bernoulli, ContinuousBernoulli, GaussianNoise, Likelihood
from lvmviz.missing_pixels import Completions, hidden_given_seen
from lvmviz.networks import MLP, Convolutional, LinearMap, Network
from lvmviz.objectives import IWAE, ForwardKL, Objective, Renyi, ReverseKL
from lvmviz.observations import DigitImages, Observations, Rows
from lvmviz.optimizers import (
    LBFGS,
    Adam,
    CoordinateAscent,
    GradientAscent,
    NaturalGradient,
    Optimizer,
)
from lvmviz.plane_formulas import Formula2D
from lvmviz.plane_targets import (
    Banana,
    Cauchy2D,
    CorrelatedGaussian,
    Donut,
    FarModes,
    Funnel,
    HardBanana,
    Student2D,
    ThreeModes,
)
from lvmviz.quadrature import decompose, log_evidence
from lvmviz.regression_targets import EightSchools, LogisticRegression
from lvmviz.regressions import DiabetesProgression, Polynomial, Regression, TableColumn
from lvmviz.regularizers import Added, Floor, Regularizer
from lvmviz.runs.execute import run
from lvmviz.runs.handle import submit
from lvmviz.runs.job import Job, Snapshot, Trace
from lvmviz.schemes import ExpectationMaximization, GeneralizedEM, KMeans, Scheme, SoftKMeans
from lvmviz.sigmoid import SigmoidModel
from lvmviz.sklearn_api import (
    PPCA,
    VAE,
    BayesianLinearRegression,
    BernoulliMixture,
    GaussianImputer,
    GaussianMixture,
)
from lvmviz.spectra import KnownSpectrum
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
    "Adam", "Added", "Affine", "AffineCoupling", "Algorithm", "AmortizedVI", "Annealed", "AsGiven",
    "Autoregressive", "Banana", "BayesianLinearRegression", "Bernoulli", "BernoulliEM", "BernoulliMixture",
    "BernoulliStart", "BinaryLatents", "Blobs", "BlurredImages", "BreastCancer", "BruteForce", "ByHand",
    "Cauchy", "Cauchy2D", "Choice", "ChooseComponents", "Completions", "ComposedFlow", "ConjugateGaussian",
    "ContinuousBernoulli", "Convolutional", "CoordinateAscent", "CorrelatedGaussian", "CorrelatedPair",
    "Covariance", "CrossedEllipses", "Dataset", "Decomposition", "Diabetes", "DiabetesProgression",
    "Diagonal", "DigitImages", "DigitPixels", "Digits", "Donut", "ECM", "EM", "EMRegression", "EightSchools",
    "EqualModes", "Estimates", "Estimator", "EvidenceAscent", "EvidenceEstimator", "EvidenceModel",
    "EvidenceUpdate", "Exact", "ExpectationMaximization", "Family", "FarModes", "FixedPoint", "Floor", "Flow",
    "Formula", "Formula2D", "ForwardKL", "FromPrior", "Full", "FullRank", "Funnel", "Gaps", "Gaussian",
    "GaussianImputer", "GaussianLatents", "GaussianMixture", "GaussianNoise", "GeneralizedEM",
    "GradientAscent", "GradientAscents", "GradientScatter", "GroupedBound", "GumbelSoftmax", "Hamiltonian",
    "HardBanana", "IWAE", "ImportanceSampling", "Integrand", "Iris", "Job", "KMeans", "KMeansPlusPlus",
    "Kernel", "KnownSpectrum", "LBFGS", "Laplace", "LaplaceQ", "Layer", "Likelihood", "LinearLU", "LinearMap",
    "LinearQR", "LogGamma", "LogisticRegression", "MAR", "MCAR", "MLP", "Maximization", "MeanField",
    "Metropolis", "MissingGaussianEM", "MixtureOf2", "MixtureQ", "MonteCarloEM", "Moons", "NaturalGradient",
    "NearPosterior", "NearlyAlike", "Network", "NoiseMap", "NormalELBO", "Objective", "Observations",
    "OneLatent", "OneLatentDecoder", "OpenML", "Optimizer", "PPCA", "PPCAEM", "Pinwheel", "PlacedQ", "Planar",
    "Polynomial", "Proposal", "RandomPoints", "Regression", "Regularizer", "Renyi", "Reparameterized",
    "Restarts", "ReverseKL", "Rings", "Rows", "Scheme", "ScoreFunction", "SigmoidDecoder", "SigmoidModel",
    "SinhArcsinh", "Skewed", "Snapshot", "SoftKMeans", "Spherical", "Spike", "Square", "Start", "StateSquare",
    "StepUp", "StickingTheLanding", "Stored", "StoredImages", "StraightThrough", "Student", "Student2D",
    "StudentQ", "SwappedRegression", "SwissRoll", "TableColumn", "Target", "TargetELBO", "ThreeInARow",
    "ThreeModes", "Tied", "Trace", "TrainLinearVAE", "TrainVAE", "TwoModes", "UniformBox", "VAE", "VI",
    "VariationalEM", "Wiggly", "Wine", "best_fit", "best_gaussian_plane", "choice", "coordinate_ascent",
    "decompose", "estimated_terms", "font_digits", "font_mixture", "hidden_given_seen", "knob",
    "log_evidence", "run", "submit",
]  # fmt: skip
