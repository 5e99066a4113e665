"""Beyond mixtures: every model, its controls, words and numbers, links, scenes, and what goes wrong."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from lvmviz import (
    ECM,
    EM,
    MCAR,
    PPCAEM,
    AsGiven,
    DigitPixels,
    EMRegression,
    EvidenceAscent,
    GeneralizedEM,
    Job,
    MissingGaussianEM,
    MonteCarloEM,
    Polynomial,
    Stored,
    SwappedRegression,
    TableColumn,
    VariationalEM,
    own_data,
    run,
)
from lvmviz.core import Algorithm
from lvmviz.summaries import missing, ppca, relatives, swapped_regression
from lvmviz.tables import read_table
from lvmviz.ui import link_of, runs
from lvmviz.ui.beyond_scenes import SCENES
from tests.widgets import control, sound, visited, words

PAGE = str(Path(__file__).parents[2] / "pages" / "06_em_beyond.py")
MODELS: dict[str, tuple[Algorithm, int]] = {
    "Missing features": (MissingGaussianEM(), 40),
    "Regression": (EMRegression(), 100),
    "Roles swapped": (SwappedRegression(), 100),
    "Monte-Carlo EM": (MonteCarloEM(), 25),
    "Generalized EM": (EM(scheme=GeneralizedEM()), 40),
    "ECM": (ECM(), 40),
    "Variational EM": (VariationalEM(), 40),
    "Probabilistic PCA": (PPCAEM(), 30),
}
GAPPED = "a,b,c\n1,2,1\n,3,0\n2.5,,2\n4,5,1.5\n3,4,\n2,2.2,1\n"


def parts(app: AppTest, component: str) -> list[dict]:
    """What the browser's components of a kind were told."""
    found = [one.proto for one in app.get("bidi_component")]
    return [json.loads(one.json) for one in found if one.component_name == f"lvmviz_{component}"]


def plots(app: AppTest) -> dict[str, dict]:
    return {one["name"]: one for one in parts(app, "plot")}


def job(app: AppTest) -> Job:
    """The job whose trace is shown."""
    return app.session_state["lvmviz.kept"][1].job


def plain(text: str) -> str:
    return text.replace("\\", "").replace("\u2060", "")


# ---- every model ----


def test_the_menu_leads_to_every_model_and_back():
    app = visited(PAGE)
    for name, (algorithm, rounds) in [*list(MODELS.items())[1:], next(iter(MODELS.items()))]:
        sound(control(app, "model").set_value(name).run())
        assert not app.error and not app.warning, name
        assert job(app) == Job(algorithm, steps=2 * rounds), name
        assert {"picture", "curves", "thermometer"} <= set(plots(app)), name
        assert all(one["channel"] == "player" for one in plots(app).values()), name
        e, m, _ = parts(app, "player")[0]["buttons"]
        assert e["next"][0] == 1 and m["next"][1] == 2, name
        assert any(one["name"] in ("estimates", "components") for one in parts(app, "table")), name
        assert len(app.code[0].value.splitlines()) <= 12
    assert "model" not in app.query_params


@pytest.mark.parametrize("name", MODELS)
def test_lines_agree_and_printed_code_runs(name: str):
    first = visited(PAGE, model=name, step="3", iterations="4")
    count = int(re.search(r"line 1 of (\d+)", words(first))[1])
    assert count >= 6
    last = visited(PAGE, model=name, step="3", iterations="4", line=str(count)).latex[0].value
    for latex in (first.latex[0].value, last):
        assert ("\\checkmark" in latex or "\\ge" in latex) and "undefined" not in latex
    printed = next(code.value for code in first.code if "from lvmviz" in code.value)
    space: dict = {}
    exec(printed, space)
    made = space["trace"][3].info.elbo
    assert space["trace"].job == job(first)
    assert printed.endswith(f"trace[3].info.elbo  # {made:.4f} nats".replace("-", "−"))


