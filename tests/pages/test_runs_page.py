"""The page of runs: what is listed and for whom, what a row's actions do, and that it rests when they do."""

import errno
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from streamlit.testing.v1 import AppTest

from lvmviz import EM, VI, Blobs, ByHand, CrossedEllipses, Iris, Job, Stored, Wine, own_data
from lvmviz.datasets import Dataset, Synthetic
from lvmviz.regularizers import Floor
from lvmviz.runs import bundle, engine, queue
from lvmviz.runs.execute import execute
from lvmviz.runs.files import read_sealed, seal, write, write_sealed
from lvmviz.runs.run import MissingRun, Run
from lvmviz.runs.store import Store, title
from lvmviz.tables import read_table
from lvmviz.ui import run_desk, run_numbers, runs, site
from tests.widgets import sound

ROOT = Path(__file__).parents[2]
PAGES = ROOT / "pages"
PAGE, START, MIXTURES = (str(PAGES / name) for name in ("11_runs.py", "00_start.py", "05_mixtures.py"))
SMALL = Job(EM(data=Blobs(points=60)), steps=40, seed=3)
OTHER = Job(EM(data=Wine(), components=2), steps=20)
BAD = Job(EM(data=Blobs(points=3), components=9), steps=2)
FLAT_OUT = Job(EM(data=Blobs(points=20_000), components=8, tolerance=0.0), steps=20_000)
DEADLINE_S = 60


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of the test's own, without an engine."""
    monkeypatch.setenv("LVMVIZ_HOME", str(tmp_path))
    monkeypatch.setattr("lvmviz.runs.attempt.OBEY_S", 0.0)
    monkeypatch.setattr(engine, "ensure", lambda base=None: None)
    return tmp_path


def done(job: Job, ending: Callable[[], bool] | None = None) -> Run:
    made = Store().create(job)
    execute(job, made.path, ending)
    return made


def opened(path: str = PAGE, **link: str) -> AppTest:
    app = AppTest.from_file(path, default_timeout=60)
    for name, value in link.items():
        app.query_params[name] = value
    return sound(app.run())


def parts(app: AppTest, kind: str) -> list[dict[str, Any]]:
    """What the browser gets for every part of this kind."""
    protos = [part.proto for part in app.get("bidi_component")]
    return [json.loads(proto.json) for proto in protos if proto.component_name == f"lvmviz_{kind}"]


def listed(app: AppTest) -> list[str]:
    """The ids in the table, from the top."""
    return next((data["picks"] for data in parts(app, "table") if data["picks"]), [])


def row(app: AppTest, id: str) -> list[Any]:
    table = next(data for data in parts(app, "table") if data["picks"])
    return table["rows"][table["picks"].index(id)]


def numbers(app: AppTest) -> list[list[str]]:
    return next((data["rows"] for data in parts(app, "table") if not data["picks"]), [])


def words(app: AppTest) -> str:
    said = [*app.markdown, *app.error, *app.caption, *app.warning]
    return " ".join(one.value for one in said).replace("\\", "").replace("\u2060", "")


def press(app: AppTest, label: str) -> AppTest:
    (button,) = [button for button in app.button if button.label == label]
    return sound(button.click().run())


def offered(app: AppTest) -> set[str]:
    names = {"Open", "Pause", "Resume", "Stop", "Pin", "Unpin", "Delete", "Delete it", "Cancel"}
    return {b.label for b in app.button if b.label in names and not b.disabled}


def until(what: Callable[[], Any], why: str) -> None:
    end = time.monotonic() + DEADLINE_S
    while not what():
        assert time.monotonic() < end, why
        time.sleep(0.01)


@pytest.fixture
def running() -> Iterator[Run]:
    """A run that a thread works at until the test is over."""
    over, made = threading.Event(), Store().create(FLAT_OUT)
    thread = threading.Thread(target=execute, args=(FLAT_OUT, made.path, over.is_set))
    thread.start()
    until(lambda: made.status().rate > 0 and made.metrics(), "it never began")
    yield made
    over.set()
    thread.join()


# ---- the table ----


def test_without_runs_it_says_so_and_shows_the_way():
    app = opened()
    assert "No runs yet" in words(app) and parts(app, "table") == [] and parts(app, "ticker") == []
    assert "A million points, one minute" in [button.label for button in app.button]


