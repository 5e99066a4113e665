"""The rooms of a page without a browser: derivation, buttons, code, files, tables, plots, menu."""

import base64
import csv
import html.parser
import importlib
import io
import json
import math
import re
import struct
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import lvmviz
from lvmviz import (
    EM,
    Blobs,
    ByHand,
    Dataset,
    Digits,
    ExpectationMaximization,
    Floor,
    Iris,
    Job,
    Stored,
    ThreeInARow,
    Trace,
    own_data,
    run,
)
from lvmviz.divergences import Decomposition
from lvmviz.figures import steps, theme
from lvmviz.figures import thermometer as thermometers
from lvmviz.figures.film import Film
from lvmviz.summaries import em as summaries
from lvmviz.tables import TableError, read_table
from lvmviz.ui import code, em_films, exports, frame, half_step_buttons, own, site, state
from lvmviz.ui.derivation import Line, Term, agrees, latex
from lvmviz.ui.derivation_em import lines

# the package gives these names to functions
components, ledger, plot, table = (
    importlib.import_module(f"lvmviz.ui.{name}") for name in ("components", "ledger", "plot", "table")
)

JOBS = {
    "iris": Job(EM(), steps=30, seed=31),
    "three": Job(EM(data=ThreeInARow(points=90)), steps=30, seed=1),
    "one column": Job(EM(data=Iris(features=("petal length",))), steps=20, seed=1),
    "one component": Job(EM(data=Blobs(points=50), components=1), steps=20),
    "many": Job(EM(data=Blobs(points=60), components=20), steps=8),
    "wide": Job(EM(data=Digits(components=6), components=4), steps=4),
    "clicked": Job(EM(start=ByHand(centres=((1.0, 2.0),))), steps=4),
    "collapsed": Job(
        EM(data=Blobs(points=20, clusters=1, spread=1.0), components=5, regularizer=Floor(amount=0.0)),
        steps=200,
        seed=3,
    ),
    "no step": Job(EM(), steps=0),
}
over_jobs = pytest.mark.parametrize("job", JOBS.values(), ids=JOBS)
FINITE = st.floats(-1e12, 1e12)


@pytest.fixture(scope="module")
def traces() -> dict[str, Trace]:
    return {job.id: run(job) for job in JOBS.values()}


def test_a_trace_has_collapsed(traces):
    assert traces[JOBS["collapsed"].id][-1].info.collapsed > 0


# ---- the derivation ----


def exact(line: Line) -> Decimal:
    return sum((Decimal(term.value) * (-1 if sign == "-" else 1) for sign, term in line.right), Decimal(0))


@over_jobs
def test_every_line_of_em_is_true(traces, job):
    for info in summaries.infos(traces[job.id]):
        made = lines(info, ExpectationMaximization())
        assert len(made) == 8
        for line in made:
            if any(term.value is None for _, term in line.right):
                assert agrees(line) is None
                continue
            left, right = Decimal(line.left.value), exact(line)
            size = max(abs(left), abs(right), Decimal(1))
            if line.relation == "=":
                assert abs(left - right) <= Decimal("1e-9") * size, line
                assert agrees(line)
            else:
                assert line.relation == ">=" and left >= right - Decimal("1e-9") * size
                assert abs(left - right - Decimal(line.gap.value)) <= Decimal("1e-9") * size, line


@over_jobs
def test_lines_of_em_say_who_moved(traces, job):
    for info in summaries.infos(traces[job.id]):
        reasons = [line.reason for line in lines(info, ExpectationMaximization())]
        assert all(reasons) and len(set(reasons)) == len(reasons)
        assert reasons[3].startswith({"start": "At the start", "E": "After E", "M": "After M"}[info.moved])


@over_jobs
@pytest.mark.parametrize("dark", [False, True])
def test_latex_is_whole_and_in_the_themes_colours(traces, job, dark):
    colours = theme.tokens(dark)
    inks = {ink for ink in colours if isinstance(ink, str)}
    for info in summaries.infos(traces[job.id])[:12]:
        for line in lines(info, ExpectationMaximization()):
            text = latex(line, colours, 2)
            balanced(text)
            assert "nan" not in text.lower() and "undefined" not in text and "\u2212" not in text
            assert set(re.findall(r"\\textcolor\{([^}]*)\}", text)) <= inks
            assert not re.search(r"\\(q|p|kl|prior|ink|theta)\{", text), "a colour's name is left"
            assert (r"\checkmark" in text) == (line.relation == "=" and agrees(line) is True)
            assert (r"\ge" in text) == (line.relation == ">=")
            terms = [line.left, *(term for _, term in line.right), *([line.gap] if line.gap else [])]
            values = [f"{term.value:.2f}" for term in terms if term.value is not None]
            shown = re.findall(r"\}_\{(-?[\d.∞]+)\}", text)
            assert [re.sub(r"^-(?=0\.00$)", "", value) for value in values] == shown


