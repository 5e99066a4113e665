"""The VAE's lessons: one example's terms against rules of their own, and the lines that tell them."""

import dataclasses
import functools
import json
import math
import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.spatial import KDTree
from streamlit.testing.v1 import AppTest

from lvmviz import DigitImages, GaussianNoise, Job, Pinwheel, Rows, TrainVAE, run
from lvmviz.algorithms.vae import VAEWeights
from lvmviz.core import fold_in, generator
from lvmviz.figures.theme import LIGHT, number
from lvmviz.networks import MLP
from lvmviz.runs.job import LONG, Trace
from lvmviz.summaries import vae as summaries
from lvmviz.summaries.sigmoid import look
from lvmviz.summaries.vae.lesson import Lesson, lesson
from lvmviz.summaries.vae.turns import turns
from lvmviz.ui import training_loop, vae_scenes
from lvmviz.ui.derivation import agrees, latex
from lvmviz.ui.derivation_vae import lines
from lvmviz.ui.links import link_of
from lvmviz.ui.live import LONG_S

PAGE = str(Path(__file__).parents[1] / "pages/07_vae_lab.py")
SMALL = TrainVAE(data=DigitImages(count=120), encoder=MLP(hidden=32), decoder=MLP(hidden=32))


def trained(**changes: object) -> Trace:
    return run(Job(dataclasses.replace(SMALL, **changes), steps=4, every=4))


def told(trace: Trace, row: int = 3) -> Lesson:
    at = summaries.moment(trace, 1)
    return lesson(at, summaries.half(at.vae, "test").x[row])


@pytest.fixture(scope="module")
def trace() -> Trace:
    return trained()


@pytest.fixture(scope="module")
def full() -> Trace:
    return trained(posterior="full")


def grid(trace: Trace, row: int) -> tuple[np.ndarray, ...]:
    """z (G, 2), log p(x | z), log q and the cell's area, by plain NumPy on a lattice wide and fine enough."""
    at = summaries.moment(trace, 1)
    x = torch.tensor(summaries.half(at.vae, "test").x[row : row + 1], dtype=torch.float64)
    weights = VAEWeights(*(part.double() for part in at.weights))
    line = np.linspace(-13.0, 13.0, 401)
    z = np.stack(np.meshgrid(line, line, indexing="ij"), -1).reshape(-1, 2)
    with torch.no_grad():
        q = at.vae.encode(weights, x)
        output = at.vae.decode(weights, torch.from_numpy(z)).numpy()
    fit = (x.numpy() * output - np.logaddexp(0.0, output)).sum(1)
    tril = q.scale_tril()[0].numpy()
    away = z - q.means[0].numpy()
    precision = np.linalg.inv(tril @ tril.T)
    log_q = -0.5 * np.einsum("ni,ij,nj->n", away, precision, away)
    log_q -= math.log(2.0 * math.pi) + 0.5 * math.log(np.linalg.det(tril @ tril.T))
    return z, fit, log_q, np.full(len(z), (line[1] - line[0]) ** 2)


@pytest.mark.parametrize("kind", ["trace", "full"])
def test_every_term_is_what_a_plain_grid_says(kind, request):
    made = request.getfixturevalue(kind)
    z, fit, log_q, area = grid(made, 3)
    prior, q = -0.5 * (z**2).sum(1) - math.log(2.0 * math.pi), np.exp(log_q)
    found = told(made)
    assert found.log_evidence == pytest.approx(math.log((np.exp(fit + prior) * area).sum()), abs=3e-8)
    assert found.elbo == pytest.approx((q * (fit + prior - log_q) * area).sum(), abs=1e-8)
    assert found.reconstruction == pytest.approx((q * fit * area).sum(), abs=1e-8)
    assert found.kl == pytest.approx((q * (log_q - prior) * area).sum(), abs=1e-8)
    posterior = fit + prior - found.log_evidence
    assert found.gap == pytest.approx((q * (log_q - posterior) * area).sum(), abs=3e-8)
    assert found.error < 1e-6


