"""Flows in the plane as q: a Gaussian, bent by layer after layer."""

from lvmviz.families.flows.autoregressive import Autoregressive
from lvmviz.families.flows.coupling import AffineCoupling
from lvmviz.families.flows.flow import ComposedFlow, Flow, Stack
from lvmviz.families.flows.layer import Layer
from lvmviz.families.flows.linear_lu import LinearLU
from lvmviz.families.flows.linear_qr import LinearQR
from lvmviz.families.flows.planar import Planar

__all__ = [
    "AffineCoupling", "Autoregressive", "ComposedFlow", "Flow", "Layer", "LinearLU", "LinearQR", "Planar",
    "Stack",
]  # fmt: skip
