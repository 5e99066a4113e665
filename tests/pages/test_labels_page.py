"""Labels, weights and other names on the page Mixtures: their controls, their words, their numbers."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from lvmviz import EM, Blobs, Diabetes, Iris, Job, KMeans, Stored, own_data, run
from lvmviz.summaries import em as summaries
from lvmviz.tables import Table, read_table
from lvmviz.ui import link_of
from tests.widgets import control, sound, visited, words

PAGE = str(Path(__file__).parents[2] / "pages" / "05_mixtures.py")
MINE = {"revealed", "relabel"}


def shown(app) -> set[str]:
    keys = {(one.key or "").removeprefix("lvmviz.").partition("~")[0] for one in app.number_input}
    return keys & MINE


def payload(app, name: str) -> dict:
    """What a table on the page was sent."""
    told = [json.loads(one.proto.json) for one in app.get("bidi_component") if one.proto.json]
    (found,) = [one for one in told if one.get("name") == name]
    return found


def agreement(app) -> list[str]:
    """The rows across the components' table, one a half-step."""
    frames = json.loads(payload(app, "components")["film"])
    return [row["across"] for frame in frames for row in frame if isinstance(row, dict)]


def fitted(app):
    """The trace of the lines that the page prints."""
    printed = "\n".join(code.value for code in app.code)
    space: dict = {}
    exec(printed[printed.index("from lvmviz") :].partition("trace[")[0], space)
    return space["trace"]


@pytest.mark.parametrize(
    ("em", "controls"),
    [
        (EM(), MINE),
        (EM(revealed=1), {"revealed"}),
        (EM(data=Diabetes()), {"relabel"}),
        (EM(components=1), {"revealed"}),
        (EM(scheme=KMeans()), {"revealed"}),
        (EM(data=Diabetes(), scheme=KMeans()), set()),
    ],
    ids=["iris", "labels", "none", "one", "k-means", "neither"],
)
def test_what_changes_nothing_has_no_control(em, controls):
    assert shown(visited(PAGE, **link_of(em))) == controls


def test_an_own_table_without_labels_has_none_to_reveal(home):
    points = np.random.default_rng(0).standard_normal((12, 2))
    bare = Stored(digest=own_data.put(Table(points, ("a", "b"), None, (), ())))
    assert shown(visited(PAGE, **link_of(EM(data=bare)))) == {"relabel"}
    app = visited(PAGE, **link_of(EM(data=Stored(digest="0" * 64))))
    assert "is not on this computer" in words(app) and not app.exception


def test_revealed_labels_are_told_and_counted():
    app = visited(PAGE, **link_of(EM(revealed=2)), step="400")
    assert "6 of 150 labels are revealed (diamonds)" in words(app)
    trace = fitted(app)
    assert trace.job.algorithm == EM(revealed=2)
    expected = [f"ARI {score:.2f} against the species" for score in summaries.adjusted_rand(trace)]
    assert agreement(app) == expected and expected[-1] == "ARI 0.55 against the species"
    sound(control(app, "revealed").set_value(4).run())
    assert app.query_params["revealed"] == "4" and "12 of 150 labels" in words(app)
    assert agreement(app)[-1] == "ARI 0.85 against the species"
    sound(control(app, "revealed").set_value(0).run())
    assert "revealed" not in app.query_params and "labels are revealed" not in words(app)


def test_without_labels_there_is_no_agreement():
    assert agreement(visited(PAGE, **link_of(EM(data=Diabetes())))) == []


def test_too_few_components_for_the_classes_have_a_remedy():
    app = visited(PAGE, **link_of(EM(data=Blobs(), components=2, revealed=1)))
    assert "2 components cannot stand for 4 classes" in words(app) and "use at least 4" in words(app)
    (remedy,) = [button for button in app.button if button.label == "Use 4 components"]
    sound(remedy.click().run())
    assert app.query_params["components"] == "4" and not app.error


def test_other_names_leave_every_number_of_the_ledger():
    plain, other = (
        payload(visited(PAGE, **link_of(EM(relabel=number))), "ledger")["rows"] for number in (0, 1)
    )
    assert plain == other and len(plain) > 10


def test_a_weighted_table_is_fitted_and_told(home):
    rng = np.random.default_rng(0)
    rows = [f"{x:.2f},{w},{y:.2f},{'ab'[i % 2]}" for i, (x, y, w) in enumerate(
        zip(rng.normal(size=30), rng.normal(size=30), rng.integers(0, 4, 30), strict=True))]  # fmt: skip
    table = read_table("\n".join(["x,weight,y,kind", *rows]))
    data = Stored(digest=own_data.put(table))
    app = visited(PAGE, **link_of(EM(data=data, components=2)), step="3")
    assert "A row counts as often as its weight says" in words(app)
    told = run(Job(EM(data=data, components=2), steps=200))
    assert (
        payload(app, "ledger")["rows"][3][1].replace("−", "-") == f"{told[3].info.elbo / table.total():.4f}"
    )
    assert agreement(app)[0].endswith("against the classes")
    counts = [
        float(re.sub("[^0-9.]", "", row[2])) for row in json.loads(payload(app, "components")["film"])[3][1:]
    ]
    assert sum(counts) == pytest.approx(table.weights.sum(), abs=0.11)


def test_many_labels_are_told_in_words(home):
    app = visited(PAGE, **link_of(EM(data=Iris(features=("petal length",)), revealed=50)))
    assert "150 of 150 labels are revealed" in words(app)
