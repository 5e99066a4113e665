"""The page Fit q in one dimension without a browser: its numbers, the hand, the formula, the words."""

import contextlib
import dataclasses
import io
import json
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from streamlit.testing.v1 import AppTest

from lvmviz import (
    IWAE,
    LBFGS,
    VI,
    Cauchy,
    ConjugateGaussian,
    EqualModes,
    Formula,
    ForwardKL,
    Gaussian,
    GradientAscent,
    Job,
    Laplace,
    LaplaceQ,
    LogGamma,
    MixtureOf2,
    Objective,
    Renyi,
    Reparameterized,
    ReverseKL,
    ScoreFunction,
    SinhArcsinh,
    Skewed,
    Spike,
    Student,
    StudentQ,
    Target,
    Trace,
    TwoModes,
    decompose,
    run,
)
from lvmviz.core import each
from lvmviz.families import Line
from lvmviz.figures.theme import tokens
from lvmviz.figures.thermometer import labels
from lvmviz.quadrature import forward_kl
from lvmviz.summaries import fit as summaries
from lvmviz.summaries.fit import Place
from lvmviz.ui import fit, fit_end, fit_films, fit_numbers
from lvmviz.ui.code import spelled
from lvmviz.ui.derivation import agrees, latex
from lvmviz.ui.derivation_vi import lines
from lvmviz.ui.runs import page_of
from tests.widgets import control, sound

PAGE = Path(__file__).parents[1] / "pages" / "02_fit_q_1d.py"
STUDENTS = [StudentQ(df=df) for df in (1.0, 1.5, 2.0, 2.5, 30.0)]
ONE_CURVE: tuple[Line, ...] = (Gaussian(), LaplaceQ(), *STUDENTS)
FAMILIES: tuple[Line, ...] = (*ONE_CURVE, MixtureOf2(), SinhArcsinh())
FAR = [Spike(centre=30.0), Spike(centre=30.0, sd=0.2), Student(df=1.0), LogGamma(shape=0.2)]
LINES = [target for target in each(Target) if target.dim == 1]
TARGETS = [*LINES, *FAR]
over_families = pytest.mark.parametrize("family", FAMILIES, ids=repr)
over_targets = pytest.mark.parametrize("target", TARGETS, ids=repr)
MEANS, SDS = st.floats(-40, 40), st.floats(0.005, 40)
CDF = {
    Cauchy(): stats.cauchy.cdf,
    Student(): stats.t(3).cdf,
    Student(df=1.0): stats.cauchy.cdf,
    Laplace(): stats.laplace.cdf,
    Spike(): stats.norm(0, 0.02).cdf,
    Spike(centre=30.0): stats.norm(30, 0.02).cdf,
    LogGamma(): stats.loggamma(3).cdf,
    Skewed(): lambda z: 0.7 * stats.norm.cdf(z, 1.6, 1.2) + 0.3 * stats.norm.cdf(z, 3.6, 1.6),
    EqualModes(): lambda z: 0.5 * stats.norm.cdf(z, -2.5, 0.8) + 0.5 * stats.norm.cdf(z, 2.5, 0.8),
}


def by_scipy(family: Line, phi: np.ndarray, z: np.ndarray) -> np.ndarray:
    """q(z) from SciPy's densities and, for the flow, from Jones and Pewsey's formula."""
    if isinstance(family, MixtureOf2):
        weight = 1 / (1 + math.exp(-phi[0]))
        parts = [stats.norm.pdf(z, phi[i], math.exp(phi[i + 2])) for i in (1, 2)]
        return weight * parts[0] + (1 - weight) * parts[1]
    loc, scale = phi[0], math.exp(phi[1])
    if isinstance(family, StudentQ):
        return stats.t.pdf(z, family.df, loc, scale)
    if isinstance(family, SinhArcsinh):
        x, tail = (z - loc) / scale, math.exp(phi[3])
        angle = tail * np.arcsinh(x) - phi[2]
        return stats.norm.pdf(np.sinh(angle)) * tail * np.cosh(angle) / np.hypot(1, x) / scale
    return (stats.laplace if isinstance(family, LaplaceQ) else stats.norm).pdf(z, loc, scale)


def some_phi(family: Line, mean: float = 1.3, sd: float = 0.7) -> torch.Tensor:
    if isinstance(family, MixtureOf2):
        return summaries.phi_at(family, [Place(mean, sd), Place(mean + 3, 2 * sd)], [0.3])
    return summaries.phi_at(family, [Place(mean, sd)], [0.6, -0.2] if isinstance(family, SinhArcsinh) else ())


# ---- places ----


@over_families
@settings(max_examples=20)
@given(mean=MEANS, sd=SDS)
def test_a_place_is_where_its_q_stands(family, mean, sd):
    place, flow = Place(mean, sd), isinstance(family, SinhArcsinh)
    if isinstance(family, MixtureOf2):
        phi = summaries.phi_at(family, [place, place], [0.3])  # both parts there: so is the whole
    else:
        phi = summaries.phi_at(family, [place], [0.0, 0.0] if flow else ())
    assert summaries.places(family, phi) == pytest.approx([mean, sd], rel=1e-10, abs=1e-10)


@over_families
def test_the_unit_is_the_scale_of_sd_one(family):
    phi = summaries.phi_at(family, [Place(0.0, 1.0)] * (2 if isinstance(family, MixtureOf2) else 1), [0.5]
                           if isinstance(family, MixtureOf2) else ())  # fmt: skip
    (*_, bell) = summaries.bells(family, phi[None])
    assert bell.places[0, 1] == pytest.approx(summaries.unit(family), rel=1e-12)


def test_a_place_is_a_mean_and_an_sd_where_q_is_set_by_these():
    words = [summaries.place_names(family) for family in (Gaussian(), LaplaceQ(), MixtureOf2(), StudentQ())]
    assert set(words) == {("mean", "sd")}
    for family in (StudentQ(df=1.0), StudentQ(df=2.0), SinhArcsinh()):
        assert summaries.place_names(family) == ("centre", "width")
    flow = summaries.phi_at(SinhArcsinh(), [Place(-1.9, 0.8)], [2.0, -1.0])  # its mean is 800 sds away
    assert summaries.places(SinhArcsinh(), flow) == pytest.approx([-1.9, 0.8], rel=1e-12)


@pytest.mark.parametrize(
    ("link", "words"),
    [
        ({}, ("mean", "sd")),
        ({"target": "Cauchy", "family": "StudentQ", "family.df": "1"}, ("centre", "width")),
        (
            {"target": "SigmoidDecoder", "family": "SinhArcsinh", "skew": "2", "tail": "-1"},
            ("centre", "width"),
        ),
    ],
)
def test_slider_picture_head_and_axes_call_a_place_the_same(link, words):
    app = page(**link)
    across, wide = words
    place = slid(app, f"{across.capitalize()} of q"), slid(app, f"{wide.capitalize()} of q")
    assert any(text.value.startswith(f"**ELBO over {across} and {wide} of q**") for text in app.markdown)
    family = next(one.value for one in app.selectbox if one.label == "Family of q")
    target = next(one.value for one in app.selectbox if one.label == "Posterior")
    made, on = Line.options[family](**({"df": 1.0} if family == "StudentQ" else {})), Target.options[target]()
    film = fit_films.picture(on, made, summaries.phi_at(made, [Place(*place)], [2.0, -1.0] if "skew" in link
                             else ())[None], [1.0], None, False, False).film  # fmt: skip
    told = f"{across} {place[0]:.2f}, {wide} {place[1]:.2f}".replace("-", "−")
    assert any(told in note.text for note in film.at(0).layout.annotations)
    layout = fit_films.landscape(on, made, None, False).figure.layout
    assert (layout.xaxis.title.text, layout.yaxis.title.text) == (f"{across} of q", f"{wide} of q")


