"""lvmviz.VAE: scikit-learn's manners, the algorithm's numbers, and files that cannot do harm."""

import json
import pickle
import struct

import numpy as np
import pytest
import safetensors.torch
import torch
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from lvmviz import MLP, VAE, Convolutional, GaussianNoise, LinearMap
from lvmviz.amortized import Q
from lvmviz.latent_model import estimate

X = load_digits().data[:200] / 16.0
SMALL = {"encoder": MLP(hidden=16), "decoder": MLP(hidden=16), "max_epochs": 20, "random_state": 0}


@pytest.fixture(scope="module")
def fitted() -> VAE:
    return VAE(**SMALL).fit(X)


def test_manners(fitted):
    assert fitted.transform(X[:7]).shape == (7, 2)
    assert fitted.inverse_transform(fitted.transform(X[:7])).shape == (7, 64)
    assert fitted.n_iter_ == 20 and fitted.n_features_in_ == 64
    again = clone(fitted)
    with pytest.raises(NotFittedError):
        again.transform(X)
    np.testing.assert_array_equal(again.fit(X).transform(X), fitted.transform(X))
    assert not np.array_equal(
        clone(fitted).set_params(random_state=1).fit(X).transform(X), fitted.transform(X)
    )
    piped = make_pipeline(FunctionTransformer(lambda x: x / 16.0), VAE(**SMALL)).fit(load_digits().data[:200])
    np.testing.assert_array_equal(piped.transform(load_digits().data[:200]), fitted.transform(X))


def test_numbers(fitted):
    """log p(x) against draws, above the bound; the bound against draws of q."""
    x = X[:20]
    exact, bound = fitted.score_samples(x), fitted.elbo_samples(x)
    assert (exact > bound).all() and fitted.score(x) == pytest.approx(exact.mean())
    binary = torch.from_numpy((x > 0.5).astype(float))
    prior = Q(torch.zeros(20, 2).double(), torch.zeros(20, 2).double(), None)
    told = estimate(fitted._vae.model(fitted.weights_), binary, prior, 20_000, 1)
    apart = np.abs(told.log_evidence.numpy() - exact)
    assert (apart < 6.0 * told.standard_error.numpy() + 1e-9).all()
    np.testing.assert_allclose(fitted._drawn(binary), bound, atol=0.5)


def test_training_helps():
    short, long = (VAE(**{**SMALL, "max_epochs": n, "learning_rate": 0.01}).fit(X) for n in (0, 60))
    assert long.score(X) > short.score(X) + 5.0 and long.elbo_ > short.elbo_ + 5.0


def test_more_latents_and_kinks_are_estimated():
    three = VAE(3, **SMALL).fit(X)
    kinked = VAE(**{**SMALL, "decoder": MLP(hidden=16, activation="relu")}).fit(X)
    for vae in (three, kinked):
        assert (vae.score_samples(X[:5]) > vae.elbo_samples(X[:5]) - 0.5).all()


def test_images_need_their_shape():
    vae = VAE(encoder=Convolutional(channels=2), decoder=Convolutional(channels=2), max_epochs=1)
    assert vae.set_params(image_shape=(8, 8)).fit(X).transform(X).shape == (200, 2)
    with pytest.raises(ValueError, match="choose an MLP"):
        vae.set_params(image_shape=None).fit(X)
    with pytest.raises(ValueError, match="has 63 pixels and X 64 columns"):
        vae.set_params(image_shape=(7, 9)).fit(X)


def test_wrong_data_get_a_sentence(fitted):
    with pytest.raises(ValueError, match="from 0 to 1"):
        VAE(**SMALL).fit(X * 16.0)
    with pytest.raises(ValueError, match="NaN"):
        VAE(**SMALL).fit(np.where(X > 0.9, np.nan, X))
    with pytest.raises(ValueError, match="63 features"):
        fitted.transform(X[:, 1:])
    with pytest.raises(ValueError, match="one row of 2 numbers"):
        fitted.inverse_transform(np.zeros((3, 4)))
    with pytest.raises(ValueError, match="Lower the learning rate"):
        VAE(**{**SMALL, "learning_rate": 10.0, "max_epochs": 50}).fit(X)


