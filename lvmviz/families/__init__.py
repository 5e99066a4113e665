"""Families of q: densities with parameters that can be drawn from, evaluated and differentiated."""

from lvmviz.families.base import LOG_2PI, Family, Line
from lvmviz.families.flow import SinhArcsinh
from lvmviz.families.flows import (
    AffineCoupling,
    Autoregressive,
    ComposedFlow,
    Flow,
    Layer,
    LinearLU,
    LinearQR,
    Planar,
    Stack,
)
from lvmviz.families.location_scale import Gaussian, LaplaceQ, LocationScale, StudentQ
from lvmviz.families.mixture import MixtureOf2
from lvmviz.families.plane import Ellipse, Frame, Frames, Plane, ellipse, frame_of
from lvmviz.families.plane_gaussian import FullRank, MeanField, PlaneGaussian
from lvmviz.families.plane_mixture import MixtureQ

__all__ = [
    "AffineCoupling", "Autoregressive", "ComposedFlow", "Ellipse", "Family", "Flow", "Frame", "Frames",
    "FullRank", "Gaussian", "LOG_2PI", "LaplaceQ", "Layer", "Line", "LinearLU", "LinearQR", "LocationScale",
    "MeanField", "MixtureOf2", "MixtureQ", "Planar", "Plane", "PlaneGaussian", "SinhArcsinh", "Stack",
    "StudentQ", "ellipse", "frame_of",
]  # fmt: skip