def test_moments_of_a_mixture_and_a_flow_are_integrals_of_their_densities():
    for family in (MixtureOf2(), SinhArcsinh()):
        phi = some_phi(family)
        z = np.linspace(-60, 80, 200_001)
        q = by_scipy(family, phi.numpy(), z)
        mean = np.trapezoid(q * z, z)
        sd = math.sqrt(np.trapezoid(q * (z - mean) ** 2, z))
        assert torch.stack(family.mean_sd(phi)).numpy() == pytest.approx([mean, sd], rel=1e-6)
    assert summaries.places(MixtureOf2(), some_phi(MixtureOf2())) == pytest.approx(
        torch.stack(MixtureOf2().mean_sd(some_phi(MixtureOf2()))).numpy(), rel=1e-12
    )


# ---- bells ----


@over_families
def test_bells_are_the_densities_in_every_frame(family):
    phis = torch.stack([some_phi(family, mean, sd) for mean, sd in ((1.3, 0.7), (-8.0, 3.0), (0.1, 0.02))])
    if isinstance(family, SinhArcsinh):
        phis[:, 2:] = torch.tensor([[0.6, -0.2], [-1.5, 0.4], [0.0, 0.0]])  # the shape changes too
    made = summaries.bells(family, phis)
    for t, phi in enumerate(phis.numpy()):
        for k, bell in enumerate(made):
            u, v = (part if part.ndim == 1 else part[t] for part in (bell.u, bell.v))
            loc, scale, height = bell.places[t]
            x, y = loc + scale * u, height * v / scale
            if isinstance(family, MixtureOf2):
                share = (1 / (1 + math.exp(-phi[0]))) if k == 0 else 1 - 1 / (1 + math.exp(-phi[0]))
                truth = share * stats.norm.pdf(x, phi[1 + k], math.exp(phi[3 + k]))
            else:
                truth = by_scipy(family, phi, x)
            assert y == pytest.approx(truth, rel=1e-8, abs=1e-12)
            assert (np.diff(x) >= 0).all()


def test_a_bell_of_one_curve_is_sent_once():
    for family in ONE_CURVE:
        (bell,) = summaries.bells(family, torch.stack([some_phi(family), some_phi(family, 4.0, 2.0)]))
        assert bell.u.ndim == bell.v.ndim == 1 and bell.places.shape == (2, 3)


# ---- the picture ----


@over_targets
def test_the_posterior_integrates_to_its_mass_in_the_picture(target):
    low, high = summaries.extent(target)
    assert low < high
    phi = summaries.phi_at(Gaussian(), [fit.first_place(target)])
    shown = summaries.picture(target, Gaussian(), phi[None])
    assert (shown.z[0], shown.z[-1]) == (low, high)
    cdf = CDF.get(target)
    mass = 1.0 if cdf is None else cdf(high) - cdf(low)
    assert mass > 0.98
    assert np.trapezoid(shown.posterior, shown.z) == pytest.approx(mass, abs=5e-4)


@pytest.mark.parametrize("target", [Skewed(), TwoModes(), Spike(centre=30.0), Formula()], ids=repr)
@pytest.mark.parametrize("family", [Gaussian(), LaplaceQ(), MixtureOf2(), SinhArcsinh()], ids=repr)
def test_q_integrates_to_one_and_the_integrand_to_the_kl(target, family):
    phi = summaries.best_fit(target, family)
    phis = torch.stack([phi, phi])
    phis[1, 1 if not isinstance(family, MixtureOf2) else 3] -= 0.4  # narrower
    shown = summaries.picture(target, family, phis)
    for t in range(2):
        assert np.trapezoid(shown.q[t], shown.z) == pytest.approx(1, abs=2e-3)
        assert shown.q[t] == pytest.approx(by_scipy(family, phis[t].numpy(), shown.z), rel=1e-8, abs=1e-12)
        kl = decompose(target, family, phis[t]).kl
        assert np.trapezoid(shown.integrand[t], shown.z) == pytest.approx(kl, abs=5e-3)


@pytest.mark.parametrize("target", [Skewed(), Cauchy(), Spike(centre=30.0), Formula()], ids=repr)
@pytest.mark.parametrize("family", [Gaussian(), StudentQ(), MixtureOf2(), SinhArcsinh()], ids=repr)
def test_the_hills_are_the_elbo(target, family):
    means, sds, elbo = summaries.hills(target, family)
    assert elbo.shape == (len(sds), len(means))
    for i, j in ((20, 30), (12, 25), (35, 33), (28, 40)):
        phi = family.at(*(torch.tensor(part, dtype=torch.float64) for part in (means[j], sds[i])))
        exact = decompose(target, family, phi).elbo
        assert elbo[i, j] == pytest.approx(exact, rel=2e-3, abs=2e-3)


# ---- the best ----


@over_targets
def test_the_best_gaussian_is_in_the_picture_and_no_neighbour_beats_it(target):
    place, kl = summaries.best(target, Gaussian())
    ends = fit.range_of(target)
    assert ends.low < place.mean < ends.high and ends.least < place.sd < ends.most
    for mean, sd in (
        (place.mean + 0.1 * place.sd, place.sd),
        (place.mean, 1.1 * place.sd),
        (place.mean, 0.9 * place.sd),
    ):
        assert decompose(target, Gaussian(), [mean, math.log(sd)]).kl > kl - 1e-20
    first = summaries.phi_at(Gaussian(), [fit.first_place(target)])
    assert 0 <= kl <= decompose(target, Gaussian(), first).kl + 1e-20


def test_the_best_in_closed_form():
    for target, place in (
        (Spike(centre=30.0), (30.0, 0.02)),
        (ConjugateGaussian(), ConjugateGaussian().posterior()),
        (Formula(expression="-(z - 7)**2"), (7.0, math.sqrt(0.5))),
    ):
        found, kl = summaries.best(target, Gaussian())
        assert tuple(found) == pytest.approx(place, rel=1e-7) and kl == pytest.approx(0, abs=1e-12)


def test_single_numbers():
    phi = summaries.phi_at(Gaussian(), [Place(2.0, math.sqrt(2.0))])
    numbers = summaries.numbers(Skewed(), Gaussian(), phi)
    cdf = CDF[Skewed()]
    reach = stats.norm.ppf(0.95) * math.sqrt(2.0)
    assert float(numbers.coverage) == pytest.approx(cdf(2 + reach) - cdf(2 - reach), abs=1e-10)
    assert numbers.terms.log_evidence == pytest.approx(-3.2, abs=1e-10) == summaries.evidence(Skewed())
    mean, sd = summaries.posterior_moments(Skewed())
    assert (mean, sd) == pytest.approx((2.2, math.sqrt(0.7 * 1.44 + 0.3 * 2.56 + 0.21 * 4)), rel=1e-9)
    assert all(math.isnan(part) for part in summaries.posterior_moments(Cauchy()))


