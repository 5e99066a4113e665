"""EM's relatives on the page Mixtures: their controls, their words, their numbers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from lvmviz import (
    EM,
    Added,
    Diagonal,
    Floor,
    GeneralizedEM,
    Job,
    KMeans,
    Scheme,
    SoftKMeans,
    Spherical,
    Tied,
    Trace,
    run,
)
from lvmviz.core import each
from lvmviz.mixtures import responsibilities
from lvmviz.ui import link_of
from lvmviz.ui.em_scenes import SCENES
from tests.widgets import control, sound, visited, words

PAGE = str(Path(__file__).parents[2] / "pages" / "05_mixtures.py")
FREE = {"covariance", "regularizer", "regularizer.amount"}


def controls(app) -> set[str]:
    kinds = ("slider", "select_slider", "selectbox", "number_input")
    keys = [one.key or "" for kind in kinds for one in app.get(kind)]
    return {key.removeprefix("lvmviz.").partition("~")[0] for key in keys}


def player(app) -> dict:
    (found,) = [
        json.loads(one.proto.json)
        for one in app.get("bidi_component")
        if one.proto.component_name == "lvmviz_player"
    ]
    return found


@pytest.mark.parametrize("scheme", list(each(Scheme)), ids=lambda scheme: type(scheme).__name__)
def test_every_scheme_has_its_own_controls_and_words(scheme):
    app = visited(PAGE, **link_of(EM(scheme=scheme)))
    assert (controls(app) >= FREE) == scheme.free and bool(controls(app) & FREE) == scheme.free
    assert ("touches" in words(app)) == scheme.closes and ("assigns" in words(app)) != scheme.closes
    e, m, _ = player(app)["buttons"]
    assert scheme.e_does in e["help"] and scheme.m_does in m["help"]
    assert e["refusal"][1] == scheme.e_again and m["refusal"][2] == scheme.m_again


def test_choosing_another_scheme_keeps_the_rest():
    app = visited(PAGE, **link_of(EM(components=4, covariance=Tied(), regularizer=Added(amount=0.01))))
    sound(control(app, "scheme").set_value("KMeans").run())
    assert app.query_params["scheme"] == "KMeans" and "covariance" not in app.query_params
    sound(control(app, "scheme").set_value("GeneralizedEM").run())
    assert {"components": "4", "scheme": "GeneralizedEM"}.items() <= dict(app.query_params).items()
    sound(control(app, "scheme.part").set_value(1.0).run())
    assert app.query_params["scheme.part"] == "1"


@pytest.mark.parametrize(
    "em",
    [
        EM(scheme=KMeans()),
        EM(scheme=GeneralizedEM(part=0.5), covariance=Diagonal()),
        EM(covariance=Spherical(), regularizer=Floor(amount=0.01)),
    ],
    ids=["k-means", "generalized", "spherical"],
)
def test_the_ledger_tells_what_the_printed_lines_compute(em):
    app = visited(PAGE, **link_of(em), step="6")
    told = run(Job(em, steps=200))[6].info
    printed = "\n".join(code.value for code in app.code).replace("−", "-")
    assert f"trace[6].info.elbo  # {told.elbo:.4f} nats" in printed


def test_a_shared_covariance_that_collapses_is_said_to_be_shared():
    em = EM(components=20, covariance=Tied(), regularizer=Floor(amount=0.0))
    app = visited(PAGE, **link_of(em), **{"data": "Blobs", "data.points": "20", "data.clusters": "1"})
    ends = {button["refusal"][-1] for button in player(app)["buttons"]}
    assert ends == {"The shared covariance has collapsed: no step leads on from here."}


def ended(name: str) -> tuple[Trace, EM]:
    """The trace of a scene and its EM, to its end."""
    (link,) = [scene.link for scene in SCENES if scene.name == name]
    app = visited(PAGE, **{key: str(value) for key, value in link.items()})
    told = "\n".join(code.value for code in app.code)
    space: dict = {}
    exec(told[told.index("from lvmviz") :].partition("trace[")[0], space)  # the lines that the page prints
    return space["trace"], space["em"]


def right(trace: Trace, em: EM) -> float:
    """The share of points in the right cluster, of two."""
    table = em.data.table()
    found = responsibilities(trace[-1].state.theta_q, torch.from_numpy(table.points.copy())).resp.argmax(1)
    share = float((found.numpy() == table.labels).mean())
    return max(share, 1.0 - share)


def test_the_scenes_of_the_relatives_say_what_is_so():
    trace, em = ended("distance-alone")
    assert round(right(trace, em), 2) == 0.63
    em = EM(data=em.data, components=2)
    assert round(right(run(Job(em, steps=200, seed=1)), em), 2) == 0.90
    trace, em = ended("soft")
    apart = trace[-1].state.theta.means - torch.from_numpy(em.data.table().points.mean(0))
    assert float(apart.abs().max()) < 0.02
    means = run(Job(EM(scheme=SoftKMeans(stiffness=0.3)), steps=400))[-1].state.theta.means
    assert float((means[0] - means[1]).norm()) > 1.0
    trace, em = ended("half-hearted")
    rises = [one.info.rise for one in trace]
    assert trace[-1].info.iteration == 268 and min(rises) > -1e-9
    assert run(Job(EM(), steps=400, seed=31))[-1].info.iteration == 68