def test_every_run_has_a_row_the_newest_first():
    made = [done(job) for job in (SMALL, BAD, OTHER)]
    app = opened()
    assert listed(app) == [one.id for one in Store().runs()] and set(listed(app)) == {one.id for one in made}
    small = row(app, made[0].id)
    steps = made[0].status().step
    assert small[0] == {"text": "EM, Blobs", "note": "data=Blobs(points=60), seed=3"}
    assert small[1:4] == ["finished", "cpu", f"{steps} / 40"] and small[4] == ""
    elbo = made[0].metrics()[-1]["elbo"]
    assert float(small[5].replace("−", "-")) == pytest.approx(elbo / 60, abs=0.005) and small[5] != f"{elbo}"
    (head,) = [data["columns"] for data in parts(app, "table") if data["picks"]]
    assert head[5]["label"] == "ELBO per\u00a0datum"
    assert row(app, made[1].id)[1] == "failed" and row(app, made[1].id)[5] == ""
    assert parts(app, "ticker") == [], "nothing runs: nothing polls"


def test_the_filters_let_through_what_they_say():
    small, bad, other = (done(job) for job in (SMALL, BAD, OTHER))
    assert set(listed(opened(doing="finished"))) == {small.id, other.id}
    assert listed(opened(doing="failed")) == [bad.id] and listed(opened(doing="active")) == []
    assert set(listed(opened(method="EM"))) == {small.id, bad.id, other.id}
    assert listed(opened(method="VI")) == []
    assert listed(opened(search="wine")) == [other.id]
    assert listed(opened(search="COMPONENTS=9 blobs")) == [bad.id]
    assert listed(opened(search=small.id[:9])) == [small.id]
    assert listed(opened(search="wine", doing="failed")) == []


def test_where_nothing_matches_the_way_back_is_a_button():
    small, other = done(SMALL), done(OTHER)
    app = opened(search="moons", doing="failed", run=small.id)
    assert "No run matches" in words(app) and listed(app) == []
    press(app, "Show all runs")
    assert set(listed(app)) == {small.id, other.id} and app.query_params["run"] == small.id
    assert app.text_input[0].value == "" and "search" not in app.query_params


def test_a_running_run_is_asked_after_until_it_ends(running: Run):
    app = opened()
    assert row(app, running.id)[1] == "running" and float(row(app, running.id)[4].replace(",", "")) > 0
    assert len([data for data in parts(app, "ticker") if "after_ms" in data]) == 1
    app = opened(run=running.id)
    assert offered(app) == {"Open", "Pause", "Stop", "Pin"} - ({"Open"} if FLAT_OUT.steps > 1000 else set())
    press(app, "Pause")
    until(lambda: running.status().state == "paused" and not running.busy, "the pause was not obeyed")
    sound(app.run())
    assert parts(app, "ticker") == [] and {"Resume", "Stop", "Delete"} <= offered(app)
    press(app, "Resume")
    assert queue.waiting() == [running.id] and len(parts(app, "ticker")) == 1
    press(app, "Stop")
    assert running.status().state == "stopped" and queue.waiting() == []


def tell(made: Run, **words: Any) -> None:
    """Change what a run's status says, rightly sealed."""
    told = read_sealed(made.path / "status.json") or {}
    told.pop("crc", None)
    write_sealed(made.path / "status.json", told | words)


def last_line(made: Run, **words: Any) -> None:
    """Change a run's newest numbers, rightly sealed."""
    path = made.path / "metrics.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    told = {name: value for name, value in made.metrics()[-1].items() if name != "crc"}
    write(path, b"".join(lines[:-1]) + seal(told | words))


@pytest.mark.parametrize(
    ("words", "state", "elbo"),
    [
        ({"elbo": 10**400}, "finished", "∞"),
        ({"elbo": -(10**400)}, "finished", "−∞"),
        ({"elbo": float("nan")}, "finished", "not finite"),
        ({"elbo": -6e299}, "finished", "−1.0e298"),
        ({"elbo": "many"}, "finished", "not finite"),
        ({"step": "many"}, "unreadable", ""),
        ({"notes": 7}, "unreadable", ""),
        ({"device": 7}, "unreadable", ""),
        ({"device": "a long device name " * 20}, "finished", None),
    ],
)
def test_one_odd_run_leaves_the_others_their_rows(words: dict[str, Any], state: str, elbo: str | None):
    odd, good = done(SMALL), done(OTHER)
    tell(odd, **words)
    app = opened()
    assert set(listed(app)) == {odd.id, good.id} and row(app, good.id)[1] == "finished"
    told = row(app, odd.id)
    assert told[1] == state and (elbo is None or told[5] == elbo)
    assert all(len(cell) <= 20 for cell in told[1:]) and len(told) == len(runs.COLUMNS)
    opened(START)