# ---- the hand ----


def hand_page() -> None:
    import streamlit as st

    from lvmviz import Gaussian, Skewed, Target
    from lvmviz.core import Knob
    from lvmviz.families import Family
    from lvmviz.figures.fit import Bell
    from lvmviz.formula_targets import Formula
    from lvmviz.summaries import fit as summaries
    from lvmviz.ui import Controls, fit, state
    from lvmviz.ui.fit_formula import own_formula

    state.enter()
    state.begin("hand")
    controls = Controls(st.container(), st.container(), {Formula: own_formula})
    target = controls.choose(Target, "target", Skewed(), Knob(label="Posterior"))
    family = controls.choose(Family, "family", Gaussian(), Knob(label="Family"))
    q = fit.sliders(controls, target, family)
    bells = [Bell(*bell) for bell in summaries.bells(family, q.phi[None])]
    made = fit.hand(q, bells, list(range(3, 3 + len(bells))))
    fit.fit_buttons()
    st.button("hand", key="hand", on_click=fit.dragged(family))
    st.button("jump", key="jump", on_click=fit.jump(q))
    st.button("step", key="step", on_click=state.place, args=(state.POSITION, "7"))
    state.finish()
    st.button("undo", key="undo", on_click=state.undo, disabled=not state.can_undo())
    st.session_state["told"] = {
        "hand": made.data(), "fitted": fit.fitted(), "phi": q.phi.tolist(), "undo": state.can_undo(),
        "problems": list(state.problems()), "target": repr(target), "range": tuple(fit.range_of(target)),
    }  # fmt: skip


def opened(**link: str) -> AppTest:
    app = AppTest.from_function(hand_page, default_timeout=60)
    app.query_params.update(link)
    return sound(app.run())


def url(app: AppTest) -> dict[str, str]:
    return {name: text[0] if isinstance(text, list) else text for name, text in app.query_params.items()}


def told(app: AppTest) -> dict[str, Any]:
    return app.session_state["told"]


def drag(app: AppTest, *places: tuple[float, float], settled: bool, request: int = 1) -> AppTest:
    """What the browser sends."""
    taken = [list(place) for place in places]
    app.session_state["plot_picture"] = {"hand": {"places": taken, "request": request, "settled": settled}}
    return sound(app.button(key="hand").click().run())


def slider(app: AppTest, name: str) -> float:
    return control(app, name).value


def test_sliders_follow_the_hand_and_the_link_follows_when_it_rests():
    app = opened()
    for i, mean in enumerate((1.5, 1.0, 0.5), 1):
        drag(app, (mean, 1.2), settled=False, request=i)
        assert (slider(app, "mean"), slider(app, "sd")) == (mean, 1.2)
        assert url(app) == {} and not told(app)["undo"]
        assert told(app)["phi"] == pytest.approx([mean, math.log(1.2)])
        assert told(app)["hand"]["answers"] == i
    drag(app, (0.25, 1.2), settled=True, request=4)
    assert url(app) == {"mean": "0.25", "sd": "1.2", "v": "1"}
    sound(app.button(key="undo").click().run())  # one step, however long the drag
    assert url(app) == {} and (slider(app, "mean"), slider(app, "sd")) == (2.0, 1.4142)
    assert not told(app)["undo"]


def test_two_drags_are_two_steps():
    app = opened()
    for mean in (1.0, -1.0):
        drag(app, (mean + 0.5, 1.0), settled=False)
        drag(app, (mean, 1.0), settled=True)
    sound(app.button(key="undo").click().run())
    assert slider(app, "mean") == 1.0 and told(app)["undo"]
    sound(app.button(key="undo").click().run())
    assert slider(app, "mean") == 2.0 and not told(app)["undo"]


def test_the_hand_is_held_within_the_sliders():
    app = opened()
    low, high, least, most = told(app)["range"]
    drag(app, (1e6, 1e-9), settled=True)
    assert (slider(app, "mean"), slider(app, "sd")) == (high, least)
    drag(app, (-1e6, 1e9), settled=True)
    assert (slider(app, "mean"), slider(app, "sd")) == (low, most)


@pytest.mark.parametrize("settled", [True, False])
def test_the_hand_leaves_a_fit(settled):
    app = opened(fitted="1")
    sound(app.button(key="step").click().run())
    assert told(app)["fitted"] and url(app) == {"fitted": "1", "step": "7", "v": "1"}
    drag(app, (1.0, 1.0), settled=settled)
    assert not told(app)["fitted"]
    drag(app, (1.0, 1.0), settled=True)
    assert url(app) == {"mean": "1", "sd": "1", "v": "1"}


@pytest.mark.parametrize("name", ["StudentQ", "LaplaceQ", "SinhArcsinh"])
def test_the_hand_speaks_in_scales_and_the_sliders_in_sds(name):
    app = opened(family=name, mean="1", sd="2")
    (curve,) = told(app)["hand"]["shapes"]
    loc, scale, height = curve["places"][0]
    drag(app, (loc, scale), settled=True)
    assert (slider(app, "mean"), slider(app, "sd")) == pytest.approx((1.0, 2.0), rel=1e-4)


def test_a_mixture_has_four_handles_and_two_places():
    app = opened(family="MixtureOf2", target="TwoModes")
    made = told(app)["hand"]
    assert [shape["lines"][0]["trace"] for shape in made["shapes"]] == [3, 4]
    assert [(h["shape"], h["moves"]) for h in made["handles"]] == [
        (0, "loc"), (0, "scale"), (1, "loc"), (1, "scale"),
    ]  # fmt: skip
    drag(app, (-3.0, 0.7), (2.0, 1.2), settled=True)
    assert [slider(app, name) for name in ("mean", "sd", "mean2", "sd2")] == [-3.0, 0.7, 2.0, 1.2]
    drag(app, (-3.0, 0.7), (99.0, 99.0), settled=True)
    _, high, _, most = told(app)["range"]
    assert [slider(app, name) for name in ("mean2", "sd2")] == [high, most]


def test_handles_stand_on_the_curve_and_have_the_colour_of_q():
    made = told(opened(mean="1", sd="2"))["hand"]
    centre, width = made["handles"]
    assert centre["at"] == pytest.approx((0.0, stats.norm.pdf(0)), rel=1e-3)
    assert width["at"] == pytest.approx((1.0, stats.norm.pdf(1)), rel=0.02)
    assert {centre["colour"], width["colour"]} == {tokens(False).q_mark}
    json.dumps(made, allow_nan=False)


def test_a_click_on_the_landscape_puts_q_there_and_leaves_a_fit():
    app = opened(fitted="1")
    app.session_state["plot_landscape"] = {"spot": {"x": 3.14159, "y": 0.77777}}
    sound(app.button(key="jump").click().run())
    assert url(app) == {"mean": "3.1416", "sd": "0.77777", "v": "1"}
    app.session_state["plot_landscape"] = {"spot": {"x": 500.0, "y": 0.0001}}
    sound(app.button(key="jump").click().run())
    _, high, least, _ = told(app)["range"]
    assert (slider(app, "mean"), slider(app, "sd")) == (high, least)