# ---- files ----


@pytest.mark.parametrize("likelihood", [None, GaussianNoise(sd=0.3, learned=True)])
def test_saved_and_loaded_is_the_same(tmp_path, likelihood):
    vae = VAE(**SMALL, likelihood=likelihood, posterior="full").fit(X)
    vae.save(tmp_path / "vae.safetensors")
    back = VAE.load(tmp_path / "vae.safetensors")
    for name in ("transform", "score_samples", "elbo_samples"):
        np.testing.assert_array_equal(getattr(back, name)(X[:5]), getattr(vae, name)(X[:5]))
    assert back.get_params() == {**vae.get_params(), "random_state": None}


class Trap:
    """Runs when a pickle is opened."""

    def __reduce__(self):
        return pytest.fail, ("a pickle was opened",)


def test_files_that_are_no_vae_get_a_sentence(tmp_path, fitted):
    path = tmp_path / "vae.safetensors"
    fitted.save(path)
    good = path.read_bytes()
    torch.save({"a": Trap()}, tmp_path / "torch.pt")
    others = [b"", good[:-1], good[:50], pickle.dumps(Trap()), (tmp_path / "torch.pt").read_bytes()]
    others += [struct.pack("<Q", 2**60) + good[8:], safetensors.torch.save({"encoder": torch.zeros(3)})]
    for data in others:
        path.write_bytes(data)
        with pytest.raises(ValueError, match="holds no VAE that lvmviz saved"):
            VAE.load(path)


def test_weights_of_another_architecture_get_a_sentence(tmp_path, fitted):
    path = tmp_path / "vae.safetensors"
    fitted.save(path)
    data = path.read_bytes()
    told = json.loads(data[8 : 8 + struct.unpack("<Q", data[:8])[0]])["__metadata__"]["lvmviz VAE"]
    tensors = safetensors.torch.load(data)

    def altered(parts: dict, **settings: object) -> None:
        text = json.dumps({**json.loads(told), **settings})
        path.write_bytes(safetensors.torch.save(parts, {"lvmviz VAE": text}))

    for settings in ({"n_components": 3}, {"n_features": 63}, {"decoder": {"choice": "LinearMap"}}):
        altered(tensors, **settings)
        with pytest.raises(ValueError, match="those of another architecture"):
            VAE.load(path)
    for parts in ({"encoder": tensors["encoder"]}, {**tensors, "decoder": tensors["decoder"].double()}):
        altered(parts)
        with pytest.raises(ValueError, match="those of another architecture|are no float32"):
            VAE.load(path)
    wrong = [{"decoder": {"choice": "os.system"}}, {"evil": 1}, {"n_components": 0}, {"n_features": "x"},
             {"posterior": "flow"}, {"n_features": -1}, {"image_shape": [8]}, {"beta": None}]  # fmt: skip
    for settings in wrong:
        altered(tensors, **settings)
        with pytest.raises(ValueError, match="settings that this lvmviz does not know|another architecture"):
            VAE.load(path)
    altered({**tensors, "encoder": tensors["encoder"] * torch.nan})
    with pytest.raises(ValueError, match="not finite"):
        VAE.load(path)


def test_a_linear_vae_can_be_asked():
    vae = VAE(encoder=LinearMap(), decoder=LinearMap(), likelihood=GaussianNoise(learned=True), max_epochs=2)
    assert np.isfinite(vae.fit(X).score_samples(X[:3])).all()


def test_columns_have_names_and_a_table_can_come_out(fitted):
    assert fitted.get_feature_names_out().tolist() == ["vae0", "vae1"]
    table = clone(fitted).set_output(transform="pandas").fit(X[:60]).transform(X[:5])
    assert list(table.columns) == ["vae0", "vae1"]


def test_a_path_without_a_file_and_a_folder_get_a_sentence(tmp_path):
    for path in (tmp_path / "none.safetensors", tmp_path):
        with pytest.raises(ValueError, match=r"could not be read .*: give a file that VAE.save wrote"):
            VAE.load(path)


def test_places_that_are_no_numbers_are_refused(fitted):
    with pytest.raises(ValueError, match="missing or infinite"):
        fitted.inverse_transform([[0.0, np.nan]])
