"""lvmviz: see latent variable models. The public names, and nothing else."""

__version__ = "0.1.0"

from lvmviz.algorithms.em import EM
from lvmviz.core import Algorithm, Choice, choice, knob
from lvmviz.datasets import Blobs, CrossedEllipses, Dataset, Digits, Iris, Moons, Stored, ThreeInARow, Wine
from lvmviz.divergences import Decomposition
from lvmviz.regularizers import Added, Floor, Regularizer
from lvmviz.runs.execute import run
from lvmviz.runs.job import Job, Snapshot, Trace
from lvmviz.starts import ByHand, KMeansPlusPlus, RandomPoints, Start

__all__ = [
    "EM", "Added", "Algorithm", "Blobs", "ByHand", "Choice", "CrossedEllipses", "Dataset", "Decomposition",
    "Digits", "Floor", "Iris", "Job", "KMeansPlusPlus", "Moons", "RandomPoints", "Regularizer", "Snapshot",
    "Start", "Stored", "ThreeInARow", "Trace", "Wine", "choice", "knob", "run",
]  # fmt: skip