def test_a_click_moves_a_whole_mixture():
    app = opened(family="MixtureOf2", mean="0", sd="1", mean2="3", sd2="0.5", weight="0.3")
    whole = MixtureOf2().mean_sd(torch.tensor(told(app)["phi"]))
    app.session_state["plot_landscape"] = {"spot": {"x": 1.0, "y": 0.8}}
    sound(app.button(key="jump").click().run())
    now = MixtureOf2().mean_sd(torch.tensor(told(app)["phi"]))
    assert [float(part) for part in now] == pytest.approx([1.0, 0.8], abs=2e-3)
    stretch = 0.8 / float(whole[1])
    assert slider(app, "mean2") - slider(app, "mean") == pytest.approx(3 * stretch, abs=2e-3)
    assert slider(app, "sd") / slider(app, "sd2") == pytest.approx(2.0, rel=1e-3)


# ---- estimates beside exact numbers ----


@pytest.mark.parametrize("gradient", [Reparameterized(draws=4000), ScoreFunction(draws=4000)], ids=repr)
@pytest.mark.parametrize("family", [Gaussian(), StudentQ(), MixtureOf2(), SinhArcsinh()], ids=repr)
def test_estimates_stand_beside_exact_numbers_with_their_errors(gradient, family):
    phi = some_phi(family)
    made = summaries.estimates(Skewed(), family, phi, gradient, 5)
    assert [one.name for one in made] == ["ELBO", *(f"ELBO's slope in {name}" for name in family.names)]
    elbo = decompose(Skewed(), family, phi).elbo
    assert made[0].exact == pytest.approx(elbo, abs=1e-8)
    for i, one in enumerate(made[1:]):
        h = 1e-5 * torch.eye(len(phi), dtype=torch.float64)[i]
        slope = (decompose(Skewed(), family, phi + h).elbo - decompose(Skewed(), family, phi - h).elbo) / 2e-5
        assert one.exact == pytest.approx(slope, abs=1e-6)
    assert all(0 < one.error < 0.2 and not one.is_far for one in made)


def test_an_elbo_s_error_is_the_draws_own():
    """Against NumPy on the same draws."""
    phi, gradient = some_phi(Gaussian()), Reparameterized(draws=50)
    one = summaries.estimates(Skewed(), Gaussian(), phi, gradient, 3)[0]
    z = phi[0].item() + math.exp(phi[1]) * gradient.noise(3, 1)[:, 0].numpy()
    p = 0.7 * stats.norm.pdf(z, 1.6, 1.2) + 0.3 * stats.norm.pdf(z, 3.6, 1.6)
    f = np.log(p) - 3.2 - stats.norm.logpdf(z, phi[0].item(), math.exp(phi[1]))
    assert (one.mean, one.error) == pytest.approx((f.mean(), f.std(ddof=1) / math.sqrt(50)), rel=1e-9)
    assert summaries.estimates(Skewed(), Gaussian(), phi, gradient, 4)[0].mean != one.mean


def test_the_words_of_an_estimate():
    near, off = summaries.Estimate("ELBO", -3.5, -3.4, 0.05), summaries.Estimate("ELBO", -3.5, -3.4, 0.03)
    assert not near.is_far and off.is_far
    assert fit_numbers.estimate_rows([near]) == [["ELBO", "−3.500", "−3.400", "0.050"]]
    assert fit_numbers.far([near]) == ""
    assert "further than 3 standard errors" in fit_numbers.far([near, off])
    alone = summaries.estimates(Skewed(), Gaussian(), some_phi(Gaussian()), Reparameterized(draws=1), 0)
    assert {row[-1] for row in fit_numbers.estimate_rows(alone)} == {"–"} and not alone[0].is_far
    assert fit_numbers.far(alone) == "One draw has no standard error: take more."


@pytest.mark.parametrize(
    ("value", "told"),
    [(99.9994, "99.999"), (-3.4261, "−3.426"), (-1234.567, "−1234.6"), (129867.3, "129867"),
     (-1.23e9, "−1.2e9"), (3.4e12, "3.4e12"), (-math.inf, "−∞"), (0.0, "0.000")],
)  # fmt: skip
def test_a_number_of_any_size_fits_its_column(value, told):
    made = summaries.Estimate("ELBO's slope in logit weight", value, value, 0.1)
    assert fit_numbers.estimate_rows([made]) == [["in logit weight", told, told, "0.100"]]
    assert len(told) <= 7


def test_the_standard_error_has_a_column_of_its_own():
    app = page(target="TwoModes", family="MixtureOf2", gradient="StickingTheLanding", fitted="1", steps="3")
    told = next(str(one.proto) for one in app.get("bidi_component") if "in logit weight" in str(one.proto))
    assert all(f'label\\": \\"{head}' in told for head in ("exact", "16 draws"))
    assert "u00b1" in told, "the plus-minus sign heads the last column"


@pytest.mark.parametrize("objective", [Renyi(), Renyi(alpha=2.0), IWAE(), ForwardKL()], ids=repr)
def test_the_objective_has_its_exact_value_and_its_curve(objective):
    phi = some_phi(Gaussian(), 2.0, 1.2)
    value = summaries.objective_at(Skewed(), Gaussian(), phi, objective)
    z = np.linspace(-15, 20, 400_001)
    q = by_scipy(Gaussian(), phi.numpy(), z)
    p = 0.7 * stats.norm.pdf(z, 1.6, 1.2) + 0.3 * stats.norm.pdf(z, 3.6, 1.6)
    if isinstance(objective, Renyi):
        power = np.where(q > 0, p ** (1 - objective.alpha) * q**objective.alpha, 0.0)
        assert value == pytest.approx(
            -3.2 + math.log(np.trapezoid(power, z)) / (1 - objective.alpha), abs=1e-6
        )
    elif isinstance(objective, ForwardKL):
        assert value == pytest.approx(-np.trapezoid(p * np.log(p / np.maximum(q, 1e-300)), z), abs=1e-4)
    else:
        mean, error = objective.sampled(Skewed(), Gaussian(), phi, 1, 20_000)
        assert value == pytest.approx(float(mean), abs=4 * float(error)) and float(error) < 0.01
    trace = run(Job(VI(objective=objective, mean=2.0, sd=1.2, starts=1), steps=6, seed=0))
    drawn = fit_films.trace(trace, False).at(0)
    (line,) = [t for t in drawn.data if t.line.dash == "5px,4px"]
    climbed = summaries.column(trace, "objective") + (-3.2 if isinstance(objective, ForwardKL) else 0.0)
    assert np.array(line.y, dtype=float) == pytest.approx(climbed, abs=1e-6)
    named = "log p(x) − KL(p‖q)" if isinstance(objective, ForwardKL) else fit_numbers.title(objective)
    assert any(note.text == named for note in drawn.layout.annotations)


@pytest.mark.parametrize("link", [
    {"gradient": "Reparameterized"}, {"gradient": "ScoreFunction", "fitted": "1", "step": "3"},
    {"objective": "Renyi"}, {"objective": "IWAE"},
    {"objective": "IWAE", "fitted": "1", "steps": "2", "starts": "1"},
    {"gradient": "Reparameterized", "gradient.draws": "1"},
    {"family": "MixtureOf2", "objective": "Renyi", "gradient": "Reparameterized", "second": "1"},
], ids=str)  # fmt: skip
def test_the_page_stands_with_estimates_and_objectives(link):
    app = page(**link)
    assert not app.error, app.error[0].value


