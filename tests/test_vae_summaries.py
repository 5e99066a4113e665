"""What pages see of a VAE: its examples, its planes, and log p(x) against oracles of their own."""

import math
import time

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lvmviz import MLP, VAE, DigitImages, GaussianNoise, Job, Pinwheel, Rows, SwissRoll, Trace, TrainVAE, run
from lvmviz.observations import halves
from lvmviz.summaries import vae as summaries

SMALL = MLP(hidden=16)


def trained(algorithm: TrainVAE, steps: int = 3) -> Trace:
    return run(Job(algorithm, steps=steps, seed=1))


@pytest.fixture(scope="module")
def digits() -> Trace:
    return trained(TrainVAE(data=DigitImages(count=400), encoder=SMALL, decoder=SMALL), 8)


@pytest.fixture(scope="module")
def wide() -> Trace:
    return trained(TrainVAE(data=DigitImages(count=200), encoder=SMALL, decoder=SMALL, latent=5))


@pytest.fixture(scope="module")
def last(digits: Trace) -> summaries.Moment:
    return summaries.moment(digits, len(digits) - 1)


# ---- the examples ----


@given(st.integers(2, 300), st.floats(0.0, 0.5))
def test_a_split_parts_all_examples(count, held_out):
    if count - max(round(held_out * count), 1) < 1:
        return
    train, test = summaries.split(count, held_out)
    assert sorted([*train, *test]) == list(range(count))
    assert len(test) == max(round(held_out * count), 1)


@pytest.mark.parametrize("name", summaries.HALVES)
def test_rows_say_which_examples_training_sees(name, digits):
    """The rows are worked out apart from training: the pixels must be the same."""
    algorithm = summaries.vae(digits)
    half = summaries.half(algorithm, name)
    examples = algorithm.data.examples()
    made = getattr(halves(algorithm.data, algorithm.likelihood, algorithm.held_out, "cpu"), name)
    assert np.array_equal(half.x, made.numpy())
    assert np.array_equal(half.x, examples.x[half.rows] > 0.5)
    assert examples.labels is not None and half.labels is not None
    assert np.array_equal(half.labels, examples.labels[half.rows])


def test_examples_cannot_be_written_to(digits):
    with pytest.raises(ValueError, match="read-only"):
        summaries.half(summaries.vae(digits), "test").x[0, 0] = 2.0


def test_another_half_and_another_trace_are_refused_in_a_sentence(digits):
    with pytest.raises(ValueError, match="use train or test"):
        summaries.half(summaries.vae(digits), "validation")
    from lvmviz import EM

    with pytest.raises(TypeError, match="give a trace of TrainVAE"):
        summaries.vae(Trace(Job(EM()), ()))


@pytest.mark.parametrize(("batch", "batches", "steps"), [(128, 100, 1), (10, 4, 8), (10, 40, 1), (320, 1, 1)])
def test_steps_an_epoch(batch, batches, steps):
    algorithm = TrainVAE(data=DigitImages(count=400), batch=batch, batches=batches)
    assert summaries.steps_an_epoch(algorithm) == steps
    info = run(Job(algorithm, steps=steps))[-1].info
    assert info.epoch == 1.0


def test_numbers_are_those_of_the_snapshots(wide):
    assert summaries.infos(wide) == [snapshot.info for snapshot in wide]
    assert np.allclose(summaries.column(summaries.infos(wide), "kl"), [s.info.kl for s in wide])
    by_latent = summaries.kl_by_latent(wide)
    assert by_latent.shape == (4, 5)
    assert np.allclose(by_latent.sum(1), [s.info.kl for s in wide], atol=1e-4)


def test_a_snapshot_is_read_once_however_the_trace_grows():
    read = []

    class Counting(Trace):
        def __getitem__(self, index):
            read.append(index)
            return super().__getitem__(index)

    whole = run(Job(TrainVAE(data=DigitImages(count=60), encoder=SMALL, decoder=SMALL), steps=5, seed=77))
    for count in (2, 4, 6):
        assert len(summaries.infos(Counting(whole.job, list(whole)[:count]))) == count
    assert sorted(set(read)) == list(range(6)) and len(read) <= 12


# ---- pictures ----