@pytest.mark.parametrize(
    ("name", "algorithm"),
    [
        ("Missing features", MissingGaussianEM(gaps=MCAR(share=0.7), start="random correlations")),
        ("Regression", EMRegression(data=TableColumn(), update=EvidenceAscent(rate=3.0), beta=2.5)),
        ("Roles swapped", SwappedRegression(shape=3.0, start="zero")),
        ("Monte-Carlo EM", MonteCarloEM(draws=3, components=2)),
        ("ECM", ECM(cycle="E, means, covariances", components=2)),
        ("Probabilistic PCA", PPCAEM(data=DigitPixels(count=120), latents=3, gaps=MCAR(share=0.5))),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_link_opens_what_it_says_and_a_run_opens_here(name: str, algorithm: Algorithm):
    asked = Job(algorithm, steps=20, seed=5)
    url, link = runs.page_of(asked)  # type: ignore[misc]
    assert url == "em_beyond" and link.get("model", "Missing features") == name
    app = visited(PAGE, **link)
    assert not app.error and not app.warning and job(app) == asked
    told = {key: value[0] if isinstance(value, list) else value for key, value in app.query_params.items()}
    assert told == {**link, "v": "1"}


def test_an_unknown_model_and_a_wrong_number_are_said():
    app = visited(PAGE, model="Poisson", **{"gaps.share": "2"})
    said = plain(words(app))
    assert "must be one of Missing features" in said and "must lie between 0 and 0.9" in said
    assert job(app) == Job(MissingGaussianEM(), steps=80)


# ---- what goes wrong, and extremes ----


@pytest.mark.parametrize(
    ("link", "said"),
    [
        ({"data": "Stored"}, "No table yet. Load one on the left"),
        ({"data": "Stored", "data.digest": "ab" * 32}, "is not on this computer"),
        ({"model": "Probabilistic PCA", "latents": "4"}, "4 latents need more than 4 columns"),
        ({"gaps": "MAR", "gaps.share": "0.9", "data.points": "2"}, "has no value that is seen"),
        ({"model": "Monte-Carlo EM", "components": "20", "data": "Blobs", "data.points": "3"},
         "Use 3 components"),
        ({"model": "Regression", "data.points": "5", "data.degree": "8", "update": "FixedPoint"},
         "λ grows without limit"),
        ({"model": "Regression", "data.points": "5", "data.degree": "8"},
         "λ → ∞: the data say nothing of the weights; the best prior is a spike at 0"),
        ({"model": "Regression", "data.points": "3", "data.degree": "2", "data.seed": "1"},
         "β → ∞: the noise goes to 0: the polynomial passes through every point"),
        ({"gaps": "AsGiven", "data.points": "2"}, "not positive definite"),
        ({"model": "ECM", "data": "Blobs", "data.points": "8", "components": "5",
          "regularizer.amount": "0.0"}, "collapsed"),
    ],
)  # fmt: skip
def test_what_cannot_go_on_is_a_sentence(link: dict[str, str], said: str):
    app = visited(PAGE, **link)
    told = plain(words(app)) + " ".join(button.label for button in app.button)
    assert said in told, told
    assert "Traceback" not in told and "Error" not in told


@pytest.mark.parametrize(
    "link",
    [
        {"gaps.share": "0.9"}, {"gaps.share": "0.0"},
        {"data": "Wine", "data.features": '["ash", "hue", "colour"]'},
        {"data": "BreastCancer", "gaps": "MCAR", "gaps.share": "0.9"}, {"data": "Digits"},
        {"model": "Probabilistic PCA", "gaps.share": "0.9"}, {"model": "Monte-Carlo EM", "draws": "1000"},
        {"model": "Monte-Carlo EM", "draws": "1", "data": "Iris", "data.features": '["petal length"]'},
        {"model": "Regression", "data": "DiabetesProgression"}, {"model": "Regression", "data.degree": "0"},
        {"model": "Regression", "data.noise": "0.0", "data.degree": "12"},
        {"model": "Roles swapped", "data": "TableColumn", "data.target": "flavanoids"},
        {"model": "Regression", "data": "TableColumn", "data.data": "BreastCancer"},
        {"model": "ECM", "components": "1"},
    ],
    ids=str,
)  # fmt: skip
def test_extremes_draw(link: dict[str, str]):
    app = visited(PAGE, iterations="8", **link)
    assert not app.error and "picture" in plots(app)


def test_an_own_table_with_empty_cells_is_taken_where_gaps_are_known(tmp_path, monkeypatch):
    monkeypatch.setenv("LVMVIZ_HOME", str(tmp_path))
    digest = own_data.put(read_table(GAPPED, gaps=True))
    link = {"data": "Stored", "data.digest": digest, "gaps": "AsGiven", "iterations": "20"}
    app = visited(PAGE, **link)
    assert not app.error and "4 rows show both columns, 2 one of them, 0 neither" in words(app)
    assert job(app).algorithm == MissingGaussianEM(data=Stored(digest=digest), gaps=AsGiven())
    app = visited(PAGE, model="Probabilistic PCA", **link)
    assert not app.error and "3 of 18 cells are missing" in words(app)
    for refused in ({"model": "ECM"}, {"model": "Monte-Carlo EM"}):
        app = visited(PAGE, **refused, **link)
        assert "3 cells of the table are empty:" in plain(words(app))
    pasted = visited(PAGE, data="Stored")
    pasted.text_area[0].set_value(GAPPED)
    sound(next(button for button in pasted.button if button.label == "Use what is pasted").click().run())
    assert "3 of 18 cells are empty" in plain(words(pasted))
    assert "needs a column without gaps" in plain(pasted.error[0].value)  # hiding by a column, the default
    sound(next(button for button in pasted.button if button.label == "Hide no cells").click().run())
    assert not pasted.error and job(pasted).algorithm.gaps == AsGiven()
    wide = own_data.put(read_table("a,b,c,d,e\n1,2,3,4,5\n2,1,5,,9\n0,1,1,2,3\n0,1,1,2,3\n", gaps=True))
    link |= {"data.digest": wide}  # fewer rows than columns, and two alike
    app = visited(PAGE, **link)
    assert "not positive definite any more" in plain(words(app)) and "picture" in plots(app)
    app = visited(PAGE, model="Probabilistic PCA", **link)
    assert not app.error and "picture" in plots(app)
    single = own_data.put(read_table("a,b\n1,2\n2,\n3,5\n", gaps=True))
    app = visited(PAGE, data="Stored", **{"data.digest": single, "data.features": '["b"]'})
    assert "One column has nothing beside it" in plain(words(app))


# ---- scenes ----


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.name)
def test_a_scene_opens_and_fits_its_card(scene):
    assert len(scene.question) <= 90 and 0 <= scene.right < len(scene.answers)
    app = visited(PAGE, **scene.link, scene=scene.name)
    assert not app.error and scene.question in words(app)
    asked = job(app)
    base = {"model", "seed", "iterations", "step", "curves", "line"}
    if scene.name != "a-third":
        assert (
            link_of(asked.algorithm).items() == {k: v for k, v in scene.link.items() if k not in base}.items()
        )
    assert bool(app.warning) == (scene.name == "no-weights")
    assert asked.steps == 2 * int(
        scene.link.get("iterations", MODELS[scene.link.get("model", "Missing features")][1])
    )


def reason(name: str) -> str:
    return next(scene.reason for scene in SCENES if scene.name == name).replace("−", "-")


def end(algorithm: Algorithm, rounds: int = 100, seed: int = 0):
    return run(Job(algorithm, steps=2 * rounds, seed=seed))


def test_numbers_in_the_reasons_on_gaps():
    trace = end(MissingGaussianEM())
    said = {name: made.correlation((0, 1)) for name, made in missing.rivals(trace).items()}
    said["EM"] = missing.moments(trace)[-1].correlation((0, 1))
    assert all(f"{value:.3f}" in reason("filled-in") for value in said.values())
    cell = missing.cell(trace, 59, 1)
    assert f"{cell.filled_variance:.3f}" in reason("keep-the-doubt")
    assert f"{cell.doubt:.3f}" in reason("keep-the-doubt") and trace[59].info.moved == "E"
    product, exact = end(VariationalEM()), end(MissingGaussianEM(gaps=MCAR(share=0.5)))
    found = reason("never-touches")
    assert f"{missing.moments(product)[-1].correlation((0, 1)):.3f}" in found
    assert f"{missing.moments(exact)[-1].correlation((0, 1)):.3f}" in found
    assert f"{missing.decompositions(product)[-1].kl:.4f}" in found
    assert f"{missing.sorts(product, (0, 1)).counts[2]} rows" in found


def test_numbers_in_the_reasons_on_regression():
    em, ascent = end(EMRegression()), end(EMRegression(update=EvidenceAscent()))
    fixed, found = end(EMRegression(update=dict(two_roads())["MLE-II"])), reason("two-roads")
    for trace in (em, fixed):  # "both": to the digits that are said
        theta = trace[-1].state.theta
        assert f"β = {float(theta.beta):.2f}, λ = {float(theta.lambda_):.3f}," in found
        assert f"{trace[-1].info.log_lik:.4f}" in found
    assert f"{em[-1].info.iteration} rounds, MLE-II {fixed[-1].info.iteration};" in found
    assert f"ascent {ascent[-1].info.iteration}" in found
    lost = end(EMRegression(data=Polynomial(points=5, degree=8), update=dict(two_roads())["MLE-II"]))
    assert f"round {lost[-1].info.iteration}" in reason("no-weights") and "λ grows" in lost[-1].info.status
    low, high = (end(SwappedRegression(rate=1e-3, start=start)) for start in ("zero", "least squares"))
    assert all(f"{trace[-1].info.log_lik:.2f}" in reason("lower-hill") for trace in (low, high))
    assert f"{swapped_regression.numbers(low)[-1].lambda_:.0f}" in reason("lower-hill")
    assert np.abs(swapped_regression.weights(low)[-1]).max() < 0.05


def two_roads():
    from lvmviz import FixedPoint

    return [("MLE-II", FixedPoint())]


def test_numbers_in_the_reasons_on_relatives():
    drawn, many = end(MonteCarloEM(), 50), end(MonteCarloEM(draws=100), 50)
    last = np.array([one.log_evidence for one in relatives.decompositions(drawn)])[-40:]
    found = reason("ten-draws")
    assert f"{last.mean():.3f}" in found and f"{last.std():.4f}" in found
    assert f"{relatives.decompositions(many)[-1].log_evidence:.3f}" in found
    slow, quick = end(EM(scheme=GeneralizedEM()), 200, 1), end(EM(), 200, 1)
    assert f"{slow[-1].info.iteration} rounds" in reason("a-third").replace("\n", " ")
    assert f"EM takes {quick[-1].info.iteration}" in reason("a-third")
    parts_, whole = end(ECM(cycle="E, means, covariances")), end(EM())
    assert parts_[-1].info.iteration == whole[-1].info.iteration == 25
    for trace in (parts_, whole):
        assert f"{relatives.decompositions(trace)[-1].log_evidence:.4f}" in reason("in-turn")


@pytest.mark.parametrize(
    ("name", "algorithm"),
    [("half-a-flower", PPCAEM(latents=2, gaps=MCAR(share=0.5))),
     ("hidden-pixels", PPCAEM(data=DigitPixels(), latents=5, gaps=MCAR(share=0.5)))],
)  # fmt: skip
def test_numbers_in_the_reasons_on_ppca(name: str, algorithm: Algorithm):
    trace = end(algorithm, 60)
    found = ppca.rivals(trace)
    basis = found[ppca.ORACLE].basis
    for angle in (ppca.angles(trace[-1:], basis)[0], ppca.angle(found[ppca.FILLED].basis, basis)):
        assert f"{angle:.1f}°" in reason(name)


def test_every_field_of_the_variational_model_is_the_exact_ones():
    assert [f.name for f in dataclasses.fields(VariationalEM())] == [
        f.name for f in dataclasses.fields(MissingGaussianEM())
    ]