def test_an_odd_run_can_be_looked_at_and_deleted():
    odd = done(SMALL)
    tell(odd, step="many")
    app = opened(run=odd.id)
    assert "cannot be read" in words(app)
    press(press(app, "Delete"), "Delete it")
    assert not odd.path.exists()


def test_odd_numbers_are_told_as_such():
    odd = done(SMALL)
    last_line(odd, elbo=10**400, kl=float("nan"), joint=-float("inf"), iteration=10**30, rise=6e-7)
    shown = dict(numbers(opened(run=odd.id)))
    assert (shown["ELBO"], shown["KL"], shown["E log p(x, z)"]) == ("∞", "not finite", "−∞")
    assert (shown["iteration"], shown["rise of log p(X)"]) == ("1.0e30", "1.0e−08")


# ---- one run ----


def test_a_picked_run_shows_its_settings_its_numbers_and_its_log():
    made = done(SMALL)
    app = opened(run=made.id)
    (code,) = [block.value for block in app.code if "import" in block.value]
    space: dict[str, Any] = {}
    threads = torch.get_num_threads()
    try:
        exec(code.rpartition("\n")[0], space)  # a person runs these lines
    finally:
        torch.set_num_threads(threads)
    assert space["trace"].job == SMALL
    assert "to the bit on this computer" in words(app)
    shown = {name: value for name, value in numbers(app)}
    last = made.metrics()[-1]
    assert shown["step"] == str(last["step"]) and shown["moved"] == last["moved"]
    assert float(shown["ELBO"].replace("−", "-")) == pytest.approx(last["elbo"] / 60, abs=6e-5)
    assert any("began" in block.value and "finished" in block.value for block in app.code)
    assert len(parts(app, "plot")) == 1 and "Finished at step" in words(app)


@pytest.mark.slow
def test_the_lines_give_the_same_numbers_to_the_bit_however_many_threads_there_are(tmp_path: Path):
    made = Store().create(Job(EM(data=Blobs(points=50_000)), steps=12))
    elsewhere = "import sys, lvmviz.core as core; from lvmviz.runs.execute import execute; "
    elsewhere += "from lvmviz.runs.run import Run; from pathlib import Path; core.one_thread(); "
    elsewhere += "run = Run(Path(sys.argv[1])); execute(run.job, run.path)"
    subprocess.run([sys.executable, "-c", elsewhere, str(made.path)], cwd=ROOT, check=True)
    lines = run_desk._lines(made.job).replace("import torch\n", "import torch\ntorch.set_num_threads(2)\n")
    lines += "\nimport json\nprint(json.dumps([one.info._asdict() for one in trace]))"
    done = subprocess.run([sys.executable, "-c", lines], cwd=ROOT, check=True, capture_output=True, text=True)
    rows = [{name: row[name] for name in row if name not in ("step", "crc")} for row in made.metrics()]
    assert json.loads(done.stdout) == rows and len(rows) == 13


def test_nothing_is_promised_of_what_was_computed_elsewhere():
    made = done(SMALL)
    data = bundle.export(made)
    made.delete()
    app = opened(run=bundle.load(Store(), data).id)
    assert "to the bit" not in words(app) and "computed elsewhere" in words(app)


def test_a_failed_run_shows_its_cause_and_no_empty_axes():
    app = opened(run=done(BAD).id)
    assert "3 points cannot start 9 components" in app.error[0].value
    assert "It has no numbers yet" in words(app) and parts(app, "plot") == [] and numbers(app) == []


def test_an_interrupted_run_shows_its_last_good_numbers_and_can_be_resumed():
    left = iter(range(6))
    made = done(SMALL, lambda: next(left, None) is None)
    app = opened(run=made.id)
    assert "The app was closed at step" in words(app)
    assert numbers(app)[0] == ["step", str(made.metrics()[-1]["step"])]
    press(app, "Resume")
    assert queue.waiting() == [made.id]