def balanced(text: str) -> None:
    depth = 0
    for mark in re.findall(r"(?<!\\)[{}]", text):
        depth += 1 if mark == "{" else -1
        assert depth >= 0, text
    assert depth == 0, text


def line_of(left: float, right: list[tuple[str, float]], relation: str = "=") -> Line:
    return Line("", Term("a", left), relation, [(sign, Term("b", value)) for sign, value in right])


SIGNED = st.lists(st.tuples(st.sampled_from("+-"), FINITE), min_size=1, max_size=5)


@given(right=SIGNED)
def test_sides_agree_when_they_are_equal(right):
    total = exact(line_of(0.0, right))
    left = float(total)
    assert agrees(line_of(left, right))
    assert "checkmark" in latex(line_of(left, right), theme.LIGHT, 2)


@given(right=SIGNED, share=st.sampled_from([3e-9, -3e-9, 1e-6, -0.5, 2.0]))
def test_sides_that_differ_do_not_agree(right, share):
    """Relative to the larger side; beside 0 what is below 1e-9 nats is no difference."""
    total = float(exact(line_of(0.0, right)))
    left = total + share * max(abs(total), 1.0)
    assert not agrees(line_of(left, right))
    assert "checkmark" not in latex(line_of(left, right), theme.LIGHT, 2)
    assert "checkmark" not in latex(line_of(total, right, ">="), theme.LIGHT, 2)


@given(left=st.floats(1.0, 1e6), share=st.floats(-3e-10, 3e-10))
def test_rounding_is_no_difference(left, share):
    assert agrees(line_of(left * (1 + share), [("+", left)]))


def test_nothing_agrees_with_what_is_undefined():
    for value in (math.nan, math.inf):
        assert not agrees(line_of(value, [("+", 1.0)])) and not agrees(line_of(1.0, [("+", value)]))
    assert agrees(Line("", Term("a"), "=", [("+", Term("b", 1.0))])) is None
    assert agrees(Line("", Term("a", 1.0), "=", [("+", Term("b"))])) is None
    assert "checkmark" not in latex(Line("", Term("a"), "=", [("+", Term("b"))]), theme.LIGHT, 2)


# ---- the player's buttons ----


def movements(count: int) -> list[str]:
    return ["start", *("EM"[i % 2] for i in range(count - 1))]


@pytest.mark.parametrize("count", range(1, 12))
def test_half_steps_lead_where_they_say(count):
    moved, last = movements(count), count - 1
    e, m, both = half_step_buttons.buttons(
        moved, range(len(moved)), "The end.", ExpectationMaximization(), theme.LIGHT
    )
    assert [button.label for button in (e, m, both)] == ["E", "M", "E+M"]
    assert len({button.key for button in (e, m, both)}) == 3
    for i in range(count):
        for button in (e, m, both):
            assert len(button.next) == len(button.refusal) == count
            assert i <= button.next[i] <= last
            assert button.next[i] != i or button.refusal[i], "a button that does nothing says why"
        assert e.next[i] == i or (e.next[i] == i + 1 and moved[e.next[i]] == "E")
        assert m.next[i] == i or (m.next[i] == i + 1 and moved[m.next[i]] == "M")
        assert e.next[i] == i or m.next[i] == i, "two half-steps never lead to one frame"
        assert i == last or {e.next[i], m.next[i]} == {i, i + 1}, "one of them always leads on"
        assert (both.next[i] == i) == (i == last)
        assert moved[both.next[i]] == "M" or both.next[i] == last
        assert both.next[i] <= i + 2


@given(moved=st.lists(st.sampled_from(["start", "E", "M"]), min_size=1, max_size=12))
def test_buttons_stay_in_the_trace_whatever_moved(moved):
    for button in half_step_buttons.buttons(
        moved, range(len(moved)), "The end.", ExpectationMaximization(), theme.DARK
    ):
        assert all(i <= to < len(moved) for i, to in enumerate(button.next))
        assert all(button.refusal[i] for i, to in enumerate(button.next) if to == i)


