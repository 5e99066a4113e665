"""`python -m lvmviz`: what it prints, and how it says what cannot be done."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from lvmviz import EM, Job
from lvmviz.core import one_thread
from lvmviz.runs import queue
from lvmviz.runs.execute import execute
from lvmviz.runs.job import job_json
from lvmviz.runs.store import Store
from lvmviz.shell import main

ROOT = Path(__file__).parents[1]
JOB = Job(EM(components=2), steps=6, seed=3)


@pytest.fixture(autouse=True)
def off(tmp_path, monkeypatch):
    """A home of its own, without an engine; and the threads as they were."""
    threads = torch.get_num_threads()
    one_thread()
    monkeypatch.setenv("LVMVIZ_HOME", str(tmp_path))
    monkeypatch.setenv("LVMVIZ_ENGINE", "off")
    yield tmp_path
    torch.set_num_threads(threads)


@pytest.fixture
def run():
    made = Store().create(JOB)
    assert execute(JOB, made.path) == "finished"
    return made


def table(capsys):
    assert main(["runs"]) == 0
    head, *rows = capsys.readouterr().out.splitlines()
    return head.split(), [row.split() for row in rows]


def test_runs_are_listed(capsys, run):
    Store().create(Job(EM(components=3), steps=6))
    head, rows = table(capsys)
    assert head[:3] == ["run", "state", "step"]
    assert sorted(row[1:3] for row in rows) == [["finished", "6/6"], ["stopped", "0/6"]]
    assert [run.id, "finished", "6/6"] in [row[:3] for row in rows]


def test_nothing_is_listed_in_an_empty_home(capsys):
    assert table(capsys)[1] == []


def test_a_run_is_shown_by_the_beginning_of_its_name(capsys, run):
    assert main(["runs", "show", run.id[:6]]) == 0
    shown = capsys.readouterr().out
    assert run.id in shown and "finished" in shown and str(run.path) in shown
    assert main(["runs", "log", run.id]) == 0
    assert "finished" in capsys.readouterr().out


def test_a_shown_job_is_one_that_can_be_run(capsys, run, monkeypatch):
    assert main(["runs", "show", "--job", run.id]) == 0
    shown = capsys.readouterr().out
    assert json.loads(shown) == job_json(JOB)
    monkeypatch.setattr(sys, "stdin", io.StringIO(shown))
    assert main(["run", "-"]) == 0  # it has finished already
    assert capsys.readouterr().out.strip() == run.id


@pytest.mark.parametrize("what", [job_json(JOB), {"job": job_json(JOB), "version": "0"}])
def test_a_job_comes_by_itself_or_in_its_run(tmp_path, capsys, run, what):
    path = tmp_path / "job.json"
    path.write_text(json.dumps(what))
    assert main(["run", str(path)]) == 0
    assert capsys.readouterr().out.strip() == run.id


def test_what_a_job_leaves_out_is_as_always(tmp_path, capsys, run):
    path = tmp_path / "job.json"
    path.write_text(json.dumps({"algorithm": {"choice": "EM", "components": 2}, "steps": 6, "seed": 3}))
    assert main(["run", str(path)]) == 0
    assert capsys.readouterr().out.strip() == run.id


def test_words_to_a_run(run):
    assert main(["runs", "pin", run.id]) == 0
    assert run.pinned
    assert main(["runs", "unpin", run.id]) == 0
    assert not run.pinned
    for word in ("pause", "stop"):
        assert main(["runs", word, run.id]) == 0
        assert (run.path / "control").read_text() == word
    assert main(["runs", "delete", run.id]) == 0
    assert Store().runs() == []


def test_a_waiting_run_is_stopped(capsys):
    run = Store().create(JOB)
    queue.enqueue(run)
    assert table(capsys)[1][0][1] == "queued"
    assert main(["runs", "stop", run.id]) == 0
    assert table(capsys)[1][0][1] == "stopped" and queue.waiting() == []


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["runs", "show", "0123456789abcdef"], "not on this computer"),
        (["runs", "delete", "../../etc"], "names no run"),
        (["runs", "show", ""], "no run is named by nothing"),
        (["runs", "show", "zz"], "no run begins with zz; `runs` lists them"),
        (["run", "some.zip"], "some.zip is not JSON: give what `runs show --job` prints"),
        (["run", "deep.json"], "deep.json is not JSON"),
        (["run", "-"], "the standard input is no job"),
        (["run", "no/such/file.json"], "no/such/file.json: No such file"),
        (["run", "not.json"], "is not JSON"),
        (["run", "list.json"], "is no job"),
        (["run", "unknown.json"], "'Magic' is no Algorithm"),
        (["run", "wrong.json"], "steps = -1"),
        (["run", "good.json"], "LVMVIZ_ENGINE=off"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_sentence(tmp_path, monkeypatch, capsys, words, told):
    monkeypatch.chdir(tmp_path)
    Path("not.json").write_text("{")
    Path("some.zip").write_bytes(b"PK\x03\x04\xff\xfe\x80")
    Path("deep.json").write_text("[" * 100_000)
    monkeypatch.setattr(sys, "stdin", io.StringIO("NaN"))
    Path("list.json").write_text("[1]")
    Path("unknown.json").write_text(json.dumps({"algorithm": {"choice": "Magic"}}))
    Path("wrong.json").write_text(json.dumps({**job_json(JOB), "steps": -1}))
    Path("good.json").write_text(json.dumps(job_json(JOB)))
    assert main(words) == 2
    said = capsys.readouterr().err
    assert said.splitlines()[-1].startswith("lvmviz: ") and told in said


def test_a_beginning_that_several_share_is_no_name(capsys, monkeypatch):
    firsts = [Store().create(Job(EM(), steps=1, seed=seed)).id[0] for seed in range(17)]  # of 16 digits
    shared = max(firsts, key=firsts.count)
    assert main(["runs", "delete", shared]) == 2
    assert f"{firsts.count(shared)} runs begin with {shared}" in capsys.readouterr().err
    assert len(Store().runs()) == 17


def test_another_home(tmp_path, capsys, run):
    assert main(["--home", str(tmp_path / "other"), "runs"]) == 0
    assert run.id not in capsys.readouterr().out
    os.environ["LVMVIZ_HOME"] = str(tmp_path / "other")
    assert main(["runs", "--home", str(tmp_path)]) == 0
    assert run.id in capsys.readouterr().out


def test_no_engine(capsys):
    assert main(["engine", "--status"]) == 1
    assert "no engine" in capsys.readouterr().out


def test_nothing_asked_is_told_how_to_ask(capsys):
    with pytest.raises(SystemExit) as left:
        main([])
    assert left.value.code == 2
    assert "run | runs | engine" in capsys.readouterr().err


@pytest.mark.slow
def test_an_engine_that_cannot_start_says_why(tmp_path):
    env = {**os.environ, "LVMVIZ_PRELOAD": "no_such_module_of_mine"}
    done = subprocess.run(
        [sys.executable, "-m", "lvmviz", "engine"], cwd=ROOT, env=env, capture_output=True, text=True
    )
    assert done.returncode == 2
    assert "lvmviz: LVMVIZ_PRELOAD names 'no_such_module_of_mine'" in done.stderr
    assert "Traceback" not in done.stderr
    assert "no_such_module_of_mine" in (tmp_path / "log.txt").read_text()