def test_deleting_asks_first():
    made, other = done(SMALL), done(OTHER)
    app = press(opened(run=made.id), "Delete")
    assert made.path.exists() and "Delete it with all it computed?" in words(app)
    press(app, "Cancel")
    assert made.path.exists() and "all it computed" not in words(app)
    press(press(app, "Delete"), "Delete it")
    assert not made.path.exists() and listed(app) == [other.id] and not app.warning
    assert "run" not in app.query_params


@pytest.mark.parametrize("label", ["Pin", "Delete it"])
def test_what_a_disk_refuses_is_told_with_a_remedy(label: str, monkeypatch: pytest.MonkeyPatch):
    made = done(SMALL)
    app = opened(run=made.id)
    if label == "Delete it":
        press(app, "Delete")

    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(made.path / "lease"))

    with monkeypatch.context() as patch:
        patch.setattr("lvmviz.runs.files.Lock.acquire", refuse)
        patch.setattr(Path, "touch", refuse)
        press(app, label)
    said = app.error[0].value.replace("\\", "").replace("\u2060", "")
    assert "Read-only file system" in said and "Set LVMVIZ_HOME" in said
    assert "Errno" not in said and str(made.path) not in said and made.path.exists()


def test_a_pinned_run_stays_and_says_so():
    made = done(SMALL)
    app = press(opened(run=made.id), "Pin")
    assert made.pinned and "pinned" in row(app, made.id)[1]
    press(app, "Unpin")
    assert not made.pinned and row(app, made.id)[1] == "finished"


def test_two_runs_stand_side_by_side_on_the_same_axes():
    one, other = done(SMALL), done(OTHER)
    app = opened(run=one.id, compare=other.id)
    (film,) = [json.loads(data["film"]) for data in parts(app, "plot")]
    layout = film["figure"]["layout"]
    assert layout["xaxis2"]["matches"] == "x" and layout["yaxis2"]["matches"] == "y"
    assert layout["xaxis"]["range"] == layout["xaxis2"]["range"]
    assert layout["yaxis"]["range"] == layout["yaxis2"]["range"]
    drawn = [trace for trace in film["figure"]["data"]]
    assert [trace.get("xaxis", "x") for trace in drawn] == ["x", "x", "x2", "x2"]
    counts = (60, 178)
    for run_, line, count in zip((one, other), drawn[::2], counts, strict=True):
        assert line["y"] == pytest.approx([told["elbo"] / count for told in run_.metrics()])
        assert line["x"] == [told["step"] for told in run_.metrics()]
    titles = [note["text"] for note in layout["annotations"] if note["text"][1] == ":"]
    assert titles == ["A: EM, Blobs: data=Blobs(points=…", "B: EM, Wine: data=Wine(), compon…"]
    (heads,) = [data["columns"] for data in parts(app, "table") if not data["picks"]]
    assert [head["label"] for head in heads] == ["nats per point", "A", "B"]
    values = {name: pair for name, *pair in numbers(app)}
    for at, run_ in enumerate((one, other)):
        kl = run_.metrics()[-1]["kl"] / counts[at]
        assert float(values["KL"][at].replace("−", "-").replace("e−", "e-")) == pytest.approx(kl, abs=6e-5)
    box = app.selectbox[-1]
    assert sound(box.set_value("").run()).query_params.get("compare") is None


def test_only_runs_of_the_same_kind_of_numbers_stand_beside_each_other():
    one, same, strange = done(SMALL), done(OTHER), done(Job(VI(), steps=3))
    app = opened(run=one.id, compare=strange.id)
    offers = app.selectbox[-1].options
    assert any("Wine" in name for name in offers) and not any("VI" in name for name in offers)
    assert len(offers) == 2 and "compare" not in app.query_params
    assert opened(run=one.id, compare=same.id).query_params["compare"] == same.id


def test_numbers_say_what_they_are_per():
    def unit(job: Job) -> str:
        app = opened(run=done(job).id)
        (film,) = [json.loads(data["film"]) for data in parts(app, "plot")]
        axis = film["figure"]["layout"]["yaxis"]["title"]["text"]
        (heads,) = [data["columns"] for data in parts(app, "table") if not data["picks"]]
        assert heads[1]["label"] == axis
        return axis

    assert unit(SMALL) == "nats per point" and unit(Job(VI(), steps=3)) == "nats"


