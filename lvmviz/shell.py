"""What `python -m lvmviz` does: work in the background from the shell, and the engine that does it."""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import re
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from lvmviz import __version__
from lvmviz.core import one_thread
from lvmviz.disk import named, write
from lvmviz.preload import preload
from lvmviz.runs import bundle, engine
from lvmviz.runs.handle import Handle, follow, start, submit
from lvmviz.runs.job import Job, job_from_json
from lvmviz.runs.run import Run
from lvmviz.runs.store import Store

_DEFAULTS = {field.name: field.default for field in dataclasses.fields(Job) if field.name != "algorithm"}
WRONG = 2  # the exit status where something asked for cannot be done
BEGINNING = re.compile("[0-9A-Za-z]{1,15}")  # of a run's name
UNFINISHED = 1  # and where a run that was followed ended without finishing


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the arguments say; the exit status. What goes wrong is told in a sentence."""
    asked = _parser().parse_args(arguments)
    if "home" in asked:  # it may stand before the command or behind it
        os.environ["LVMVIZ_HOME"] = str(Path(asked.home).absolute())
    one_thread()  # as in the app: the number of threads is part of a run's name
    try:
        return asked.do(asked)
    except (ValueError, LookupError, RuntimeError, OSError) as error:
        sys.stderr.write(f"lvmviz: {_sentence(error)}\n")
        return WRONG
    except KeyboardInterrupt:
        sys.stderr.write("\nlvmviz: left. `python -m lvmviz runs` shows what became of it.\n")
        return 130


def _sentence(error: Exception) -> str:
    """A person's words for an error: KeyError and the system's own errors print themselves otherwise."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return str(error.args[0]) if isinstance(error, LookupError) and error.args else str(error)


# ---- the arguments ----


def _parser() -> argparse.ArgumentParser:
    every = argparse.ArgumentParser(add_help=False)
    every.add_argument("--home", default=argparse.SUPPRESS, help="the folder to use instead of $LVMVIZ_HOME")
    parser = argparse.ArgumentParser("python -m lvmviz", description=__doc__, parents=[every])
    parser.add_argument("--version", action="version", version=f"lvmviz {__version__}")
    parts = parser.add_subparsers(required=True, metavar="run | runs | engine")

    def part(name: str, do: Callable[[Any], int], help: str, among: Any = parts) -> argparse.ArgumentParser:
        made = among.add_parser(name, help=help, description=help, parents=[every])
        made.set_defaults(do=do)
        return made

    run = part("run", _run, "compute a job, given as JSON, in the background")
    run.add_argument("job", help="a file as `runs show --job` prints it; - reads the standard input")
    _followed(run)
    whole = part("engine", _engine, "the engine in the foreground, until Ctrl-C")
    whole.add_argument("--status", action="store_true", help="say whether one works, and end")
    whole.add_argument("--lock", type=int, help=argparse.SUPPRESS)
    _runs(part, part("runs", _list, "list the runs; or do something with one"))
    return parser


