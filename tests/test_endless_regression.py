"""Where beta or lambda has no finite optimum the page says which, and never where there is one."""

import dataclasses

import numpy as np
import pytest
import torch

from lvmviz import EMRegression, EvidenceAscent, FixedPoint, Job, Polynomial, run
from lvmviz.linear_evidence import NO_TARGET, Precisions, decomposed, runaway
from lvmviz.summaries import regression


def evidence(data: Polynomial, beta: float, lambda_: float) -> float:
    """log p(y | X, beta, lambda) by the dense covariance of y."""
    x, y = data.problem()[:2]
    dense = x @ x.T / lambda_ + np.eye(len(y)) / beta
    return float(-0.5 * (y @ np.linalg.solve(dense, y) + np.linalg.slogdet(2.0 * np.pi * dense)[1]))


@pytest.mark.parametrize(("points", "degree", "seed"), [(5, 8, 0), (3, 2, 0), (4, 3, 0)])
def test_lambda_without_end_is_told_and_the_evidence_rises_with_it(points: int, degree: int, seed: int):
    data = Polynomial(points=points, degree=degree, seed=seed)
    trace = run(Job(EMRegression(data=data), steps=200))
    assert trace[-1].info.status == "climbing"  # only the rounds were over
    assert regression.endless(trace).startswith(
        "λ → ∞: the data say nothing of the weights; the best prior is a spike"
    )
    beta, lambda_ = (float(part) for part in trace[-1].state.theta)
    way = [evidence(data, beta, lambda_ * factor) for factor in np.geomspace(1.0, 1e8, 30)]
    assert (np.diff(way) > -1e-9).all() and way[-1] > way[0]


def test_beta_without_end_is_told_and_the_evidence_rises_with_it():
    data = Polynomial(points=3, degree=2, seed=1)
    trace = run(Job(EMRegression(data=data), steps=200))
    told = regression.endless(trace)
    assert told.startswith("β → ∞: the noise goes to 0: the polynomial passes through every point")
    beta, lambda_ = (float(part) for part in trace[-1].state.theta)
    way = [evidence(data, beta * factor, lambda_) for factor in np.geomspace(1.0, 1e8, 30)]
    assert (np.diff(way) > -1e-9).all() and way[-1] > way[0]


@pytest.mark.parametrize("update", [None, FixedPoint(), EvidenceAscent()])
@pytest.mark.parametrize(
    ("points", "degree", "seed"), [(30, 5, 0), (5, 8, 1), (10, 9, 0), (4, 3, 1), (20, 3, 2)]
)
def test_a_finite_optimum_never_passes_for_none(points: int, degree: int, seed: int, update):
    asked = EMRegression(data=Polynomial(points=points, degree=degree, seed=seed))
    asked = asked if update is None else dataclasses.replace(asked, update=update)
    for steps in (6, 40, 200):
        assert regression.endless(run(Job(asked, steps=steps))) == ""


def test_one_value_of_y_is_a_sentence_of_its_own():
    x = torch.from_numpy(np.random.default_rng(0).normal(size=(8, 2)))
    one = torch.ones((), dtype=torch.float64)
    assert runaway(Precisions(one, one), decomposed(x, torch.zeros(8, dtype=torch.float64))) == NO_TARGET