def test_where_a_table_is_not_here_the_numbers_are_of_all_its_points():
    digest = own_data.put(read_table("a,b\n1,2\n3,1\n5,5\n7,3\n"))
    made = Store().create(Job(EM(data=Stored(digest=digest), components=1), steps=4), "")
    execute(made.job, made.path)
    total = made.metrics()[-1]["elbo"]
    run_numbers._count.cache_clear()
    assert run_numbers.unit(made.job) == (4, "nats per point")
    assert run_numbers.elbo(made, total) == run_numbers.written(total / 4, 2)
    unknown = Job(EM(data=Stored(digest="0" * 64), components=1), steps=4)
    assert run_numbers.unit(unknown) == (1, "nats in all")
    assert not run_numbers.alike(made.job, unknown) and run_numbers.alike(made.job, SMALL)


@pytest.mark.parametrize("data", [cls for cls in Dataset.options.values() if issubclass(cls, Synthetic)])
def test_how_many_points_there_are_is_known_without_drawing_them(data: type[Synthetic]):
    assert run_numbers._count(data(points=37)) == len(data(points=37).table().points) == 37


@pytest.mark.parametrize(
    ("value", "decimals", "told"),
    [
        (0.0, 2, "0.00"), (-3.456, 2, "−3.46"), (1e14, 2, "100000000000000.00"), (1e15, 2, "1.0e15"),
        (-1.26e208, 4, "−1.3e208"), (4e-9, 4, "4.0e−09"), (float("nan"), 2, "not finite"),
        (float("inf"), 2, "∞"), (-float("inf"), 4, "−∞"),
    ],
)  # fmt: skip
def test_every_number_is_written_so_that_it_can_be_read(value: float, decimals: int, told: str):
    assert run_numbers.written(value, decimals) == told


# ---- in and out ----


def test_a_run_goes_out_as_a_zip_and_comes_in_again():
    made = done(SMALL)
    data = bundle.export(made)
    made.delete()
    app = opened()
    sound(app.file_uploader[0].set_value(("run.zip", data, "application/zip")).run())
    assert listed(app) == [made.id] and app.query_params["run"] == made.id
    assert Store().open(made.id).metrics() == Run(made.path).metrics() != []
    assert (
        row(app, made.id)[1] == "finished · imported"
    )  # a zip may say anything: nobody takes it for computed
    (note,) = [one for one in app.markdown if "nobody here has checked" in one.value.replace("\u2060", "")]
    assert note.value.startswith(":gray[") and not any("checked" in one.value for one in app.caption), (
        "a caption's lower margin is negative: in this narrow column its second line is cut off"
    )


def test_an_imported_run_that_cannot_go_on_says_how_it_ended_and_offers_no_resume():
    made = done(SMALL)
    tell(made, state="failed", threads=7, cause="A component was lost.")
    app = opened(run=bundle.load(Store(), bundle.export(made)).id)
    assert "A component was lost" in words(app) and "start it anew" in words(app)
    assert offered(app) == {"Open", "Pin", "Delete"}


def test_a_zip_that_is_none_is_refused_with_a_sentence():
    app = opened()
    sound(app.file_uploader[0].set_value(("run.zip", b"PK no", "application/zip")).run())
    assert len(app.error) == 1 and Store().runs() == [] and "Traceback" not in words(app)


# ---- open: the page that shows it ----


@pytest.mark.parametrize(
    "job",
    [
        SMALL,
        OTHER,
        Job(EM(), steps=200),
        Job(EM(data=CrossedEllipses(angle=40.0), components=2, tolerance=1e-3), steps=2, seed=9),
        Job(EM(data=Iris(features=("petal length",)), regularizer=Floor(amount=0.01)), steps=10, seed=1),
        Job(EM(start=ByHand(centres=((5.0, 3.0),))), steps=8),
    ],
    ids=lambda job: f"{title(job)} {job.steps}",
)
def test_open_leads_to_the_page_with_the_very_same_job(job: Job):
    url, link = runs.page_of(job)  # type: ignore[misc]
    assert url == "mixtures"
    app = opened(MIXTURES, **link)
    assert not app.error and not app.warning
    assert app.session_state["lvmviz.kept"][1].job == job


@pytest.mark.parametrize(
    "job",
    [
        Job(EM(), steps=41),
        Job(EM(), steps=2000),
        Job(EM(), steps=40, every=2),
        Job(EM(), steps=40, seed=-1),
        Job(VI(), steps=10),
    ],
    ids=["odd", "many", "every", "seed", "other method"],
)
def test_what_no_page_can_ask_for_cannot_be_opened(job: Job):
    assert runs.page_of(job) is None
    app = opened(run=done(job).id)
    assert "Open" not in offered(app)