def test_means_and_ellipses_are_those_of_the_encoder(last):
    plane = summaries.plane(last)
    algorithm = last.vae
    x = torch.tensor(algorithm.data.examples().x[plane.rows] > 0.5, dtype=torch.float64)
    weights = type(last.weights)(*(part.double() for part in last.weights))
    looked = algorithm.encode(weights, x)
    assert np.allclose(plane.means, looked.means.numpy(), atol=1e-4)
    cov = plane.factors @ plane.factors.transpose(0, 2, 1)
    sds = looked.log_sds.exp().numpy()[: len(cov)]
    assert np.allclose(cov, np.stack([np.diag(sd**2) for sd in sds]), atol=1e-9)
    test_rows = set(summaries.half(algorithm, "test").rows.tolist())
    assert [row in test_rows for row in plane.rows.tolist()] == plane.tested.tolist()


def test_a_full_q_keeps_its_correlation():
    algorithm = TrainVAE(
        data=DigitImages(count=100), encoder=SMALL, decoder=SMALL, latent=3, posterior="full"
    )
    at = summaries.moment(trained(algorithm, 5), 5)
    plane = summaries.plane(at, (2, 0))
    some, _ = summaries.shown(at)
    full = summaries.q(at, some.x[: summaries.ELLIPSES]).scale_tril()
    cov = (full @ full.mT).numpy()[:, [2, 0]][:, :, [2, 0]]
    assert np.allclose(plane.factors @ plane.factors.transpose(0, 2, 1), cov, atol=1e-12)
    assert np.abs(cov[:, 0, 1]).max() > 1e-4


def test_a_manifold_decodes_its_own_places(last):
    grid = summaries.manifold(last, (0, 1), 5, 2.0)
    assert grid.images.shape == (5, 5, 8, 8)
    one = summaries.decode(last, np.array([[-2.0, 1.0]]))  # the first column, the fourth row from below
    assert np.allclose(grid.images[3, 0].ravel(), one[0], atol=1e-6)
    other = summaries.manifold(last, (1, 0), 5, 2.0)
    assert np.allclose(other.images, grid.images.transpose(1, 0, 2, 3), atol=1e-6)


def test_other_latents_are_zero(wide):
    at = summaries.moment(wide, 3)
    grid = summaries.manifold(at, (4, 1), 3, 1.5)
    z = np.zeros((1, 5))
    z[0, 4], z[0, 1] = 1.5, -1.5
    assert np.allclose(grid.images[0, 2].ravel(), summaries.decode(at, z)[0], atol=1e-6)


def test_reconstructions_show_every_class(last):
    made = summaries.reconstructions(last, "test", 10)
    labels = last.vae.data.examples().labels
    assert labels is not None and sorted(labels[made.rows].tolist()) == list(range(10))
    assert np.array_equal(made.x, last.vae.data.examples().x[made.rows] > 0.5)
    assert np.allclose(made.decoded, summaries.decode(last, summaries.means(last, made.x)), atol=1e-6)


def test_the_prior_is_bent_by_the_decoder():
    at = summaries.moment(trained(TrainVAE(data=Rows(table=SwissRoll()), likelihood=GaussianNoise())), 3)
    made = summaries.bent(at, 50)
    assert made.z.shape == (50, 2) and made.x.shape == (50, 3)
    assert np.allclose(made.x, summaries.decode(at, made.z), atol=1e-6)
    assert abs(made.z.mean()) < 0.5 and 0.7 < made.z.std() < 1.3


@given(st.integers(1, 500), st.integers(2, 30), st.integers(1, 4))
def test_keyframes(count, most, every):
    steps = list(range(0, count * every, every))
    chosen = summaries.keyframes(steps, most)
    assert chosen == sorted(set(chosen)) and chosen[0] == 0 and chosen[-1] == count - 1
    assert len(chosen) <= most + 1
    assert count // 2 in summaries.keyframes(steps, most, also=(count // 2,))


def test_keyframes_stay_while_a_trace_grows():
    short, long = (summaries.keyframes(list(range(count)), 30) for count in (40, 90))
    assert set(short[:-1]) <= set(long)


# ---- log p(x) ----