@pytest.mark.parametrize("count", range(1, 8))
def test_refusals_are_true(count):
    """Who is told to press a button can press it."""
    moved = movements(count)
    e, m, both = half_step_buttons.buttons(
        moved, range(len(moved)), "The end.", ExpectationMaximization(), theme.LIGHT
    )
    for i in range(count):
        for button in (e, m, both):
            if button.next[i] == i:
                told = button.refusal[i]
                assert "Press E" not in told or e.next[i] > i
                assert "Press M" not in told or m.next[i] > i
    assert both.refusal[-1] == "The end."
    assert count == 1 or m.refusal[0] == half_step_buttons.FIRST_E


@over_jobs
def test_labels_of_frames(traces, job):
    infos = summaries.infos(traces[job.id])
    made = half_step_buttons.labels(
        [info.moved for info in infos], [info.iteration for info in infos], [info.collapsed for info in infos]
    )
    assert made[0] == "start, before the first E" and len(set(made)) == len(made) == len(infos)
    assert made[1:3] == ["iteration 1, after E", "iteration 1, after M"][: len(infos) - 1]


# ---- code ----


FEATURES = st.lists(st.text(max_size=5)).map(tuple)
CENTRES = st.lists(st.tuples(FINITE, FINITE), max_size=3).map(tuple)
DATA = (
    st.sampled_from([cls() for cls in Dataset.options.values()] + [Iris(features=("sepal width",))])
    | st.builds(Blobs, points=st.integers(2, 5000), spread=st.floats(0.1, 3.0))
    | st.builds(Stored, digest=st.sampled_from(["", "ab" * 32]), features=FEATURES)
)
STARTS = st.sampled_from([cls() for cls in lvmviz.Start.options.values()]) | st.builds(
    ByHand, centres=CENTRES
)
FLOORS = st.sampled_from([*lvmviz.Regularizer.options.values()]).flatmap(
    lambda cls: st.builds(cls, amount=st.floats(0.0, 0.1))
)
CHOICES = st.builds(
    EM,
    data=DATA,
    components=st.integers(1, 20),
    start=STARTS,
    regularizer=FLOORS,
    tolerance=st.floats(0.0, 1e-2),
)


def executed(source: str) -> tuple[dict[str, Any], Any]:
    """What the lines define, and what their last one shows."""
    *before, last = source.splitlines()
    scope: dict[str, Any] = {}
    exec("\n".join(before), scope)
    return scope, eval(last, scope)


@given(em=CHOICES, steps=st.integers(0, 1000), seed=st.integers(0, 9999))
def test_the_lines_make_the_same_job(em, steps, seed):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lvmviz, "run", lambda job: Trace(job, ()))
        job = Job(em, steps=steps, seed=seed)
        source = code.script(job, "trace.job")
        scope, shown = executed(source)
    assert shown == job and shown.id == job.id and scope["trace"].job == job
    names = re.search(r"from lvmviz import (.*)", source)[1].split(", ")
    assert names == sorted(set(names)) and all(source.count(name) > 1 for name in names)


@pytest.mark.parametrize("name", ["three", "one column", "clicked", "collapsed"])
def test_the_lines_show_the_number_on_screen(traces, name):
    trace = traces[JOBS[name].id]
    index = len(trace) - 1
    told = theme.number(trace[index].info.elbo, 4)
    scope, shown = executed(code.script(trace.job, f"trace[{index}].info.elbo  # {told} nats"))
    assert theme.number(shown, 4) == told and shown == trace[index].info.elbo
    assert scope["trace"].rows() == trace.rows()


def test_defaults_are_not_spelled_out():
    assert code.spelled(EM()) == "EM()"
    assert (
        code.spelled(EM(data=Blobs(), regularizer=Floor(amount=0)))
        == "EM(data=Blobs(), regularizer=Floor(amount=0.0))"
    )