def test_fit_and_back():
    app = opened(mean="1")
    sound(next(b for b in app.button if b.label == "Fit").click().run())
    assert url(app) == {"mean": "1", "fitted": "1", "v": "1"}
    sound(next(b for b in app.button if b.label == "Back").click().run())
    assert url(app) == {"mean": "1", "v": "1"} and next(b for b in app.button if b.label == "Back").disabled


@over_targets
def test_wherever_the_sliders_go_the_optimizer_can_set_out(target):
    """The page makes the job on every run: what VI refuses would take the picture away under the hand."""
    ends = fit.range_of(target)
    for mean in (ends.low, ends.high):
        for sd in (ends.least, ends.most):
            VI(target=target, mean=mean, sd=sd, spread=min(60.0, ends.high - ends.low))


@pytest.mark.parametrize("text", ["-(z - 100)**2", "-z**2 / 10000", "-1000000 * z**2", "-(z - 100000)**2"])
def test_a_formula_anywhere_opens_the_page(text):
    app = AppTest.from_file(str(PAGE), default_timeout=60)
    app.query_params.update({"target": "Formula", "target.expression": text})
    sound(app.run())
    assert not app.error, app.error[0].value


@pytest.mark.parametrize(
    ("text", "where"),
    [("-(z - 10000000)**2", "at z = 1e7"), ("-(z + 10000000)**2", "at z = −1e7"),
     ("-(z / 1000000)**2", "between z = −4.47e6 and 4.47e6")],
)  # fmt: skip
def test_a_posterior_out_of_reach_is_told_where_it_lies(text, where):
    with pytest.raises(ValueError, match="nearer to 0") as told:
        fit.range_of(Formula(expression=text))
    assert f"This posterior lies {where}: scale or shift z" in str(told.value) and "e+" not in str(told.value)


BENT = {
    "MixtureOf2": {"mean": "0", "sd": "1", "mean2": "3", "sd2": "2", "weight": "0.3"},
    "SinhArcsinh": {"mean": "2", "sd": "1", "skew": "1", "tail": "0.5"},
}


@pytest.mark.parametrize("fitted", [False, True])
@pytest.mark.parametrize("name", BENT)
def test_the_optimizer_goes_on_from_where_q_stands(name, fitted):
    """Step 0 is "where q stood": its KL is that of the sliders' q."""
    _, comment = ran(page(family=name, **BENT[name], **({"fitted": "1"} if fitted else {})))
    if name == "MixtureOf2":
        q = fit.Q(MixtureOf2(), (Place(0.0, 1.0), Place(3.0, 2.0)), (0.3,))
    else:
        q = fit.Q(SinhArcsinh(), (Place(2.0, 1.0),), (1.0, 0.5))
    assert comment == pytest.approx(decompose(Skewed(), q.family, q.phi).kl, abs=6e-4)


# ---- the page ----


def page(**link: str) -> AppTest:
    app = AppTest.from_file(str(PAGE), default_timeout=60)
    app.query_params.update(link)
    return sound(app.run())


def slid(app: AppTest, label: str) -> float:
    return next(s.value for s in app.slider if s.label == label)


def source(app: AppTest) -> str:
    return next(c.value for c in app.code if "import" in c.value)


def ran(app: AppTest) -> tuple[float, float]:
    """The value of the code panel's last line, and the number in its comment."""
    *body, last = source(app).splitlines()
    names: dict[str, Any] = {}
    exec("\n".join(body), names)
    expression, _, comment = last.partition("  # ")
    return float(eval(expression, names)), float(comment.removesuffix(" nats"))


@pytest.mark.parametrize(
    "link",
    [
        {},
        {"target": "Cauchy", "mean": "0.5"},
        {"target": "Formula", "target.expression": "-abs(z)", "mean": "0.5", "sd": "1"},
        {"target": "TwoModes", "family": "MixtureOf2", "weight": "0.3"},
        {"family": "StudentQ", "family.df": "3"},
        {"family": "SinhArcsinh", "skew": "0.7", "tail": "-0.3"},
        {"fitted": "1"},
        {"fitted": "1", "step": "12", "optimizer": "LBFGS"},
        {"fitted": "1", "step": "12", "objective": "ForwardKL", "target": "EqualModes", "starts": "3"},
        {"fitted": "1", "step": "5", "gradient": "Reparameterized", "seed": "4", "family": "LaplaceQ"},
    ],
    ids=str,
)
def test_the_code_gives_the_commented_number(link):
    value, comment = ran(page(**link))
    assert value == pytest.approx(comment, abs=5.1e-4)


@pytest.mark.parametrize("family", ["Gaussian", "MixtureOf2", "SinhArcsinh"])
def test_the_last_line_of_the_code_is_short_enough_not_to_wrap(family):
    (*_, last) = source(page(family=family, mean="0.12345", sd="1.2345")).splitlines()
    assert len(last) <= 60 and last.endswith(" nats")


@pytest.mark.parametrize("name", ["TwoModes", "Laplace", "Cauchy", "Spike", "LogGamma", "SigmoidDecoder"])
def test_choosing_another_posterior_puts_q_on_it(name):
    app = page()
    next(s for s in app.selectbox if s.label == "Posterior").set_value(name)
    sound(app.run())
    assert not app.error, app.error[0].value
    mean = next(s for s in app.slider if s.label == "Mean of q")
    sd = next(s for s in app.slider if s.label == "Sd of q")
    assert mean.min < mean.value < mean.max and sd.min < sd.value < sd.max


@pytest.mark.parametrize(
    ("target", "family"),
    [("Skewed", {"family": "StudentQ", "family.df": "2"}), ("LogGamma", {"family": "StudentQ"})],
    ids=str,
)
def test_an_infinite_kl_is_a_number_and_no_failure(target, family):
    app = page(target=target, **family)
    assert not app.error, app.error[0].value


# ---- formula ----


def formula(app: AppTest, text: str) -> AppTest:
    return sound(app.text_input[0].set_value(text).run())


def test_a_good_formula_is_used_and_a_broken_one_gives_a_sentence():
    app = opened(target="Formula")
    formula(app, "-abs(z)")
    assert told(app)["target"] == "Formula(expression='-abs(z)')" and not app.error
    assert url(app)["target.expression"] == "-abs(z)"
    for broken in ("log(", "import os", "z**2", "1/0", "", "3"):
        formula(app, broken)
        assert len(app.error) == 1 and len(app.error[0].value) > 15
        assert told(app)["target"] == "Formula(expression='-abs(z)')", broken
        assert url(app)["target.expression"] == "-abs(z)"
    formula(app, "-z**2")
    assert not app.error and told(app)["target"] == "Formula(expression='-z**2')"
    assert any("z^{2}" in block.value for block in app.latex)


def test_a_new_formula_leaves_a_fit():
    app = opened(target="Formula", fitted="1")
    assert told(app)["fitted"]
    formula(app, "-z**2")
    assert not told(app)["fitted"]