@pytest.mark.parametrize(("rounds", "seed"), [(1, 0), (500, 9999), (501, 0), (1, 10_000)])
def test_what_a_page_can_ask_for_is_what_its_controls_offer(rounds: int, seed: int):
    """The oracle is the page: it says of a link's number whether its control takes it."""
    asked = opened(MIXTURES, iterations=str(rounds), seed=str(seed))
    taken = not asked.warning
    offered_here = runs.page_of(Job(EM(), steps=2 * rounds, seed=seed)) is not None
    assert offered_here == taken == (rounds <= 500 and seed <= 9999)


def test_the_bounds_of_a_control_are_read_from_its_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "pages").mkdir()
    monkeypatch.setattr(site, "ROOT", tmp_path)
    top = 'TITLE = "T"\nGROUP = "EM"\nSHOWS = "EM"\nSTEPS_EACH = 2\n'
    page = tmp_path / "pages" / "05_some.py"
    page.write_text(top + 'ITERATIONS = Knob(3, 70, "so many", more=True)\nSEED = Knob(label="Seed")\n')
    (told,) = site.pages()
    assert (told.iterations, told.seeds, told.steps) == ((3, 70), site.SEEDS, 2)
    jobs = [Job(EM(), steps=2 * rounds) for rounds in (2, 3, 70, 71)]
    monkeypatch.setattr(site, "pages", lambda: [told._replace(url="some")])
    assert [runs.page_of(job) is not None for job in jobs] == [False, True, True, False]


# ---- whose it is ----


def test_another_persons_run_is_not_there_for_anybody_else():
    digest = own_data.put(read_table("a,b\n1,2\n3,1\n5,5\n7,3\n"))
    job = Job(EM(data=Stored(digest=digest), components=1), steps=4)
    made = Store().create(job, owner="a" * 64)
    execute(job, made.path)
    app = opened(run=made.id)
    assert listed(app) == [] and numbers(app) == [] and parts(app, "plot") == []
    assert offered(app) == set() and "No runs yet" in words(app)
    assert digest[:12] not in words(app) and "Stored" not in words(app)
    said = app.warning[0].value.replace("\\", "").replace("\u2060", "")
    missing = opened(run="0123456789abcdef").warning[0].value.replace("\\", "").replace("\u2060", "")
    assert said.replace(made.id, "") == missing.replace("0123456789abcdef", "")
    with pytest.raises(MissingRun):
        Store().open("0123456789abcdef")
    assert listed(opened(run=done(SMALL).id, compare=made.id)) == [SMALL.id]


def test_the_owner_sees_and_deletes_it():
    app = opened()
    digest = own_data.put(read_table("a,b\n1,2\n3,1\n5,5\n7,3\n"))
    job = Job(EM(data=Stored(digest=digest), components=1), steps=4)
    app.session_state["lvmviz.key"] = "k"
    import hashlib

    made = Store().create(job, owner=hashlib.sha256(b"k").hexdigest())
    execute(job, made.path)
    assert listed(sound(app.run())) == [made.id] and "yours alone" in row(app, made.id)[1]


@pytest.mark.parametrize("id", ["", "nonsense", "../../etc", "0" * 16, "0123456789abcde/", "[x](y)"])
def test_a_link_to_no_run_says_so(id: str):
    done(SMALL)
    app = opened(run=id, compare=id)
    assert listed(app) == [SMALL.id] and len(app.warning) == (1 if id else 0)


# ---- the Start page ----


def test_the_start_page_links_to_the_newest_runs():
    def links() -> dict[str, str]:
        made = [button for button in opened(START).button if button.key.startswith("recent_")]
        return {button.key[7:]: button.label.replace("\\", "").replace("\u2060", "") for button in made}

    assert links() == {}
    made = [done(job) for job in (SMALL, BAD)]
    told = links()
    for one, ending in zip(made, ("finished", "failed"), strict=True):
        begun = time.strftime("%H:%M", time.localtime(one.created))
        assert told[one.id] == f"EM, Blobs: data=Blobs(poin… ({ending}, {begun})"
    for seed in range(5):
        done(Job(SMALL.algorithm, steps=2, seed=seed))
    assert list(links()) == [one.id for one in Store().runs()][:4]
