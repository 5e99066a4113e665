"""A part of q that is narrower than numbers near it are apart: no node meets it, and that must be said."""

import math

import pytest
import torch

from lvmviz import VI, Job, ReverseKL, decompose, run
from lvmviz.algorithms.vi import roof
from lvmviz.families import MixtureOf2
from lvmviz.targets import Skewed

WIDE = [0.0, -0.6, 0.6, -0.2, -0.2]  # logit weight, two means, two log sds


@pytest.mark.parametrize("log_sd", [-30.0, -36.0, -40.0])
def test_what_the_nodes_miss_is_in_the_error(log_sd):
    told = decompose(Skewed(), MixtureOf2(), (*WIDE[:3], log_sd, WIDE[4]))
    assert told.error >= abs(told.log_evidence - told.elbo - told.kl) > 0.1


@pytest.mark.parametrize("log_sd", [0.0, -4.0, -9.0, -20.0])
def test_what_the_nodes_see_is_told_without_that(log_sd):
    told = decompose(Skewed(), MixtureOf2(), (*WIDE[:3], log_sd, WIDE[4]))
    assert abs(told.log_evidence - told.elbo - told.kl) <= told.error < 1e-4


def test_no_start_climbs_above_the_evidence():
    """An ELBO above log p(x) is a mistake of the nodes: such a start is given up, not told as the best."""
    phi = (*WIDE[:3], -40.0, WIDE[4])
    seen = float(ReverseKL().value(Skewed(), MixtureOf2(), torch.tensor([phi], dtype=torch.float64))[0])
    assert seen > roof(Skewed(), ReverseKL()) + 0.1, "the nodes do miss it"
    with pytest.raises(ValueError, match="infinite or undefined"):
        run(Job(VI(target=Skewed(), family=MixtureOf2(), phi=phi, starts=1), steps=1))
    last = run(Job(VI(target=Skewed(), family=MixtureOf2(), starts=8), steps=60))[-1].info
    assert last.best <= roof(Skewed(), ReverseKL()) + 1e-6 and math.isfinite(last.best)