@pytest.mark.parametrize("text", ["log(", "__import__('os')", "z**2", "9" * 600, "<b>z</b>"])
def test_a_bad_formula_in_a_link_is_said_and_not_used(text):
    app = opened(**{"target": "Formula", "target.expression": text})
    assert told(app)["target"] == repr(Formula())
    (sentence,) = told(app)["problems"]
    assert sentence.startswith("The link's formula was not used.")
    assert "target.expression" not in url(app)


def test_undo_takes_the_typed_formula_and_its_fault_back():
    app = opened(target="Formula")
    formula(app, "-abs(z)")
    formula(app, "log(")
    sound(app.button(key="undo").click().run())
    assert told(app)["target"] == repr(Formula())
    assert app.text_input[0].value == Formula().expression
    assert not app.error


# ---- guess and reveal ----


def test_a_guess_hides_every_number_until_it_is_revealed():
    app = page(guess="1")
    kl = decompose(Skewed(), Gaussian(), [2.0, math.log(1.4142)]).kl
    best = summaries.best(Skewed(), Gaussian())[1]
    texts = [e.value for kind in ("markdown", "latex", "caption", "code") for e in app.get(kind)]
    assert not [text for text in texts if re.search(f"{kl:.3f}|{math.log(1.4142):.6f}", text)]
    sound(app.button(key="reveal").click().run())
    revealed = " ".join(m.value for m in app.markdown)
    assert f"Your KL: **{kl:.3f}** nats" in revealed and f"The best: **{best:.3f}** nats" in revealed
    assert f"**Close.** {kl - best:.3f} nats above the best." in revealed


def test_no_optimizer_plays_the_game():
    app = page(target="TwoModes", guess="1", fitted="1", step="3")
    assert "fitted" not in url(app) and "step" not in url(app)
    assert not any("Press Fit" in text for text in boxes(app))
    assert len([text for text in boxes(app) if "guess" in text]) == 2, (
        "both lower boxes say why they are empty"
    )
    fit_button = next(b for b in app.button if b.label == "Fit")
    assert fit_button.disabled
    sound(app.button(key="end_game").click().run())
    assert any("Press Fit" in text for text in boxes(app))


@pytest.mark.parametrize(
    ("kl", "word"), [(0.3, "As good as it gets."), (0.33, "Close."), (0.4, "There is room")]
)
def test_the_games_words(kl, word):
    def script(kl: float) -> None:
        from lvmviz.ui import fit

        fit.reveal(kl, 0.299)

    app = AppTest.from_function(script, kwargs={"kl": kl}, default_timeout=30).run()
    assert sound(app.button(key="reveal").click().run()).markdown[-1].value.startswith(f"**{word}")


# ---- derivation ----


@pytest.mark.parametrize(
    ("target", "family"),
    [(t, f) for t in (Skewed(), TwoModes(), Cauchy(), ConjugateGaussian(), Formula(), Spike(centre=30.0))
     for f in (Gaussian(), StudentQ(), MixtureOf2(), SinhArcsinh())],
    ids=repr,
)  # fmt: skip
def test_both_sides_of_every_line_agree(target, family):
    start = fit.first_place(target)
    phi = summaries.phi_at(family, [start, start._replace(sd=2 * start.sd)] if isinstance(family, MixtureOf2)
                           else [start], [0.3] if isinstance(family, MixtureOf2) else ())  # fmt: skip
    terms = summaries.terms(target, family, phi)
    for line in lines(terms):
        valued = [term.value for _, term in line.right]
        if line.relation == "=":
            assert line.gap is None
            assert agrees(line) is (None if None in valued else True), line.reason
        else:
            assert line.gap is not None and line.left.value is not None and valued[0] is not None
            assert line.left.value - valued[0] == pytest.approx(line.gap.value, rel=1e-9, abs=1e-9)
            assert line.left.value >= valued[0] - 1e-9
        latex(line, tokens(False), 3)


def test_the_lines_can_be_written_where_the_kl_is_infinite():
    terms = summaries.terms(LogGamma(), StudentQ(), summaries.phi_at(StudentQ(), [Place(0.0, 1.0)]))
    assert terms.kl == math.inf
    for line in lines(terms):
        latex(line, tokens(False), 3)


# ---- what the scenes claim ----


def scenes() -> dict[str, Any]:
    """The page's own cards."""
    from lvmviz import ui

    names: dict[str, Any] = {"__name__": "page"}
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(io.StringIO()):
        patch.setattr(ui, "page", lambda *_: None)
        exec(compile(PAGE.read_text(), str(PAGE), "exec"), names)
    return {card.name: card for card in names["SCENES"]}


def fitted(target: Target, family: Line, place: Place, objective: Objective | None = None) -> Trace:
    """As the page's Fit does it, at its defaults."""
    ends = fit.range_of(target)
    vi = VI(target=target, family=family, objective=objective or ReverseKL(), mean=place.mean, sd=place.sd,
            spread=min(60.0, ends.high - ends.low))  # fmt: skip
    return run(Job(vi, steps=200, seed=0))


def test_scenes_open_and_their_right_answer_is_one_of_theirs():
    cards = scenes()
    assert len(cards) >= 5
    for card in cards.values():
        assert 0 <= card.right < len(card.answers)
        app = page(**card.link)
        assert not app.error and not app.warning
        for name, text in card.link.items():
            held = app.session_state[f"lvmviz.{name}"]
            assert held == (text if isinstance(held, str) else float(text)), name


def test_twice_the_sd_costs_more_than_half():
    card = scenes()["width"]
    place, best = summaries.best(Skewed(), Gaussian())
    half, twice = (
        decompose(Skewed(), Gaussian(), [place.mean, math.log(f * place.sd)]).kl for f in (0.5, 2.0)
    )
    assert card.answers[card.right] == "Twice" and twice > half > best
    said = [float(n) for n in re.findall(r"sd to (\d\.\d+), then to (\d\.\d+)", card.reason)[0]]
    assert said == pytest.approx([0.5 * place.sd, 2 * place.sd], abs=0.05)
    assert float(card.link["mean"]) == pytest.approx(place.mean, abs=0.01)


def test_from_far_the_sd_first_grows():
    card = scenes()["far"]
    path = summaries.paths(fitted(Skewed(), Gaussian(), Place(-4.0, 0.87)))[0]
    assert card.answers[card.right] == "Grow" and path[1, 1] > path[0, 1]
    assert path[:, 1].argmax() < len(path) - 1 and path[-1, 1] < path[:, 1].max()


ENDS = {  # what a scene's reason says of the end of its fit: KL(q‖p), mean, sd
    "far": (0.0217, 2.18, 1.55),
    "two-modes": (1.3584, -2.93, 0.78),
    "forward": (1.0576, 0.0, 2.62),
    "flow": (0.0007, 2.2, 1.61),
}


@pytest.mark.parametrize("name", ENDS)
def test_fit_ends_where_the_scene_says_on_the_page_itself(name):
    """By the code that the page shows, at its last step."""
    app = page(**scenes()[name].link, fitted="1", step="200")
    *body, last = source(app).splitlines()
    names: dict[str, Any] = {}
    exec("\n".join(body), names)
    trace, told = names["trace"], float(last.partition("  # ")[2].removesuffix(" nats"))
    kl, mean, sd = ENDS[name]
    assert told == pytest.approx(kl, abs=5.1e-4) and len(trace) > 10
    last = trace[-1].state.phi[0]
    moments = trace.job.algorithm.family.mean_sd(last)
    assert [float(part) for part in moments] == pytest.approx([mean, sd], abs=0.007)


