"""The latent space's strip, scenes and code: z by hand, claims measured again, code that runs."""

import ast
import math
from pathlib import Path

import numpy as np
import pytest
import scipy.stats
import torch
from streamlit.testing.v1 import AppTest

from lvmviz import ContinuousBernoulli, DigitImages, GaussianNoise, Job, TrainVAE, run
from lvmviz.runs.execute import execute
from lvmviz.runs.store import Store, run_id
from lvmviz.summaries import latent, latent_own, missing_pixels, pixels_by_vae, vae
from lvmviz.summaries import latent_strip as strips
from lvmviz.summaries.latent_view import two_latents
from lvmviz.summaries.vae import Moment
from lvmviz.ui import latent_plane, latent_scenes, latent_sketch, pixels_scenes
from lvmviz.ui.latent_runs import FIRST
from tests.widgets import control, visited, words

PAGE = str(Path(__file__).parents[1] / "pages/08_latent_space.py")
SMALL = Job(TrainVAE(data=DigitImages(count=200)), steps=4)
SCENES = {scene.name: scene for scene in latent_scenes.SCENES}


def last(job: Job) -> Moment:
    trace = run(job)
    return vae.moment(trace, len(trace) - 1)


@pytest.fixture(scope="module")
def at() -> Moment:
    return last(SMALL)


@pytest.fixture(scope="module")
def default() -> Moment:
    return last(FIRST)


def test_numbers_of_the_scene_in_which_this_run_finishes_a_digit(default):
    scene = next(one for one in pixels_scenes.SCENES if one.name == "vae-finishes")
    joint, hidden = pixels_by_vae.joint(default), np.arange(64) < 16
    x = joint.images[int(scene.link["image"])]
    open_ = missing_pixels.opened(missing_pixels.Image(joint, x, hidden))
    terms = missing_pixels.terms(open_, missing_pixels.path(open_, np.full(16, 0.5)))
    assert f"{terms[0].kl:.2f} nats" in scene.reason and f"{terms[-1].kl:.3f}".lstrip("0") in scene.reason
    assert ((open_.posterior_mean > 0.5) == (x[hidden] > 0.5)).all()
    assert joint.labels is not None and joint.labels[int(scene.link["image"])] == 9


# ---- z ----


def test_a_traverse_moves_one_latent_and_no_other():
    made = strips.traverse(np.array([0.3, -0.7, 1.1]), 1, 5)
    assert made.tolist() == [[0.3, v, 1.1] for v in (-3.0, -1.5, 0.0, 1.5, 3.0)]


def test_arithmetic_leads_from_c_as_from_b_to_a():
    a, b, c = np.array([1.0, 2.0]), np.array([0.5, -1.0]), np.array([-2.0, 0.25])
    made = strips.arithmetic(a, b, c)
    assert made[:3].tolist() == [a.tolist(), b.tolist(), c.tolist()]
    assert made[3].tolist() == [-1.5, 3.25]


def test_draws_of_the_prior_are_standard_normal(at):
    z = strips.draws(at, "Prior", 2000)
    assert scipy.stats.kstest(z.ravel(), "norm").pvalue > 1e-3
    assert (z[:10] == strips.draws(at, "Prior", 2000)[:10]).all() and z.shape == (2000, 2)


def test_draws_of_the_aggregated_posterior_have_its_moments():
    at = last(Job(TrainVAE(data=DigitImages(count=20)), steps=150))  # few, so that each is missed
    z = strips.draws(at, "Aggregated posterior", 20_000)
    q = vae.q(at, vae.half(at.vae, "train").x)
    means, cov = q.means.numpy(), (q.scale_tril() @ q.scale_tril().mT).numpy()
    wanted = cov.mean(0) + np.cov(means.T, bias=True)  # the law of total variance
    assert z.mean(0) == pytest.approx(means.mean(0), abs=5 * math.sqrt(wanted.max() / 20_000))
    assert np.cov(z.T) == pytest.approx(wanted, abs=0.05 * wanted.max())


# ---- variance ----