@given(title=st.text(max_size=30), source=st.text(max_size=80))
@example(title="EM", source=code.script(Job(EM()), "trace[-1].info.elbo"))
def test_notebooks_are_nbformat_4_5(title, source):
    made = json.loads(code.notebook(source, title))
    assert set(made) == {"cells", "metadata", "nbformat", "nbformat_minor"}
    assert (made["nbformat"], made["nbformat_minor"]) == (4, 5)
    assert made["metadata"]["kernelspec"].keys() >= {"name", "display_name"}
    ids = [cell["id"] for cell in made["cells"]]
    assert len(set(ids)) == len(ids) and all(re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", id) for id in ids)
    for cell in made["cells"]:
        expected = {"id", "cell_type", "metadata", "source"}
        assert set(cell) == expected | (
            {"execution_count", "outputs"} if cell["cell_type"] == "code" else set()
        )
        assert cell["metadata"] == {} and all(isinstance(line, str) for line in cell["source"])
        if cell["cell_type"] == "code":
            assert cell["execution_count"] is None and cell["outputs"] == []
    kinds = [cell["cell_type"] for cell in made["cells"]]
    assert kinds == ["markdown", "code", "code"]
    assert (
        "".join(made["cells"][-1]["source"]) == source and "".join(made["cells"][0]["source"]) == f"# {title}"
    )


# ---- exports ----

NUMBERS = st.floats() | st.sampled_from([math.nan, math.inf, -math.inf, -0.0, 5e-324, 0.1])
WORDS = st.text(st.characters(exclude_categories=["Cs", "Cc"]) | st.just("\n"), max_size=8)
ROWS = st.lists(
    st.tuples(st.integers(-(2**53), 2**53), NUMBERS, NUMBERS, WORDS).map(
        lambda row: dict(zip(("step", "a", "b", "moved"), row, strict=True))
    ),
    min_size=1,
    max_size=5,
)


def bits(value: float) -> bytes:
    return b"nan" if math.isnan(value) else struct.pack("<d", value)


def assert_same_rows(read: list[dict[str, Any]], rows: list[dict[str, Any]]) -> None:
    assert len(read) == len(rows)
    for got, row in zip(read, rows, strict=True):
        assert list(got) == list(row)
        for key, value in row.items():
            kept = got[key]
            assert bits(float(kept)) == bits(value) if isinstance(value, float) else kept == type(kept)(value)


@given(rows=ROWS)
def test_csv_reads_back_to_the_bit(rows):
    assert_same_rows(list(csv.DictReader(io.StringIO(exports.to_csv(rows), newline=""))), rows)


@given(rows=ROWS)
@settings(max_examples=15)
def test_parquet_reads_back_to_the_bit(rows):
    read = pd.read_parquet(io.BytesIO(exports.to_parquet(rows)))
    assert_same_rows(read.to_dict("records"), rows)


@over_jobs
def test_a_traces_rows_are_exported_whole(traces, job):
    rows = traces[job.id].rows()
    assert_same_rows(list(csv.DictReader(io.StringIO(exports.to_csv(rows)))), rows)
    assert_same_rows(pd.read_parquet(io.BytesIO(exports.to_parquet(rows))).to_dict("records"), rows)


@over_jobs
def test_the_parameters_are_plain_json(traces, job):
    snapshot = traces[job.id][-1]
    made = json.loads(json.dumps(summaries.parameters(snapshot), allow_nan=False))
    assert np.array_equal(made["means"], snapshot.state.theta.means.numpy())
    assert made["info"] == snapshot.info._asdict()


def test_no_rows_are_an_empty_file():
    assert exports.to_csv([]).strip() == ""
    assert pd.read_parquet(io.BytesIO(exports.to_parquet([]))).empty


class Fetched(html.parser.HTMLParser):
    """What a page fetches: every address in a tag; scripts are counted."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.scripts: list[str] = []
        self._in_script = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.addresses += [
            value or "" for name, value in attrs if name in ("src", "href", "srcset", "data", "action")
        ]
        self._in_script = tag == "script"

    def handle_endtag(self, tag: str) -> None:
        self._in_script = False

    def handle_data(self, data: str) -> None:
        if self._in_script:
            self.scripts.append(data)


def test_html_needs_no_network(traces):
    trace = traces[JOBS["three"].id]
    text = exports.to_html(em_films.picture(trace, (0, 1), False).at(2))
    page = Fetched()
    page.feed(text)
    assert page.addresses == []
    assert max(map(len, page.scripts)) > 10**6, "plotly.js is inside"
    ours = "".join(script for script in page.scripts if len(script) < 10**6)
    assert "Plotly.newPlot" in ours and not re.findall(r"https?://(?!plot\.ly)|import\s*\(|fetch\s*\(", ours)


# ---- somebody's text as text ----

ACTIVE = set(
    "\\`*_{}[]()#+-.!|$<>~:&="
)  # what CommonMark, GFM, formulas and Streamlit's directives are made of
SHORTCUTS = re.compile(r":material/|:streamlit:|:[\w+-]+:|(?:^|\s)(?:<->|->|<-|--|>=|<=|~=)(?=\s|$)")
HOSTILE = [
    *(
        ":red[x]",
        "$x$",
        "$$x$$",
        "<b>x</b>",
        "<!--",
        "[a](javascript:1)",
        "![a](b)",
        "<javascript:1>",
        "&lt;",
    ),
    *(
        ":material/home:",
        ":streamlit:",
        ":smile:",
        ":+1:",
        ":blue-background[x]",
        ":small[x]",
        ":gray[",
        "]",
        "**",
    ),
    *(
        "a\n# head",
        "# head",
        "1. x",
        "1) x",
        "a\n===",
        "a\n---",
        "    code",
        "\tcode",
        "> q",
        "- x",
        "+ x",
        "***",
    ),
    *("`x`", "```\nx\n```", "|a|\n|-|", "~~x~~", "a\\", "a\\\nb", "a  \nb", "a\n\nb", "[^1]", "[x]: /y"),
    *("a -> b", "a -- b", "a >= b", "<-", "~="),
]


def rendered(markdown: str) -> tuple[str, str]:
    """The text that inert Markdown shows, and the marks in it that are not escaped (CommonMark 0.31, 2.4)."""
    escaped = re.compile(r"\\([!-/:-@\[-`{-~])")
    return escaped.sub(r"\1", markdown), escaped.sub("", markdown)


@given(text=st.text(max_size=20) | st.text("".join(ACTIVE) + "a1 \n\t/", max_size=12))
@settings(max_examples=200)
def test_somebodys_text_is_shown_and_not_obeyed(text):
    assert_plain(text)


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_is_shown_and_not_obeyed(text):
    assert_plain(text)


def assert_plain(text: str) -> None:
    made = frame.plain(text)
    shown, bare = rendered(made)
    assert shown.replace("\u2060", "").split() == text.replace("\u2060", "").split(), (
        "what was given is what is shown"
    )
    active = set(bare) & ACTIVE - {"="}
    assert not active, f"{sorted(active)} could be obeyed"
    assert not re.search(r"(^|\n)[ \t]*=", made), "a line of = makes what is above it a heading"
    assert not re.search(r"^[ \t]|\n", made), "code by indentation, a second paragraph or a break"
    # Streamlit replaces these in the text that is left after Markdown, where no backslash helps
    assert not SHORTCUTS.search(shown), "an icon, an emoji or an arrow would stand there"


@pytest.mark.parametrize(
    ("sentence", "cause", "remedy"),
    [
        ("no *table*: load one", "no *table*:", "load one"),
        ("No table. Load one.", "No table.", "Load one."),
        ("No table", "No table", ""),
        ("a: b: c", "a:", "b: c"),
    ],
)
def test_failures_tell_the_cause_in_bold(monkeypatch, sentence, cause, remedy):
    told: list[str] = []
    monkeypatch.setattr(frame.st, "error", told.append)
    frame.failed(sentence)
    bold, rest = re.fullmatch(r"\*\*(.*?(?<!\\))\*\*(.*)", told[0]).groups()
    assert rendered(bold)[0].replace("\u2060", "") == cause
    assert rendered(rest)[0].replace("\u2060", "").strip() == remedy


# ---- scene files ----

JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
LINKS = st.dictionaries(st.text(max_size=5), st.text(st.characters(), max_size=5) | JSON, max_size=3)
SCENES = JSON | st.fixed_dictionaries(
    {"file": st.just(own.SCENE_MARK)},
    optional={"version": JSON, "page": JSON, "link": LINKS | JSON, "table": st.text(max_size=20) | JSON},
)


@pytest.fixture
def links(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, str]]:
    made: list[dict[str, str]] = []
    monkeypatch.setattr(own.state, "open_link", made.append)
    return made


def taken(source: bytes | str) -> dict[str, str] | None:
    """The link that a file opens; None when it is no scene file."""
    with pytest.MonkeyPatch.context() as patch:
        made: list[dict[str, str]] = []
        patch.setattr(own.state, "open_link", made.append)
        scene = own._scene(source)
        if scene is None:
            return None
        own._open_scene(scene)
    return made[0]


@given(scene=SCENES, cut=st.none() | st.integers(0, 200), as_bytes=st.booleans())
@settings(max_examples=150)
@example(scene={"file": own.SCENE_MARK, "link": {}}, cut=None, as_bytes=False)  # without its table
@example(scene={"file": own.SCENE_MARK, "link": {"scene": "\ud800"}, "table": None}, cut=None, as_bytes=False)
@example(scene={"file": own.SCENE_MARK, "link": {}, "table": "x"}, cut=None, as_bytes=False)
def test_hostile_scene_files_are_refused_with_a_sentence(scene, cut, as_bytes):
    text = json.dumps(scene)[:cut]
    try:
        link = taken(text.encode() if as_bytes else text)
    except TableError as fault:
        assert str(fault).endswith(".")
        return
    if link is not None:
        for word in [*link, *link.values()]:
            word.encode()  # it goes into the address


@pytest.mark.parametrize(
    "source",
    [
        b"\xff\xfe" + own.SCENE_MARK.encode(),
        own.SCENE_MARK,
        f'["{own.SCENE_MARK}"]',
        "[" * 99_999,
        f'"{own.SCENE_MARK}',
    ]
    + ['{"file": "lvmviz scene", "x": ' + "[" * 99_999],
)
def test_damaged_scene_files_are_refused(source):
    if own.SCENE_MARK.encode() in (source if isinstance(source, bytes) else source.encode()):
        with pytest.raises(TableError, match="damaged"):
            own._scene(source)
    else:
        assert own._scene(source) is None


def test_a_table_is_no_scene_file():
    assert own._scene("x,y\n1,2\n") is None and own._scene(b"x,y\n1,2\n") is None


@pytest.mark.parametrize("as_bytes", [False, True])
def test_a_scene_file_brings_its_table_to_another_computer(monkeypatch, tmp_path, as_bytes):
    given_table = read_table("größe,b,class\n0.1,2,x\n3,5e-300,y\n7,1e100,x\n")
    digest = own_data.put(given_table)
    link = {"data": "Stored", "data.digest": digest, "data.features": '["b"]', "step": "3", "v": "1"}
    text = json.dumps(own.scene_file("mixtures", Stored(digest=digest), link), indent=1)
    monkeypatch.setenv("LVMVIZ_HOME", str(tmp_path))
    with pytest.raises(own_data.MissingData):
        own_data.get(digest)
    assert taken(text.encode() if as_bytes else text) == link
    assert own_data.get(digest).points.tobytes() == given_table.points.tobytes()


@pytest.mark.parametrize("data", [Iris(), Stored()])
def test_a_scene_file_without_a_table(data):
    made = own.scene_file("mixtures", data, {"components": "4"})
    assert (made["table"], made["version"], made["page"]) == (None, state.VERSION, "mixtures")
    assert taken(json.dumps(made, indent=1)) == {"components": "4"}


def em_buttons(moved, colours):
    steps = range(len(moved))
    return half_step_buttons.buttons(moved, steps, "The end.", ExpectationMaximization(), colours)


def test_no_button_leads_across_half_steps_that_are_left_out():
    moved, steps = ["start", "E", "M", "E", "M", "E", "M"], [0, 1, 2, 7, 8, 9, 10]
    e, m, both = half_step_buttons.buttons(moved, steps, "The end.", ExpectationMaximization(), theme.LIGHT)
    assert e.next == [1, 1, 2, 3, 5, 5, 6] and m.next == [0, 2, 2, 4, 4, 6, 6]
    assert both.next == [2, 2, 2, 4, 6, 6, 6]
    assert e.refusal[2] == both.refusal[2] == half_step_buttons.CUT and m.refusal[2].startswith("M again")
    assert e.refusal[3].startswith("E again") and e.refusal[6] == "The end."


# ---- tables ----


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What small tables send to the browser."""
    made: list[dict[str, Any]] = []
    monkeypatch.setattr(table, "component", lambda name: lambda key, data, **_: made.append(data))
    return made


def test_a_tables_id_changes_with_what_it_shows(sent):
    columns, rows = [table.Column("a"), table.Column("b")], [["1", "2"], ["3", "4"]]
    base: dict[str, Any] = {"alt": "x", "height": 9, "rows": rows}
    variants = [
        base,
        base | {"rows": [["1", "2"], ["3", "5"]]},
        base | {"rows": rows[::-1]},
        base | {"rows": None, "frames": lambda: [rows], "depends": (1,)},
        base | {"rows": None, "frames": lambda: [rows], "depends": (2,)},
        base | {"rows": [[table.ring("#000000", "1"), "2"]]},
        base | {"rows": [[table.dot("#000000", "1"), "2"]]},
        base | {"height": 10},
        base | {"alt": "y"},
        base | {"channel": "player"},
    ]
    for variant in variants:
        table.table("t", columns, **variant)
    table.table("t", [table.Column("a"), table.Column("b", "left")], **base)
    table.table("t", columns, **base)
    ids = [data["id"] for data in sent]
    assert ids[-1] == ids[0] and len(set(ids[:-1])) == len(ids) - 1


@over_jobs
def test_the_ledger_has_a_row_a_half_step(traces, job, sent, monkeypatch):
    monkeypatch.setattr(ledger.frame, "head", lambda *_: None)
    monkeypatch.setattr(ledger.frame, "scale", lambda: 1.0)
    monkeypatch.setattr(ledger.frame, "dark", lambda: False)
    terms = summaries.decompositions(traces[job.id])
    moved = [{"start": "", "E": "q", "M": "θ"}[info.moved] for info in summaries.infos(traces[job.id])]
    entries = [
        ledger.Entry(f"{i}", who, t.elbo, t.kl) for i, (who, t) in enumerate(zip(moved, terms, strict=True))
    ]
    ledger.ledger(entries, decimals=4, unit="/N", channel="player")
    rows = sent[0]["rows"]
    assert len(rows) == len(terms) and sent[0]["channel"] == "player"
    inks = {"q": theme.LIGHT.q_mark, "θ": theme.LIGHT.theta_mark, "": theme.LIGHT.prior}
    for i, (name, elbo, kl, change) in enumerate(rows):
        assert name == {"dot": inks[moved[i]], "text": str(i), "note": moved[i]}
        assert (elbo, kl) == (theme.number(terms[i].elbo, 4), theme.number(terms[i].kl, 4))
        if i == 0:
            assert change == ""
            continue
        rise = terms[i].elbo - terms[i - 1].elbo
        assert float(change.replace("−", "-")) == pytest.approx(rise, abs=0.5001e-4)
        assert change[0] in "+−" or float(change) == 0
    assert all(
        column["align"] == ("left" if column["label"] == "step" else "right") for column in sent[0]["columns"]
    )


def log_weighted(weight: Any, mean: Any, sigma: Any, points: np.ndarray) -> np.ndarray:
    """log pi N(x | mu, Sigma) of every point, but for the constant."""
    factor = np.linalg.cholesky(sigma.numpy())
    apart = np.linalg.solve(factor, (points - mean.numpy()).T)
    return np.log(float(weight)) - np.log(np.diag(factor)).sum() - 0.5 * (apart**2).sum(0)


@over_jobs
def test_the_components_table_is_what_numpy_says(traces, job):
    trace = traces[job.id]
    frames = components._frames(trace, False)
    points = trace.job.algorithm.data.table().points
    assert len(frames) == len(trace)
    for rows, snapshot in zip(frames[:8] + frames[-1:], [*trace][:8] + [trace[-1]], strict=True):
        theta = [part.numpy() for part in snapshot.state.theta]
        if np.linalg.eigvalsh(snapshot.state.theta_q.covariances).min() < 1e-9:
            continue  # all but singular: two ways to compute a density agree no more
        log_joint = np.stack(
            [log_weighted(*part, points) for part in zip(*snapshot.state.theta_q, strict=True)]
        )
        counts = np.exp(log_joint - np.logaddexp.reduce(log_joint, 0)).sum(1)
        smallest = [np.linalg.eigvalsh(sigma).min() for sigma in theta[2]]
        told = [row for row in rows if not isinstance(row, dict)]  # below the agreement with the labels
        assert len(told) == len(theta[0]) and len(rows) - len(told) <= 1
        for k, (name, weight, count, eigenvalue) in enumerate(told):
            assert name == {"ring": theme.LIGHT.categories[k], "text": str(k + 1)}
            assert float(weight) == pytest.approx(theta[0][k], abs=0.5001e-3)
            assert float(count) == pytest.approx(counts[k], abs=0.05001)
            assert float(eigenvalue) == pytest.approx(
                smallest[k], abs=0.5001e-3 if smallest[k] >= 1e-3 else 0, rel=0.5
            )
            assert ("e" in eigenvalue) == (smallest[k] < 1e-3)


# ---- plots ----


def payload(made: Any) -> dict[str, Any]:
    data = json.loads(plot.film_text(made, 1.0))
    json.dumps(data, allow_nan=False)  # a browser reads no NaN and no Infinity
    for move in data["film"]["moves"] if "film" in data else data["moves"]:
        for key, kind in (("f32", "<f4"), ("affine", "<f4")):
            if key in move:
                assert not np.isinf(np.frombuffer(base64.b64decode(move[key]), kind)).any()
    return data


@over_jobs
@pytest.mark.parametrize("dark", [False, True])
def test_every_figure_of_em_is_json(traces, job, dark):
    trace = traces[job.id]
    films = [
        em_films.picture(trace, (0, trace.job.algorithm.data.table().points.shape[1] - 1), dark),
        em_films.trace_chart(trace, dark),
        em_films.bound_chart(trace, trace.job.algorithm.components, 0, dark),
    ]
    terms = summaries.decompositions(trace)
    for shown in ("I", "II", "III", "Σ"):
        films.append(
            thermometers.thermometer(terms, presentation=shown, decimals=4, dark=dark, height=210, names={})
        )
    for film in films:
        data = payload(film)
        assert data["count"] == len(trace) and data["figure"]["data"]


INF = math.inf
ENDLESS = [
    Decomposition(-1.0, -2.0, 1.0, -3.0, 1.0, -1.5, 0.5),
    Decomposition(-1.0, -INF, INF, -INF, 1.0, -INF, 0.5),
    Decomposition(-1.0, -INF, INF, -INF, 1.0, -1.0, INF),
    Decomposition(INF, INF, 0.0, INF, 1.0, INF, 0.5),
]


@pytest.mark.parametrize("shown", ["I", "II", "III", "Σ"])
@pytest.mark.parametrize("terms", [ENDLESS[1:2], ENDLESS[2:3], ENDLESS[3:], ENDLESS], ids=len)
def test_infinite_terms_are_json(shown, terms):
    payload(thermometers.thermometer(terms, presentation=shown, decimals=4, dark=False, height=210, names={}))


@pytest.mark.parametrize("bad", [-INF, math.nan])
@pytest.mark.parametrize("at", [0, 1, 2])
def test_a_trace_with_an_infinite_bound_is_json(bad, at):
    elbo = np.array([-5.0, -4.0, -3.0])
    elbo[at] = bad
    payload(steps.trace_chart(np.array([-4.5, -4.0, -2.9]), elbo, [0, 1, 1], ["start", "E", "M"]))


def test_a_figure_alone_is_a_film_of_one_frame():
    made = theme.figure(theme.LIGHT, height=100)
    assert payload(made) == payload(Film(made, 1))
    assert payload(made)["count"] == 1 and payload(made)["moves"] == []


# ---- the menu ----


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(site, "ROOT", tmp_path)
    (tmp_path / "pages").mkdir()
    return tmp_path / "pages"


def test_pages_stand_in_the_order_of_their_numbers(folder):
    for number, name, group in (("10", "vae", "VAE"), ("00", "start", ""), ("05", "two_words", "EM")):
        (folder / f"{number}_{name}.py").write_text(
            f"TITLE = 'Ü {name}'\nGROUP = {group!r}\n", encoding="utf-8"
        )
    for other in ("notes.py", "5_x.py", "07_x.txt", "__init__.py"):
        (folder / other).write_text("nothing")
    assert [(page.url, page.title, page.group) for page in site.pages()] == [
        ("", "Ü start", ""),
        ("two_words", "Ü two_words", "EM"),
        ("vae", "Ü vae", "VAE"),
    ]
    assert [page.path.name for page in site.pages()] == ["00_start.py", "05_two_words.py", "10_vae.py"]


@pytest.mark.parametrize(
    "source",
    [
        "",
        "TITLE = 'x'",
        "GROUP = 'EM'",
        "TITLE = 'x'\nGROUP = 'Em'",
        "def f():\n    TITLE = 'x'\n    GROUP = ''",
    ]
    + ["TITLE = str(1)\nGROUP = 'EM'", "# TITLE = 'x'\nGROUP = ''"],
)
def test_a_page_that_does_not_say_what_it_is_is_refused(folder, source):
    (folder / "03_odd.py").write_text(source)
    with pytest.raises(ValueError, match=r"03_odd\.py must say TITLE = .* GROUP = one of .*'EM'"):
        site.pages()


def test_a_pages_own_code_does_not_run_for_the_menu(folder):
    (folder / "01_loud.py").write_text("raise SystemExit\nTITLE = 'x'\nGROUP = ''\n")
    assert [page.title for page in site.pages()] == ["x"]


def test_the_real_menu():
    made = site.pages()
    assert made[0].url == "" and len({page.url for page in made}) == len(made)
    assert all(page.group in site.GROUPS and page.title for page in made)
