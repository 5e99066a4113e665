"""Families of q: densities with parameters that can be drawn from, evaluated and differentiated."""

from lvmviz.families.base import LOG_2PI, Family, Line
from lvmviz.families.flow import SinhArcsinh
from lvmviz.families.location_scale import Gaussian, LaplaceQ, LocationScale, StudentQ
from lvmviz.families.mixture import MixtureOf2

__all__ = [
    "LOG_2PI", "Family", "Gaussian", "LaplaceQ", "Line", "LocationScale", "MixtureOf2", "SinhArcsinh",
    "StudentQ",
]  # fmt: skip