@pytest.mark.parametrize("kind", ["trace", "full"])
def test_slopes_are_what_differences_say(kind, request):
    """Of one draw's ELBO in q's own numbers, and of the mean reconstruction as q is shifted."""
    made = request.getfixturevalue(kind)
    at, found, grain = summaries.moment(made, 1), told(made), 1e-5
    x = torch.tensor(summaries.half(at.vae, "test").x[3:4], dtype=torch.float64)
    weights = VAEWeights(*(part.double() for part in at.weights))
    q = at.vae.encode(weights, x)

    def elbo(mean: float, sd: float) -> float:
        tril = q.scale_tril()[0].detach().clone()
        tril[0, 0] += sd
        means = q.means[0].detach() + torch.tensor([mean, 0.0], dtype=torch.float64)
        z = means + tril @ torch.from_numpy(found.noise)
        output = at.vae.decode(weights, z[None])
        fit = at.vae.likelihood.log_prob(output, x, at.vae.own(weights))
        kl = 0.5 * (means @ means + tril.square().sum() - 2.0) - tril.diagonal().log().sum()
        return float(fit - kl)

    by_mean = (elbo(grain, 0.0) - elbo(-grain, 0.0)) / (2 * grain)
    by_sd = (elbo(0.0, grain) - elbo(0.0, -grain)) / (2 * grain)
    assert found.slope_mean == pytest.approx(by_mean, rel=1e-6, abs=1e-6)
    assert found.slope_sd == pytest.approx(by_sd, rel=1e-6, abs=1e-6)
    np.testing.assert_allclose(found.z, found.mean + q.scale_tril()[0].detach().numpy() @ found.noise)


@pytest.mark.parametrize("kind", ["trace", "full"])
def test_all_equal_signs_are_green(kind, request):
    """Both sides of every line come from sums of their own."""
    for row in (0, 3, 11):
        made = lines(told(request.getfixturevalue(kind), row))
        assert [agrees(line) for line in made if line.relation == "="] == [True] * 8, row
        bound = next(line for line in made if line.relation == ">=")
        assert bound.left.value is not None and bound.right[0][1].value is not None and bound.gap is not None
        assert bound.left.value - bound.right[0][1].value == pytest.approx(bound.gap.value, abs=1e-7)


def test_no_sign_is_green_where_the_evidence_is_wrong(trace):
    """The rules' own error is allowed for, and no more."""
    right = told(trace)
    for wrong in (
        right._replace(log_evidence=right.log_evidence + 1e-5),
        right._replace(gap=right.gap - 1e-5),
    ):
        assert not agrees(lines(wrong)[2])
    assert not agrees(lines(right._replace(error=1.0, gap=right.gap + 1e-3))[2])


@pytest.mark.parametrize("changes", [{"latent": 4}, {"decoder": MLP(hidden=32, activation="relu")}])
def test_where_nothing_is_exact_no_evidence_is_told(changes):
    found = told(trained(**changes))
    assert math.isnan(found.log_evidence) and math.isnan(found.gap) and found.draws == 1000
    made = lines(found)
    assert agrees(made[0]) is None and r"\tfrac{1}{1000}" in latex(made[3], LIGHT, 2)
    assert agrees(made[3]) and all(agrees(line) for line in made[-2:])
    exact = (found.mean**2).sum() / 2 + found.square / 2 - found.log_sd.sum() - found.latent / 2
    assert found.kl == pytest.approx(exact, abs=0.5), "the draws come near the formula"


def test_one_latent_has_a_rule_but_no_evidence():
    found = told(trained(latent=1))
    assert found.draws == 0 and math.isnan(found.log_evidence)
    assert [agrees(line) for line in lines(found)] == [None] * 3 + [True] * 6


def test_every_line_is_latex_with_its_braces_closed(trace):
    for line in lines(told(trace)):
        text = latex(line, LIGHT, 2)
        assert text.count("{") == text.count("}") and not {r"\q{", r"\p{", r"\kl{"} & set(text.split())
        assert len(line.reason) <= 44


# ---- the training loop ----


def first_adam_step(slope: torch.Tensor, rate: float) -> torch.Tensor:
    """Kingma and Ba's algorithm 1 at t = 1, bias corrections and all."""
    first, second = 0.1 * slope, 0.001 * slope**2
    return -rate * (first / 0.1) / ((second / 0.001).sqrt() + 1e-8)