def test_the_variance_is_that_of_each_likelihood():
    view = two_latents((0, 1), (0.0, 0.0), (0.0, 0.0), 3.0)
    at = last(Job(TrainVAE(data=DigitImages(count=60), likelihood=ContinuousBernoulli()), steps=2))
    output = at.vae.decode(at.weights, torch.zeros(1, 2))[0].detach().numpy().astype(float)
    x = (np.arange(20_000) + 0.5) / 20_000
    density = np.exp(output[:, None] * x)
    mean = (density * x).sum(1) / density.sum(1)
    variance = (density * x**2).sum(1) / density.sum(1) - mean**2
    assert latent.uncertainty(at, view, 3)[1, 1] == pytest.approx(variance.mean(), rel=1e-4)


def test_it_is_offered_only_where_it_depends_on_z(at):
    assert latent_plane.VARIANCE in latent_plane.modes(at)
    noisy = Moment(TrainVAE(likelihood=GaussianNoise()), at.weights, "", 0)
    assert latent_plane.VARIANCE not in latent_plane.modes(noisy)


# ---- the scenes' claims, measured ----


def places(at: Moment) -> dict[str, int]:
    test = vae.half(at.vae, "test")
    return {latent.named(at, test, "test", k): k for k in range(len(test.x))}


def test_the_line_between_two_nines_leaves_the_nines_and_meets_no_hole(default):
    test, train = (vae.half(default.vae, name) for name in ("test", "train"))
    first, end = (vae.means(default, test.x[[places(default)[name]]])[0] for name in latent_scenes.NINES)
    z = first + np.linspace(0, 1, 12)[:, None] * (end - first)
    means = vae.means(default, train.x)
    nearest = [int(np.argmin(((means - one) ** 2).sum(1))) for one in z]
    assert train.labels is not None and (train.labels[nearest] != 9).sum() > 6
    q = vae.q(default, train.x[:3000])
    cov = (q.scale_tril() @ q.scale_tril().mT).numpy()
    parts = [scipy.stats.multivariate_normal(m, c).pdf(z) for m, c in zip(q.means.numpy(), cov, strict=True)]
    assert (np.mean(parts, 0) > 0.5 * scipy.stats.multivariate_normal([0, 0]).pdf(z)).all()


def test_the_furthest_image_is_furthest_with_one_mode_beside_q(default):
    test, place = vae.half(default.vae, "test"), places(default)[latent_scenes.FURTHEST]
    gaps = vae.told(default, test.x).kl
    assert int(gaps.argmax()) == place and gaps[place] == pytest.approx(2.1, abs=0.05)
    assert gaps[place] / gaps.mean() == pytest.approx(6, abs=0.5)
    made = latent.density(default, test.x[place], 96)
    inner = made.density[1:-1, 1:-1]
    around = [made.density[1 + i : 95 + i, 1 + j : 95 + j] for i in (-1, 0, 1) for j in (-1, 0, 1) if i or j]
    assert int((inner > np.max(around, 0)).sum()) == 1
    weight = made.density / made.density.sum()
    mean = np.array([(weight.sum(0) * made.first).sum(), (weight.sum(1) * made.second).sum()])
    q = vae.q(default, test.x[[place]])
    away = np.linalg.solve(q.scale_tril()[0].numpy(), mean - q.means[0].numpy())
    assert np.linalg.norm(away) > 2.0


def test_prior_and_aggregated_posterior_share_most_of_their_mass(default):
    assert strips.apart(default) == pytest.approx(0.14, abs=0.005)
    means = vae.means(default, vae.half(default.vae, "train").x)
    for source in strips.SOURCES:
        z = strips.draws(default, source, 4000)
        bumps = np.exp(-0.5 * ((means - z[:, None]) ** 2).sum(-1) / latent.WIDE**2).sum(1)
        pale = 1.0 - np.exp(-bumps / latent.DENSE) <= 0.5
        assert pale.mean() == pytest.approx(0.09, abs=0.015), source


def test_apart_is_half_the_integral_of_the_difference(at):
    rng = np.random.default_rng(0)
    q = vae.q(at, vae.half(at.vae, "train").x)
    z, cov = rng.standard_normal((20_000, 2)), (q.scale_tril() @ q.scale_tril().mT).numpy()
    parts = [scipy.stats.multivariate_normal(m, c).pdf(z) for m, c in zip(q.means.numpy(), cov, strict=True)]
    ratio = np.mean(parts, 0) / scipy.stats.multivariate_normal([0, 0]).pdf(z)
    assert strips.apart(at) == pytest.approx(np.maximum(0.0, 1.0 - ratio).mean(), abs=0.02)