def test_a_gaussian_stays_on_the_small_mode():
    card = scenes()["two-modes"]
    trace = fitted(TwoModes(), Gaussian(), Place(-3.0, 0.8))
    assert card.answers[card.right] == "No"
    assert trace[-1].info.kl == pytest.approx(1.36, abs=0.005) and "1.36" in card.reason
    assert (
        summaries.best(TwoModes(), Gaussian())[1] == pytest.approx(0.28, abs=0.005) and ".28" in card.reason
    )


def test_the_forward_kl_covers_both_modes():
    card = scenes()["forward"]
    phi = summaries.best_fit(EqualModes(), Gaussian(), ForwardKL())
    assert summaries.places(Gaussian(), phi) == pytest.approx([0.0, 2.62], abs=0.006)
    assert "mean 0 and sd 2.62" in card.reason and card.answers[card.right] == "Across both"
    mean, sd = summaries.paths(fitted(EqualModes(), Gaussian(), Place(-2.0, 1.0), ForwardKL()))[0, -1]
    assert (mean, sd) == pytest.approx((0.0, 2.62), abs=0.006)
    assert abs(summaries.best(EqualModes(), Gaussian())[0].mean) > 2


def test_no_gaussian_is_at_a_finite_forward_kl_from_a_cauchy():
    card = scenes()["cauchy"]
    assert card.answers[card.right] == "Infinite"
    place = Place(float(card.link.get("mean", fit.first_place(Cauchy()).mean)),
                  float(card.link.get("sd", fit.first_place(Cauchy()).sd)))  # fmt: skip
    phi = summaries.phi_at(Gaussian(), [place])
    assert forward_kl(Cauchy(), Gaussian(), phi) == math.inf
    assert decompose(Cauchy(), Gaussian(), phi).kl < 0.5, '"KL(q‖p) is small", the card says of what it shows'


def test_the_flow_beats_the_gaussian():
    card = scenes()["flow"]
    assert summaries.best(Skewed(), Gaussian())[1] == pytest.approx(0.022, abs=5e-4)
    trace = fitted(Skewed(), SinhArcsinh(), fit.first_place(Skewed()))
    assert card.answers[card.right] == "Yes" and trace[-1].info.kl < 0.5 * 0.022


# ---- found by a new user ----


def test_a_mean_and_an_sd_can_be_typed_with_every_digit():
    app = page()
    box = next(one for one in app.number_input if one.key.startswith("lvmviz.mean"))
    sound(box.set_value(0.12345).run())
    assert slid(app, "Mean of q") == 0.12345 and url(app)["mean"] == "0.12345"
    sound(control(app, "mean").set_value(1.0).run())
    assert next(one for one in app.number_input if one.key.startswith("lvmviz.mean")).value == 1.0


@pytest.mark.parametrize("family", ["Gaussian", "LaplaceQ"])
@pytest.mark.parametrize("key", ["remedy_objective", "remedy_family"])
def test_a_fit_that_cannot_set_out_keeps_the_page_and_offers_what_helps(key, family):
    app = page(target="Cauchy", mean="0", sd="3", objective="ForwardKL", family=family, fitted="1")
    assert "infinite for every" in app.error[0].value, "no place of q helps, so none is advised"
    assert len(app.get("bidi_component")) > 3, "picture, landscape and numbers stay"
    (remedy,) = [button for button in app.button if button.key == key]
    sound(remedy.click().run())
    assert not app.error and url(app)["fitted"] == "1"
    assert any("at the best" in text.value for text in app.markdown), "it has set out"


FLIES = {"target": "Spike", "family": "LaplaceQ", "optimizer": "GradientAscent", "gradient": "ScoreFunction",
         "fitted": "1"}  # fmt: skip


def test_a_fit_that_flies_away_says_so_and_a_smaller_step_that_helps_is_offered():
    app = page(**FLIES)
    (warning,) = app.warning
    assert warning.value == "**All 8 starts left the finite numbers by step 3:** take a smaller step."
    assert any(text.value.endswith(":gray[all 8 lost]") for text in app.markdown)
    button = next(b for b in app.button if b.key == "remedy_optimizer.step_size")
    assert button.label == "Take steps of 1e-4", "a tenth and a hundredth fly as well"
    sound(button.click().run())
    assert not app.warning and url(app)["optimizer.step_size"] == "0.0001" and url(app)["fitted"] == "1"


def flight(starts: int, **more: Any) -> Trace:
    ends = fit.range_of(Spike())
    vi = VI(target=Spike(), family=LaplaceQ(), starts=starts, mean=-0.04, sd=0.02, within=ends[:2], **more)
    return run(Job(vi, steps=30, seed=0))


def test_what_is_said_of_a_flight_is_what_the_trace_holds():
    ascent, score = GradientAscent(step_size=0.1), ScoreFunction()
    alone = flight(1, optimizer=ascent, gradient=score)
    gone = [bool(snapshot.state.lost[0]) for snapshot in alone]
    assert fit_end.left(alone) == f"q left the finite numbers at step {gone.index(True)}"
    assert fit_end.arrived(alone) == "lost"
    some = flight(8, optimizer=GradientAscent(step_size=0.01), gradient=score)
    lost = int(some[-1].state.lost.sum())
    assert 0 < lost < 8 and fit_end.arrived(some).endswith(f", {lost} lost")
    if bool(some[-1].state.lost[0]):
        assert f"as did {lost - 1} of the 7 other starts" in fit_end.left(some)
    fine = flight(3)
    assert fit_end.left(fine) == "" and fit_end.arrived(fine).endswith("of 3 at the best")


def test_a_remedy_is_one_with_which_q_climbs():
    job = flight(1, optimizer=GradientAscent(step_size=0.1), gradient=ScoreFunction()).job
    mend = fit_end._mend(job)
    assert mend is not None and (mend.name, mend.value) == ("optimizer.step_size", 1e-4)
    after = dataclasses.replace(job.algorithm, optimizer=GradientAscent(step_size=mend.value))
    info = run(dataclasses.replace(job, algorithm=after))[-1].info
    assert info.status != "not finite" and info.kl < 1
    least = dataclasses.replace(job.algorithm, optimizer=GradientAscent(step_size=10.0))
    assert fit_end._mend(dataclasses.replace(job, algorithm=least)).name in {
        "optimizer.step_size",
        "gradient",
    }


def boxes(app: AppTest) -> list[str]:
    """The muted sentences that stand in place of pictures."""
    return [text.value for text in app.markdown if text.value.startswith(":gray[")]


@pytest.mark.parametrize(
    ("target", "family"),
    [("LogGamma", {"family": "StudentQ"}), ("Skewed", {"family": "StudentQ", "family.df": "2"})],
    ids=str,
)
def test_where_every_q_is_at_minus_infinity_no_landscape_is_drawn_but_a_remedy(target, family):
    app = page(target=target, **family)
    (sentence,) = [text for text in boxes(app) if "−∞" in text]
    assert "The ELBO is −∞ for every Student here: its tails are heavier" in sentence
    assert not any("best ELBO" in str(one.proto) for one in app.get("bidi_component"))
    sound(app.button(key="landscape_gaussian").click().run())
    assert url(app).get("family") is None and not any("−∞" in text for text in boxes(app))