def test_the_first_turn_is_a_step_of_adam_by_hand(trace):
    """In float64, by a loss written anew from the networks."""
    at = summaries.moment(trace, 1)
    made = turns(at, 7, batches=40, key=3, count=1)[0]
    x = summaries.half(at.vae, "train").x
    np.testing.assert_array_equal(made.x, x[7])
    weights = VAEWeights(*(part.double().requires_grad_() for part in at.weights))
    batch, noise = batch_of(at, 7, 3)
    told = at.vae.encoder.forward(weights.encoder, batch.double(), (8, 8), (4,))
    mean, log_sd = told[:, :2], told[:, 2:]
    z = mean + log_sd.exp() * noise[0].double()
    output = at.vae.decoder.forward(weights.decoder, z, (2,), (8, 8))
    fit = (batch.double() * output - torch.nn.functional.softplus(output)).sum(1)
    kl = 0.5 * (mean**2 + (2 * log_sd).exp() - 1 - 2 * log_sd).sum(1)
    assert made.reconstruction == pytest.approx(fit[0].item(), rel=1e-5)
    assert made.kl == pytest.approx(kl[0].item(), rel=1e-4)
    assert made.elbo == made.reconstruction - made.kl
    np.testing.assert_allclose(made.z, z[0].detach(), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(made.decoded, torch.sigmoid(output)[0].detach(), atol=1e-5)
    slopes = torch.autograd.grad((kl - fit).mean(), list(weights))
    assert [made.encoder_slope, made.decoder_slope] == pytest.approx(
        [float(s.norm()) for s in slopes], rel=1e-3
    )
    steps = [float(first_adam_step(s, 1e-3).norm()) for s in slopes]
    assert [made.encoder_step, made.decoder_step] == pytest.approx(steps, rel=1e-2)
    with torch.no_grad():
        moved = VAEWeights(*(w + first_adam_step(s, 1e-3) for w, s in zip(weights, slopes, strict=True)))
        terms = at.vae.terms(moved, batch[:1].double(), noise[:, :1].double())
    assert made.after == pytest.approx(float(terms.reconstruction.sum() - terms.kl.sum()), abs=2e-3)
    assert abs(made.after - made.elbo) > 0.02


def batch_of(at: summaries.Moment, row: int, key: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The first minibatch and its noise, by the keys that the docstring names."""
    train = torch.from_numpy(summaries.half(at.vae, "train").x.copy())
    order = torch.randperm(len(train), generator=generator(fold_in(key, 1)))
    rows = [row, *[int(i) for i in order if i != row]][: at.vae.batch]
    noise = torch.randn((1, len(rows), 2), generator=generator(fold_in(key, 2)))
    return train[rows], noise


def test_a_turn_follows_from_the_one_before_and_changes_nothing(trace):
    at = summaries.moment(trace, 1)
    before = [part.clone() for part in at.weights]
    three, two = turns(at, 5, 40, 1, 3), turns(at, 5, 40, 1, 2)
    assert all(torch.equal(*pair) for pair in zip(before, at.weights, strict=True))
    for left, right in zip(three, two, strict=False):
        assert left.elbo == right.elbo and left.after == right.after
    assert three[0].elbo != three[1].elbo and three[0].mean.tolist() != three[1].mean.tolist()


def test_slopes_of_a_turn_are_what_differences_say(full):
    at = summaries.moment(full, 1)
    vae = dataclasses.replace(at.vae, beta=3.0)
    at = at._replace(vae=vae, id="beta")
    made, grain = turns(at, 2, 40, 0, 1)[0], 1e-5
    assert made.beta == 3.0
    weights = VAEWeights(*(part.double() for part in at.weights))
    x = torch.from_numpy(made.x)[None]
    below = vae.encode(weights, x).scale_tril()[0].detach().tril(-1).numpy()

    def climbed(mean: np.ndarray, sd: np.ndarray) -> float:
        tril = below + np.diag(sd)
        z = torch.from_numpy(mean + tril @ made.noise)
        fit = vae.likelihood.log_prob(vae.decode(weights, z[None]), x, vae.own(weights))
        return float(fit) - 3.0 * (0.5 * (mean @ mean + (tril**2).sum() - 2.0) - np.log(sd).sum())

    for k, step in enumerate(grain * np.eye(2)):
        by_mean = (climbed(made.mean + step, made.sd) - climbed(made.mean - step, made.sd)) / (2 * grain)
        by_sd = (climbed(made.mean, made.sd + step) - climbed(made.mean, made.sd - step)) / (2 * grain)
        assert made.slope_mean[k] == pytest.approx(by_mean, rel=1e-3, abs=1e-3)
        assert made.slope_sd[k] == pytest.approx(by_sd, rel=1e-3, abs=1e-3)


def test_the_decoder_waits_while_the_encoder_steps():
    made = trained(encoder_steps=3)
    at = summaries.moment(made, 1)
    steps = [turn.decoder_step > 0.0 for turn in turns(at, 0, batches=3, count=6)]
    assert steps == [False, False, True] * 2
    assert all(turn.encoder_step > 0.0 for turn in turns(at, 0, batches=3, count=6))


@pytest.mark.parametrize("latent", [1, 2, 5])
def test_boxes_tell_the_numbers_of_their_turn(latent):
    made = trained(latent=latent, beta=2.0 if latent == 5 else 1.0)
    at = summaries.moment(made, 1)
    turn = turns(at, 0, 40, count=1)[0]
    eight = training_loop.boxes(turn, at.vae, False)
    names = ["x", "Encoder", "Draw", "Decoder", "Terms", "ELBO", "Gradient", "Adam"]
    assert [box["title"] for box in eight] == names
    rows = {box["title"]: [value for _, value in box["rows"]] for box in eight}
    assert rows["Terms"] == [number(turn.reconstruction, 2), number(turn.kl, 2)]
    assert rows["ELBO"][0] == number(turn.elbo, 2) and (len(rows["ELBO"]) == 3) == (latent == 5)
    assert rows["Encoder"][0].count(",") == min(latent - 1, 2) and ("…" in rows["Encoder"][0]) == (
        latent == 5
    )
    assert eight[0]["image"].startswith("data:image/png") and eight[3]["image"] != eight[0]["image"]


def test_while_a_run_grows_the_lesson_waits_for_its_end():
    made = AppTest.from_function(_growing, default_timeout=60).run()
    assert not made.exception and "when the run rests" in made.markdown[0].value and not made.latex


def _growing() -> None:
    from lvmviz import DigitImages, Job, TrainVAE, run
    from lvmviz.ui import training_loop

    training_loop.draw(run(Job(TrainVAE(data=DigitImages(count=60)), steps=1)), 1, True)


def test_points_are_told_as_numbers():
    toy = TrainVAE(data=Rows(table=Pinwheel(points=60)), encoder=MLP(hidden=8), decoder=MLP(hidden=8))
    toy = dataclasses.replace(toy, likelihood=GaussianNoise())
    at = summaries.moment(run(Job(toy, steps=2)), 1)
    eight = training_loop.boxes(turns(at, 0, 0, count=1)[0], toy, False)
    assert not eight[0]["image"] and eight[0]["rows"][0][0] == "x" and eight[3]["rows"][0][0] == "E[x|z]"


# ---- what the scenes claim ----

CARDS = {card.name: card for card in vae_scenes.SCENES}
TRAINED = {
    "collapse": vae_scenes.COLLAPSE, "revival": vae_scenes.REVIVAL, "mean": vae_scenes.AVERAGED,
    "lagging": vae_scenes.LAGGING, "hole": vae_scenes.HOLE,
}  # fmt: skip


@functools.cache
def ran(vae: TrainVAE, steps: int) -> Trace:
    return run(Job(vae, steps=steps, every=steps if steps > 60 else 10))


def of(link: Mapping[str, str]) -> AppTest:
    app = AppTest.from_file(PAGE, default_timeout=60)
    for name, value in link.items():
        app.query_params[name] = value
    return app.run()


def said(name: str, pattern: str) -> list[float]:
    """The numbers of a scene's reason."""
    found = re.search(pattern, CARDS[name].reason)
    assert found, CARDS[name].reason
    return [float(part.replace("−", "-")) for part in found.groups()]


def gap(trace: Trace, step: int) -> float:
    at = summaries.moment(trace, trace.steps.index(step))
    return float(summaries.told(at, summaries.half(at.vae, "test").x).kl.mean())


def test_there_are_six_and_their_words_are_short():
    assert list(CARDS) == ["collapse", "revival", "mean", "lagging", "hole", "bent"]
    for card in CARDS.values():
        assert 0 <= card.right < len(card.answers) and len(card.question) <= 90


@pytest.mark.parametrize("name", list(CARDS))
def test_a_scene_s_link_opens_what_it_says(name):
    """Every setting is taken; here with a short run."""
    card = CARDS[name]
    link = {key: text for key, text in card.link.items() if key not in ("train", "iterations")}
    app = of(link | {"iterations": "2"} if "model" not in card.link else link)
    assert not app.exception and not app.error and not app.warning
    for key, text in link.items():
        if key not in ("step", "model", "terms", "plane"):
            held = app.session_state[f"lvmviz.{key}"]
            meant = json.loads(text) if isinstance(held, list) else type(held)(text)
            assert held == meant, key


def test_a_scene_begins_its_run_where_that_is_long_and_takes_less_than_a_minute():
    for name, vae in TRAINED.items():
        steps = int(CARDS[name].link["iterations"])
        job = Job(vae, steps=steps)
        assert job.long == ("train" in CARDS[name].link), name
        assert LONG_S * job.steps * vae.effort() / LONG < 60.0, name
        assert link_of(vae).items() <= CARDS[name].link.items()


@pytest.mark.slow
def test_no_latent_carries_anything_when_a_nat_costs_eight():
    end, usual = ran(vae_scenes.COLLAPSE, 120)[-1], ran(TrainVAE(latent=8), 120)[-1]
    assert CARDS["collapse"].answers[2] == "None"
    assert float(end.state.kl.sum()) < 0.005 and end.info.active == 0 and usual.info.active == 8
    elbos = said("collapse", r"(−[\d.]+) in the ledger.*at (−[\d.]+)\.$")
    assert elbos == pytest.approx([end.info.test_elbo, usual.info.test_elbo], abs=0.15)


@pytest.mark.slow
def test_warm_up_keeps_more_latents_in_use():
    end = ran(vae_scenes.REVIVAL, 150)[-1]
    without = ran(dataclasses.replace(vae_scenes.REVIVAL, warm_up=0.0), 150)[-1]
    assert "4 stay" in CARDS["revival"].question and CARDS["revival"].answers[2] == "More"
    used, usual = (int((part.state.kl > 0.1).sum()) for part in (end, without))
    assert usual == 4 == without.info.active and [used] == said("revival", r"(\d) end above")
    elbos = said("revival", r"ledger at (−[\d.]+), not (−[\d.]+)\. Set")
    assert elbos == pytest.approx([end.info.test_elbo, without.info.test_elbo], abs=0.1)


def test_a_mean_over_thirteen_features_kills_the_latents():
    end = ran(vae_scenes.AVERAGED, 300)[-1].info
    usual = ran(dataclasses.replace(vae_scenes.AVERAGED, beta=1.0), 300)[-1].info
    assert vae_scenes.AVERAGED.data.examples().x.shape[1] == 13 == vae_scenes.AVERAGED.beta
    told = said("mean", r"KL ([\d.]+), ELBO ([\d.]+)\. Set β to 1: KL ([\d.]+), ELBO ([\d.]+)\.")
    made = [end.test_kl, end.test_elbo, usual.test_kl, usual.test_elbo]
    assert told == pytest.approx(made, abs=0.1) and end.test_kl < 0.005


def test_averaging_the_reconstruction_is_beta_times_the_number_of_features():
    """The gradient of the averaged loss is a thirteenth of that with beta = 13."""
    vae = vae_scenes.AVERAGED
    state, _ = vae.init(0)
    weights = VAEWeights(*(part.double().requires_grad_() for part in state.weights))
    x = torch.from_numpy(summaries.half(vae, "train").x[:20].copy()).double()
    noise = torch.randn((1, 20, 2), generator=generator(1), dtype=torch.float64)
    loss, terms = vae.loss(weights, x, noise, vae.beta)
    averaged = (-terms.reconstruction / 13.0 + terms.kl.sum(1)).mean()
    for left, right in zip(*(torch.autograd.grad(part, list(weights), retain_graph=True)
                             for part in (loss, 13.0 * averaged)), strict=True):  # fmt: skip
        torch.testing.assert_close(left, right)


def test_the_encoder_lags_behind_a_posterior_that_shrinks():
    lagging = gap(ran(vae_scenes.LAGGING, 40), 10)
    five = ran(dataclasses.replace(vae_scenes.LAGGING, encoder_steps=5), 50)
    told = said("lagging", r"is ([\d.]+) nats.*is ([\d.]+)\.$")
    assert told == pytest.approx([lagging, gap(five, 50)], abs=0.05) and lagging > 10 * told[1]
    assert int(CARDS["lagging"].link["step"]) == 10


def test_the_prior_lives_where_no_q_does():
    at = summaries.moment(ran(vae_scenes.HOLE, 200), 1)
    train = KDTree(summaries.half(at.vae, "train").x)
    away = train.query(summaries.bent(at).x)[0]
    tests = train.query(summaries.half(at.vae, "test").x)[0]
    share, least = said("hole", r"(\d+) % lie more than ([\d.]+) from")
    assert len(away) == 400 and 100.0 * (away > least).mean() == pytest.approx(share, abs=3.0)
    assert not (tests > least).any()


def test_no_gaussian_closes_the_gap_of_the_bent_posterior():
    assert said("bent", r"leaves ([\d.]+) of") == pytest.approx([look(vae_scenes.BENT).terms.kl], abs=0.005)
    app = of(CARDS["bent"].link)
    told = "\n".join(element.value for element in app.markdown)
    assert "Posterior p(z|x)" in told and "line 1 of 10" in told


def test_the_page_shows_the_lessons_of_one_example():
    app = of({"iterations": "3", "data.count": "120", "line": "4", "example": "7"})
    assert not app.exception and not app.error
    told = "\n".join(element.value for element in app.markdown)
    assert "One training step" in told and "line 4 of 9" in told
    assert next(box for box in app.number_input if box.label == "Training image").value == 7
    assert r"\overset{\checkmark}{=}" in "\n".join(element.value for element in app.latex)