# ---- the page ----


def opened(link: dict[str, str]) -> AppTest:
    return visited(PAGE, **link)


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    path = tmp_path_factory.mktemp("strip")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LVMVIZ_HOME", str(path))
        assert execute(SMALL, Store(path).create(SMALL).path) == "finished"
        yield path


@pytest.mark.parametrize(
    ("mode", "said", "names"),
    [("Walk", "12 decoded frames", {"goal", "path"}), ("Traverse", "z1 from −3 to 3", {"along"}),
     ("Arithmetic", "−", {"minus", "plus"}), ("Samples", "draws of the prior", {"source"})],
)  # fmt: skip
def test_every_strip_has_its_controls_and_at_most_six_are_in_view(home, mode, said, names):
    app = opened({"strip": mode, "v": "1"})
    assert f"**{mode}**" in words(app) and said in words(app) and not app.warning
    boxes = {box.key.removeprefix("lvmviz.") for box in app.selectbox if box.key}
    assert names <= boxes and len(boxes - {"zoom"}) + 1 <= 6  # and the button that draws


def test_a_strip_of_a_clicked_place_starts_there(home):
    for mode in ("Walk", "Traverse", "Arithmetic"):
        assert "the pin" in words(opened({"strip": mode, "at": "0.5,-1", "v": "1"}))


def test_the_link_names_the_run(home):
    assert "".join(opened({}).query_params["run"]) == run_id(SMALL)


def test_a_scene_offers_to_train_its_run_where_that_is_not_there(home):
    app = opened(dict(SCENES["walk"].link) | {"scene": "walk", "v": "1"})
    assert "No VAE of images is trained" in words(app) and SCENES["walk"].question in words(app)
    assert any(button.label.startswith("Train on Digits") for button in app.button)
    run_box = next(box for box in app.selectbox if box.label == "Run")
    run_box.set_value(run_id(SMALL)).run()
    assert "Posterior and q" in words(app) and not app.exception


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    path = tmp_path_factory.mktemp("both")
    for job in (FIRST, SMALL):  # the newest is another one
        assert execute(job, Store(path).create(job).path) == "finished"
    return path


@pytest.mark.parametrize("name", SCENES)
def test_a_scene_shows_its_run_where_it_is(name, both, monkeypatch):
    monkeypatch.setenv("LVMVIZ_HOME", str(both))
    app = opened(dict(SCENES[name].link) | {"scene": name, "v": "1"})
    assert not app.warning and "".join(app.query_params["run"]) == run_id(FIRST)
    assert app.button_group  # the answers
    for asked, value in SCENES[name].link.items():
        if asked != "run":
            assert control(app, asked).value == value


# ---- the code panel ----


def told_by(source: str) -> tuple[float, float]:
    """What the last line of the code says when all of it is run."""
    tree = ast.parse(source)
    shown = ast.Expression(tree.body.pop().value)  # type: ignore[attr-defined]
    names: dict = {}
    exec(compile(tree, "code", "exec"), names)
    return eval(compile(shown, "code", "eval"), names)


PIXELS = np.zeros((8, 8), np.uint8)
PIXELS[1:7, 3] = 255


@pytest.mark.parametrize(
    "link",
    [{}, {"at": "0.5,-1"}, {"own": latent_own.packed(PIXELS), "image": latent_sketch.NAME}],
    ids=["chosen", "clicked", "drawn"],
)
def test_the_code_gives_the_pinned_image_s_evidence(home, at, link):
    app = opened(link | {"v": "1"})
    source = app.code[-1].value if "from lvmviz" in app.code[-1].value else app.code[0].value
    evidence, elbo = told_by(source)
    test, train = (vae.half(at.vae, name).x for name in ("test", "train"))
    x = (PIXELS.reshape(-1) > 127).astype(np.float32) if "own" in link else (
        train[latent.nearest(at, np.array([0.5, -1.0]))] if link else
        test[vae.varied(vae.half(at.vae, "test").labels, len(test), 1)[0]])  # fmt: skip
    made = vae.told(at, x[None])
    assert (evidence, elbo) == pytest.approx((float(made.log_evidence[0]), float(made.elbo[0])), abs=1e-6)
    assert f"{evidence:.2f}".replace("-", "−") in source and f"{elbo:.2f}".replace("-", "−") in source