def test_an_endless_q_is_a_family_all_of_whose_q_are_infinite():
    for target, family, endless in (
        (LogGamma(), StudentQ(), True), (Skewed(), StudentQ(df=2.0), True), (LogGamma(), LaplaceQ(), False),
        (Formula(expression="-exp(z**2)"), Gaussian(), False), (Cauchy(), StudentQ(df=1.0), False),
        (Formula(expression="-exp(z**4)"), Gaussian(), True),
    ):  # fmt: skip
        assert summaries.is_endless(target, family) is endless, (target, family)


def test_a_fit_that_no_student_can_begin_offers_the_gaussian_that_can():
    app = page(target="LogGamma", family="StudentQ", fitted="1")
    assert "infinite for every Student" in app.error[0].value and "heavier" in app.error[0].value
    assert [b.key for b in app.button if (b.key or "").startswith("remedy")] == ["remedy_family"]
    sound(app.button(key="remedy_family").click().run())
    assert not app.error and any("at the best" in text.value for text in app.markdown)


@pytest.mark.parametrize("objective", ["ForwardKL", "IWAE", "Renyi"])
def test_a_fit_whose_gradient_cannot_be_sampled_offers_the_exact_one(objective):
    app = page(objective=objective, gradient="ScoreFunction", fitted="1", steps="3", starts="1")
    assert "choose the exact gradient" in app.error[0].value and "||" not in app.error[0].value
    assert [b.key for b in app.button if (b.key or "").startswith("remedy")] == [
        "remedy_gradient", "remedy_objective"]  # fmt: skip
    sound(app.button(key="remedy_gradient").click().run())
    assert not app.error and url(app).get("gradient") is None and url(app)["objective"] == objective
    assert any("at the best" in text.value for text in app.markdown)


@pytest.mark.parametrize("far", [(500.0, 0.03), (30.0, 0.005), (0.0, 3.0)])
def test_a_hand_is_where_it_let_go_to_less_than_a_pixel(far):
    centre, sd = far
    ends = fit.Range(centre - 4 * sd, centre + 8 * sd, 0.04 * sd, 6 * sd)
    for share in np.linspace(0.01, 0.99, 57):
        loc = ends.low + share * (ends.high - ends.low)
        place = ends.held(loc, sd / 3)
        assert abs(place.mean - loc) < (ends.high - ends.low) / 2000
        assert abs(place.sd - sd / 3) < 1e-4 * sd


@pytest.mark.parametrize(
    "target", [Skewed(), ConjugateGaussian(), Formula(expression="-z**2 / 2 - 800"), Formula()], ids=repr
)
def test_the_joint_has_the_area_of_the_evidence_and_is_seen(target):
    shown = summaries.picture(target, Gaussian(), Gaussian().at(torch.zeros(1), torch.ones(1)))
    area = float(np.trapezoid(shown.joint, shown.z))
    log_evidence = decompose(target, Gaussian(), Gaussian().at(torch.zeros(1), torch.ones(1))[0]).log_evidence
    assert math.log(area) - shown.power * math.log(10) == pytest.approx(log_evidence, abs=3e-3)
    assert 0.05 < shown.joint.max() / shown.posterior.max() < 0.7
    joint = target.log_prob(torch.from_numpy(shown.z)[:, None]).numpy() + shown.power * math.log(10)
    assert np.allclose(shown.joint, np.exp(joint))


@pytest.mark.parametrize("target", LINES, ids=repr)
def test_the_landscape_contains_the_best_gaussian(target):
    place, _ = summaries.best(target, Gaussian())
    means, sds, _ = summaries.hills(target, Gaussian())
    assert place is not None
    assert means[0] < place.mean < means[-1] and sds[0] < place.sd < sds[-1]


def test_the_cross_is_only_where_it_is_the_top_of_the_hills_drawn():
    for family in FAMILIES:
        crosses = [text for text in landscape_words(family) if "best" in text]
        alike = family in ONE_CURVE and not summaries.is_endless(TwoModes(), family)
        assert bool(crosses) == alike, family


def landscape_words(family: Line) -> list[str]:
    drawn = fit_films.landscape(TwoModes(), family, None, False).at(0)
    return [note.text for note in drawn.layout.annotations]


def test_places_have_as_many_decimals_as_the_picture_tells_apart():
    assert [fit_films.decimals(target) for target in (Cauchy(), Skewed(), Spike(), Spike(sd=0.005))] == [
        2,
        2,
        4,
        5,
    ]
    film = fit_films.picture(
        Spike(), Gaussian(), torch.tensor([[-0.039, math.log(0.021)]]), [1.0], None, False, False
    )
    told = next(note.text for note in film.film.at(0).layout.annotations if note.text.startswith("q(z)"))
    assert "mean −0.0390, sd 0.0210" in told


def test_the_words_of_the_joint():
    assert [fit_films._times(power) for power in (0, 1, 14, -3)] == [
        "", "10 ", "10<sup>14</sup> ", "10<sup>−3</sup> "]  # fmt: skip
    assert fit_films._area(-3.2) == "0.0408" and fit_films._area(-30.0) == "9.36·10<sup>−14</sup>"


def test_no_equation_is_read_down_the_thermometer():
    """log p(x) stands above KL and ELBO, so it is not what they add up to there."""
    words = labels._SIGNS["Σ"]
    assert not any("=" in word for word in words.values())


# ---- the way back from a run ----


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"target": TwoModes(), "mean": -3.0, "sd": 0.5},
        {"target": Cauchy(), "family": StudentQ(), "objective": IWAE(draws=5), "starts": 4},
        {"optimizer": LBFGS(), "gradient": Reparameterized(draws=7), "mean": 1.25},
    ],
)
def test_a_run_opens_on_this_page(more):
    vi = VI(**{"mean": 2.0, "sd": 1.4142, **more})
    ends = fit.range_of(vi.target)
    vi = dataclasses.replace(vi, within=(ends.low, ends.high))
    job = Job(vi, steps=30, seed=3)
    url_there, link = page_of(job)  # type: ignore[misc]
    assert url_there == "fit_q_1d"
    app = page(**link)
    assert not app.warning and not app.error
    (code,) = [block.value for block in app.code if "trace = run" in block.value]
    assert spelled(vi) in code and "steps=30, seed=3" in code


def test_a_run_that_no_controls_ask_for_has_no_way_here():
    ends = fit.range_of(Skewed())
    fair = VI(mean=2.0, sd=1.4, within=(ends.low, ends.high))
    assert page_of(Job(fair, steps=30)) is not None
    for job in (
        Job(fair, steps=5000), Job(fair, steps=30, seed=10**6), Job(fair, steps=30, every=2),
        Job(VI(), steps=30),
        Job(dataclasses.replace(fair, mean=1e5), steps=30),
        Job(dataclasses.replace(fair, tolerance=1e-3), steps=30),
        Job(dataclasses.replace(fair, family=MixtureOf2(), phi=(0.0, 1.0, 2.0, 0.0, 0.0)), steps=30),
    ):  # fmt: skip
        assert page_of(job) is None