def _followed(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--follow", action="store_true", help="show progress and wait for the end")


def _runs(part: Callable[..., argparse.ArgumentParser], runs: argparse.ArgumentParser) -> None:
    words = runs.add_subparsers(
        metavar="list | show | log | stop | pause | resume | pin | unpin | delete | export | report | import"
    )
    part("list", _list, "list the runs, newest first", words)
    for name, (do, help) in _WORDS.items():
        word = part(name, do, help, words)
        word.add_argument("id", help="the run's name, or how it begins")
        if name == "resume":
            _followed(word)
        if name == "show":
            word.add_argument("--job", action="store_true", help="print its job as JSON, for `run`")
        if name in ("export", "report"):
            word.add_argument("file", type=Path, help="the zip to write")
    part("import", _import, "open a run that `export` wrote, here or elsewhere", words).add_argument(
        "file", type=Path, help="the zip to read"
    )


# ---- run and engine ----


def _run(asked: argparse.Namespace) -> int:
    preload()
    return _on_its_way(asked, lambda: submit(_read(asked.job)))


def _on_its_way(asked: argparse.Namespace, begin: Callable[[], Handle]) -> int:
    """Begin, then leave; or stay, where asked or where the run would end with this process."""
    lived = engine.alive()
    handle = begin()
    print(handle.id, flush=True)
    if handle.status.state == "finished" or (lived and not asked.follow):
        return 0
    if not asked.follow:
        sys.stderr.write("No app or engine was running, so this stays until the run ends.\n")
    status = follow(Store().open(handle.id))
    if status.state == "finished":
        return 0
    sys.stderr.write(f"{status.state}: {status.cause} {status.remedy}\n")
    return UNFINISHED


def _read(name: str) -> Job:
    """The job in a file: as JSON by itself, or in the job.json of a run."""
    told = "the standard input" if name == "-" else name
    try:
        data = json.loads(sys.stdin.read() if name == "-" else Path(name).read_text("utf-8"))
    except UnicodeDecodeError:
        raise ValueError(f"{told} is not JSON: give what `runs show --job` prints") from None
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{told} is not JSON: {error}") from None
    if not isinstance(data, dict):
        raise ValueError(f'{told} is no job: it looks like {{"algorithm": {{"choice": "EM"}}, "steps": 100}}')
    return job_from_json(_DEFAULTS | data.get("job", data))


def _engine(asked: argparse.Namespace) -> int:
    if asked.status:
        return _engine_status()
    from lvmviz.runs.serve import serve  # noqa: PLC0415  # no other command needs Dask

    return serve(asked.lock)


def _engine_status() -> int:
    if not engine.alive():
        print("no engine: it starts with the app, with `run`, or by `python -m lvmviz engine`")
        return UNFINISHED
    about = engine.about()
    workers = ", ".join(about["workers"]) or "those of its cluster" if about else ""
    ready = f"pid {about['pid']}, workers: {workers}, {about['address']}" if about else "getting ready"
    print(f"an engine works: {ready}")
    return 0


# ---- runs ----


def _found(asked: argparse.Namespace) -> Run:
    """The run whose name begins so; several would be a guess."""
    store = Store()
    if not asked.id:
        raise ValueError("no run is named by nothing: give how its name begins; `runs` lists them")
    ids = [run.id for run in store.runs() if run.id.startswith(asked.id)]
    if len(ids) > 1:
        raise ValueError(f"{len(ids)} runs begin with {asked.id}: {', '.join(ids[:4])}")
    if not ids and BEGINNING.fullmatch(asked.id):
        raise ValueError(f"no run begins with {asked.id}; `runs` lists them")
    return store.open(ids[0] if ids else asked.id)


def _list(asked: argparse.Namespace) -> int:
    rows = [("run", "state", "step", "steps/s", "begun", "what")]
    for run in Store().runs():
        status = run.status()
        begun = time.strftime("%Y-%m-%d %H:%M", time.localtime(run.created))
        rate = f"{status.rate:.3g}" if status.rate else ""
        state = status.state + (", imported" if run.imported else "")
        rows.append((run.id, state, f"{status.step}/{status.steps}", rate, begun, run.title))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())
    return 0


def _show(asked: argparse.Namespace) -> int:
    run = _found(asked)
    told = json.loads((run.path / "job.json").read_text("utf-8"))["job"]
    if asked.job:
        print(json.dumps(told, indent=2))
        return 0
    print(f"{run.id}  {run.title}\n{run.job}")
    for name, value in run.status()._asdict().items():
        if value not in ("", None, (), 0):
            print(f"{name:>8}  {'; '.join(value) if isinstance(value, tuple) else value}")
    print(f"{'folder':>8}  {run.path}")
    return 0


def _log(asked: argparse.Namespace) -> int:
    print(_found(asked).log(), end="")
    return 0


def _resume(asked: argparse.Namespace) -> int:
    preload()
    return _on_its_way(asked, lambda: start(_found(asked)))


def _delete(asked: argparse.Namespace) -> int:
    _found(asked).delete()
    return 0


def _export(asked: argparse.Namespace) -> int:
    bundle.export_to(_found(asked), asked.file)
    return 0


def _report(asked: argparse.Namespace) -> int:
    with named(asked.file):
        write(asked.file, bundle.failure(_found(asked)))
    return 0


def _import(asked: argparse.Namespace) -> int:
    print(bundle.load(Store(), asked.file).id)
    return 0


def _word(word: str) -> Callable[[argparse.Namespace], int]:
    def do(asked: argparse.Namespace) -> int:
        _found(asked).control(word)
        return 0

    return do


def _pin(pinned: bool) -> Callable[[argparse.Namespace], int]:
    def do(asked: argparse.Namespace) -> int:
        _found(asked).pin(pinned)
        return 0

    return do


_WORDS: dict[str, tuple[Callable[[argparse.Namespace], int], str]] = {
    "show": (_show, "tell all about a run"),
    "log": (_log, "print a run's log, for a developer"),
    "stop": (_word("stop"), "end a run at its next step; what it has is kept"),
    "pause": (_word("pause"), "let a run rest at its next step"),
    "resume": (_resume, "let a run go on from its last checkpoint"),
    "pin": (_pin(True), "keep a run however full the disk is"),
    "unpin": (_pin(False), "keep a run no more"),
    "delete": (_delete, "remove a run with all it holds"),
    "export": (_export, "write a run with all it has computed into one zip"),
    "report": (_report, "write what the report of a bug needs into a zip: versions, settings, log; no data"),
}