def integrated(at: summaries.Moment, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """log p(x) and the ELBO by a plain grid of z, from the networks alone."""
    line = torch.linspace(-7.0, 7.0, 561, dtype=torch.float64)
    z = torch.cartesian_prod(line, line)
    weights = type(at.weights)(*(part.double() for part in at.weights))
    rows, area = torch.tensor(x, dtype=torch.float64), float(line[1] - line[0]) ** 2
    prior = torch.distributions.Normal(0.0, 1.0).log_prob(z).sum(-1)
    looked = at.vae.encode(weights, rows)
    evidence, bound = [], []
    with torch.no_grad():
        output = at.vae.decode(weights, z)
        for n in range(len(x)):
            joint = at.vae.likelihood.log_prob(output, rows[n], at.vae.own(weights)) + prior
            evidence.append(float(torch.logsumexp(joint, 0)) + math.log(area))
            sd = looked.log_sds[n].exp()
            log_q = torch.distributions.Normal(looked.means[n], sd).log_prob(z).sum(-1)
            bound.append(float((log_q.exp() * (joint - log_q)).sum()) * area)
    return np.array(evidence), np.array(bound)


def test_the_evidence_is_the_integral(last):
    x = summaries.half(last.vae, "test").x[:4]
    made = summaries.told(last, x)
    evidence, bound = integrated(last, x)
    assert made.exact and made.settled
    assert np.allclose(made.log_evidence, evidence, atol=1e-6)
    assert np.allclose(made.elbo, bound, atol=1e-6)
    assert np.allclose(made.kl, evidence - bound, atol=1e-5)


def test_all_presentations_agree(last):
    terms = summaries.told(last, summaries.half(last.vae, "train").x[:20]).mean()
    assert terms.log_evidence - terms.kl == pytest.approx(terms.elbo, abs=1e-5)
    assert terms.joint + terms.entropy == pytest.approx(terms.elbo, abs=1e-9)
    assert terms.likelihood - terms.kl_prior == pytest.approx(terms.elbo, abs=1e-9)


def test_an_estimate_is_near_and_says_how_near(last):
    x = summaries.half(last.vae, "test").x[:40]
    exact, rough = summaries.told(last, x), summaries.estimated(last, x, draws=4000)
    assert not rough.exact and rough.draws == 4000 and rough.standard_error > 0.0
    assert abs(rough.mean().log_evidence - exact.mean().log_evidence) < 5 * rough.standard_error + 1e-3
    assert rough.mean().likelihood == pytest.approx(exact.mean().likelihood, abs=0.05)
    assert rough.mean().kl_prior == pytest.approx(exact.mean().kl_prior, abs=1e-9)


def test_kinks_and_more_latents_are_estimated(wide):
    assert not summaries.exact_possible(summaries.vae(wide))
    assert not summaries.exact_possible(TrainVAE(decoder=MLP(activation="relu")))
    assert summaries.exact_possible(TrainVAE(encoder=MLP(activation="relu")))
    at = summaries.moment(wide, 3)
    assert summaries.told(at, summaries.half(at.vae, "test").x[:5]).draws == summaries.DRAWS


def test_evidence_is_worked_out_in_parts_and_kept(digits):
    at = summaries.moment(digits, 3)
    parts = len(summaries.starts(at.vae, "train"))
    assert parts > 1 and summaries.known(at.id, at.step, "train", parts) is None
    assert summaries.advance(at, "train", time.monotonic() - 1.0) is None
    whole = summaries.advance(at, "train", math.inf)
    assert whole is not None and len(whole.elbo) == min(320, summaries.MOST)
    at_once = summaries.told(at, summaries.half(at.vae, "train").x)
    assert np.allclose(whole.log_evidence, at_once.log_evidence, atol=1e-6)
    again = summaries.known(at.id, at.step, "train", parts)
    assert again is not None and np.array_equal(again.kl, whole.kl)
    assert summaries.known(at.id, at.step, "train", parts, rough=True) is None


def test_no_more_than_500_are_looked_at():
    algorithm = TrainVAE(data=Rows(table=Pinwheel(points=3000)), likelihood=GaussianNoise())
    starts = summaries.starts(algorithm, "train")
    assert starts[0] == 0 and starts[-1] < summaries.MOST == 500


# ---- files ----


def test_the_file_is_one_that_the_estimator_reads(last, tmp_path):
    path = tmp_path / "vae.safetensors"
    path.write_bytes(summaries.file(last, 8))
    x = last.vae.data.examples().x[:30]
    loaded = VAE.load(path)
    prepared = (x > 0.5).astype(np.float32)
    assert np.allclose(loaded.transform(x), summaries.means(last, prepared), atol=1e-4)
    assert np.allclose(loaded.score_samples(x), summaries.told(last, prepared).log_evidence, atol=1e-6)
    assert loaded.max_epochs == 8


def test_settings_are_plain(last, digits):
    import json

    told = json.loads(json.dumps(summaries.settings(last, digits[8].info)))
    assert told["step"] == 8 and told["info"]["test_elbo"] == digits[8].info.test_elbo
