"""A run survives its bundle to the bit, and nothing but a whole run of lvmviz ever comes out of a zip."""

import contextlib
import errno
import io
import json
import os
import stat
import struct
import tracemalloc
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lvmviz import EM, Job, Stored, __version__, own_data, run
from lvmviz.core import Algorithm, one_thread
from lvmviz.runs import bundle, checks
from lvmviz.runs.bundle import export, export_to, failure, load
from lvmviz.runs.codec import encode
from lvmviz.runs.execute import execute
from lvmviz.runs.files import Lock, read_sealed, seal, write_sealed
from lvmviz.runs.handle import start
from lvmviz.runs.run import IMPORTED, Run
from lvmviz.runs.store import Store, StoreFull, run_id
from lvmviz.shell import main
from lvmviz.tables import Table
from tests.walk import Walk, WalkState

JOB = Job(EM(), steps=12, seed=3)
Files = dict[str, bytes]


@pytest.fixture(autouse=True, scope="module")
def surroundings() -> Iterator[None]:
    """One thread, as in the app, and the walk as a choice."""
    before = torch.get_num_threads()
    one_thread()
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(Algorithm.options, "Walk", Walk)
        yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def done(surroundings: None, tmp_path_factory: pytest.TempPathFactory) -> Run:
    made = Store(tmp_path_factory.mktemp("done")).create(JOB)
    assert execute(JOB, made.path) == "finished"
    return made


@pytest.fixture(scope="module")
def good(done: Run) -> bytes:
    return export(done)


def unzipped(data: bytes) -> Files:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def zipped(files: Files, compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    with io.BytesIO() as file:
        with zipfile.ZipFile(file, "w", compression) as archive:
            for name, content in files.items():
                archive.writestr(zipfile.ZipInfo(name), content, compression)
        return file.getvalue()


def resealed(files: Files, name: str, **words: object) -> Files:
    """The files with other words in one of them, rightly sealed; None takes a word out."""
    told = json.loads(files[name])
    del told["crc"]
    told = {key: value for key, value in (told | words).items() if value is not None}
    return {**files, name: seal(told)}


def everything(folder: Path) -> Files:
    """What stands under a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def refused(data: bytes | Path, folder: Path) -> str:
    """The sentence with which a bundle is refused; it has changed nothing anywhere near."""
    store = Store(folder / "home" / "deep")
    before = everything(folder)
    with pytest.raises(ValueError) as told:
        load(store, data)
    assert everything(folder) == before
    assert not store.path.exists() or os.listdir(store.path) == []
    sentence = str(told.value)
    assert sentence.endswith(".") and "\n" not in sentence and 20 < len(sentence) < 600, sentence
    assert "Traceback" not in sentence and sentence.isprintable()
    return sentence


# ---- what is whole ----


def test_a_run_comes_back_to_the_bit(done, good, tmp_path):
    back = load(Store(tmp_path), good)
    assert (back.id, back.job, back.title, back.created) == (done.id, done.job, done.title, done.created)
    same = {"metrics.jsonl", *(name for name in everything(done.path) if name.endswith(".safetensors"))}
    assert len(same) == 1 + 1 + 13
    here, there = everything(back.path), everything(done.path)
    assert {name: here[name] for name in same} == {name: there[name] for name in same}
    assert back.status()[:3] == ("finished", 12, 12)
    assert IMPORTED in back.status().notes
    assert [snapshot.info for snapshot in back.trace()] == [snapshot.info for snapshot in run(JOB)]
    assert all(stat.S_IMODE(path.stat().st_mode) & 0o077 == 0 for path in (back.path, *back.path.rglob("*"))
               if path.name != "opened")  # fmt: skip


def test_what_only_matters_here_stays_here(done, good):
    names = set(unzipped(good))
    assert not names & {"lease", "control", "heartbeat.json", "opened", "pinned"}
    told = json.loads(unzipped(good)["status.json"]) | json.loads(unzipped(good)["job.json"])
    assert not set(told) & {"owner", "pid", "host", "memory_limit"}


def test_a_bundle_in_a_file_is_the_same(done, good, tmp_path):
    export_to(done, tmp_path / "run.zip")
    assert (tmp_path / "run.zip").read_bytes() == good == export(done)
    assert load(Store(tmp_path), tmp_path / "run.zip").id == done.id
    assert sorted(os.listdir(tmp_path)) == ["run.zip", "runs"]


def test_a_bundle_imported_twice_is_one_run_and_told_once(done, good, tmp_path):
    store = Store(tmp_path)
    first = load(store, good)
    before = everything(first.path)
    again = load(store, export(load(store, good)))
    assert again == first and len(store.runs()) == 1 and everything(first.path) == before
    elsewhere = load(Store(tmp_path / "else"), export(first))
    assert elsewhere.status().notes.count(IMPORTED) == 1


def test_an_imported_run_says_so_for_good(done, tmp_path, capsys, monkeypatch):
    """Also once it went on here: what it had before was computed by nobody knows whom."""
    orders = iter([False] * 5)
    there = Store(tmp_path / "there").create(JOB)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("lvmviz.runs.attempt.OBEY_S", 0.0)
        execute(JOB, there.path, lambda: next(orders, True))
    here = load(Store(tmp_path / "here"), export(there))
    assert here.imported and not there.imported and not done.imported
    assert IMPORTED in here.status().notes and IMPORTED not in there.status().notes
    assert execute(JOB, here.path) == "finished"
    assert Run(here.path).imported and IMPORTED in here.status().notes
    assert Store(tmp_path / "here").create(JOB).imported
    monkeypatch.setenv("LVMVIZ_HOME", str(tmp_path / "here"))
    assert main(["runs"]) == 0 and "finished, imported" in capsys.readouterr().out


def test_a_run_that_was_stopped_goes_on_elsewhere_to_the_bit(done, tmp_path):
    there = Store(tmp_path / "there").create(JOB)
    orders = iter([False] * 5)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("lvmviz.runs.attempt.OBEY_S", 0.0)
        assert execute(JOB, there.path, lambda: next(orders, True)) == "interrupted"
    here = load(Store(tmp_path / "here"), export(there))
    status = here.status()
    assert status.state == "interrupted" and 0 < status.step < 12
    assert execute(JOB, here.path) == "finished"
    assert here.status().attempt == 2  # its attempts are counted on
    whole, mine = everything(done.path), everything(here.path)
    names = {name for name in whole if name.endswith((".safetensors", ".jsonl"))}
    assert {name: mine[name] for name in names} == {name: whole[name] for name in names}


def test_a_run_that_goes_on_is_told_as_interrupted(done, tmp_path):
    there = Store(tmp_path / "there").create(JOB)
    execute(JOB, there.path)
    told = read_sealed(there.path / "status.json") or {}
    told.pop("crc", None)
    write_sealed(there.path / "status.json", told | {"state": "running", "step": 7, "attempt": 1})
    lease = Lock(there.path / "lease")
    assert lease.acquire()
    try:
        assert there.status().state == "running"
        data = export(there)
    finally:
        lease.release()
    status = load(Store(tmp_path / "here"), data).status()
    assert status.state == "interrupted" and "exported at step 7" in status.cause


def test_a_run_that_has_not_begun_is_only_its_job(tmp_path):
    data = export(Store(tmp_path / "there").create(JOB))
    assert set(unzipped(data)) == {"job.json", "bundle.json"}
    here = load(Store(tmp_path / "here"), data)
    assert here.status().state == "stopped" and execute(JOB, here.path) == "finished"


def test_damaged_files_are_left_out(tmp_path):
    there = Store(tmp_path / "there").create(JOB)
    execute(JOB, there.path)
    path = there.path / "snapshots" / "00000003.safetensors"
    path.write_bytes(path.read_bytes()[:-1])
    (there.path / "status.json").write_bytes(b"half of")
    here = load(Store(tmp_path / "here"), export(there))
    assert len(here.trace()) == 12 and here.trace()[3].step == 4
    assert here.status().state != "running"


def test_more_numbers_than_a_run_keeps_are_thinned(tmp_path, monkeypatch):
    monkeypatch.setattr("lvmviz.runs.bundle.LINES", 4)
    there = Store(tmp_path / "there").create(JOB)
    execute(JOB, there.path)
    here = load(Store(tmp_path / "here"), export(there))
    assert [row["step"] for row in here.metrics()] == [0, 4, 8, 12]
    assert load(there_store := Store(tmp_path / "there"), export(here)) == there_store.open(there.id)


@pytest.mark.parametrize("small", [False, True])
def test_every_kind_of_state_fits_its_own_types(small, tmp_path):
    job = Job(Walk(small=small), steps=4)
    there = Store(tmp_path / "there").create(job)
    execute(job, there.path)
    assert len(load(Store(tmp_path / "here"), export(there)).trace()) == 5


# ---- own data, other versions, and who is here already ----


@pytest.fixture
def private() -> Job:
    points = np.random.default_rng(0).normal(size=(40, 2))
    return Job(
        EM(data=Stored(digest=own_data.put(Table(points, ("pay", "age"), None, (), ())), features=())),
        steps=4,
    )


def test_a_table_stays_where_it_is_and_the_run_belongs_to_who_opens_it(private, tmp_path, monkeypatch):
    there = Store().create(private, "a" * 64)
    execute(private, there.path)
    data = export(there)
    digest = private.algorithm.data.digest
    assert json.loads(unzipped(data)["bundle.json"])["tables_left_out"] == [digest]
    assert b"a" * 64 not in b"".join(unzipped(data).values())
    monkeypatch.setenv("LVMVIZ_HOME", str(tmp_path))
    here = load(Store(), data, owner="b" * 64)
    assert here.owner == "b" * 64 and here.id == run_id(private, "b" * 64) != there.id
    assert any(digest[:12] in note for note in here.status().notes)
    assert Store().runs("b" * 64) == [here] and Store().runs("c" * 64) == Store().runs() == []


def test_a_run_of_another_version_is_only_looked_at(done, good, tmp_path):
    files = resealed(unzipped(good), "job.json", version="9.9.9")
    here = load(Store(tmp_path), zipped(files))
    assert here.id not in (done.id, JOB.id) and here.version == "9.9.9"
    assert here.status().state == "finished" and any("9.9.9" in note for note in here.status().notes)
    assert list(here.path.glob("checkpoint-*")) == [] and len(here.trace()) == 13
    assert load(Store(tmp_path), zipped(files)) == here


@pytest.mark.parametrize("state", ["failed", "stopped", "paused", "interrupted"])
@pytest.mark.parametrize("change", [{"version": "9.9.9"}, {"threads": 7}], ids=str)
def test_how_a_run_of_elsewhere_ended_stays_told_but_it_cannot_go_on(state, change, good, tmp_path):
    told = {"state": state, "step": 9, "cause": "A component was lost at step 9.", "remedy": "Resume it."}
    files = resealed(unzipped(good), "status.json", **told)
    name = "job.json" if "version" in change else "status.json"
    here = load(Store(tmp_path), zipped(resealed(files, name, **change)))
    status = here.status()
    assert (status.state, status.step, status.cause) == (state, 9, told["cause"])
    assert here.ended and "esume" not in status.remedy and "start it anew" in status.remedy
    with pytest.raises(ValueError, match="start it anew"):
        start(here)
    assert not here.queued and here.status().state == state


def test_a_run_that_may_go_on_is_not_ended(done, good, tmp_path):
    assert not load(Store(tmp_path), good).ended and not done.ended


def test_a_forged_version_cannot_take_the_place_of_a_job(good, tmp_path):
    other = Job(EM(components=2), steps=12)
    files = resealed(unzipped(good), "job.json", version="9.9.9", id=other.id)
    assert load(Store(tmp_path), zipped(files)).id != other.id


def test_a_run_with_other_threads_is_only_looked_at(done, good, tmp_path):
    files = resealed(unzipped(good), "status.json", threads=7)
    here = load(Store(tmp_path), zipped(files))
    assert here.id != done.id and any("7 threads" in note for note in here.status().notes)


def test_a_different_run_of_that_name_stays(done, good, tmp_path):
    store = Store(tmp_path)
    here = store.create(JOB)
    with pytest.raises(ValueError, match="here already, with nothing computed yet"):
        load(store, good)
    rows = [json.loads(line) for line in unzipped(good)["metrics.jsonl"].splitlines()]
    lines = b"".join(
        seal({name: row[name] for name in row if name != "crc"} | {"elbo": -1.0}) for row in rows
    )
    execute(JOB, here.path)
    before = everything(tmp_path)
    with pytest.raises(ValueError, match="here already, with other or fewer steps"):
        load(store, zipped({**unzipped(good), "metrics.jsonl": lines}))
    assert load(store, good) == here
    assert everything(tmp_path) == before
    (here.path / "job.json").write_bytes(b"lost")
    with pytest.raises(ValueError, match="delete it"):
        load(store, good)
    assert [name for name in os.listdir(store.path) if name.startswith(".")] == []


def test_a_full_disk_is_told_as_such_and_leaves_nothing(good, tmp_path, monkeypatch):
    monkeypatch.setattr("lvmviz.runs.store.FREE", 1e30)
    with pytest.raises(StoreFull):
        load(Store(tmp_path), good)
    monkeypatch.undo()
    code = errno.ENOSPC

    def full(*_: object, **__: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr("lvmviz.runs.bundle.write", full)
    with pytest.raises(own_data.StoreError, match="No space left on device.*Free some space"):
        load(Store(tmp_path), good)
    code = errno.EROFS
    with pytest.raises(own_data.StoreError, match="Read-only file system. Set LVMVIZ_HOME"):
        load(Store(tmp_path), good)
    assert everything(tmp_path) == {}


# ---- hostile zips ----

BAD_NAMES = [
    "../evil", "snapshots/../../evil", "/etc/evil", "C:\\evil", "snapshots\\00000001.safetensors", "evil.py",
    "", "./job.json", "snapshots/", "job.json/", "job.json\n", "JOB.JSON", "jоb.json", "job.json\u200b",
    "job.json\0x", "snapshots/٠٠٠٠٠٠٠١.safetensors", "snapshots/1.safetensors",
    "snapshots/0000000１.safetensors",
    "snapshots/00000001.safetensors.damaged", "control", "lease", "heartbeat.json", "pinned", "job.json.pkl",
    "checkpoint-2.safetensors", "snapshots/00000000000000001.safetensors", "COM1", "a" * 60_000,
]  # fmt: skip


def raw(files: list[tuple[zipfile.ZipInfo, bytes]]) -> bytes:
    with io.BytesIO() as file:
        with zipfile.ZipFile(file, "w") as archive, contextlib.ExitStack() as stack:
            stack.enter_context(pytest.warns()) if len({i.filename for i, _ in files}) < len(files) else None
            for info, content in files:
                archive.writestr(info, content)
        return file.getvalue()


@pytest.mark.parametrize("name", BAD_NAMES, ids=ascii)
def test_other_names_are_refused(name, good, tmp_path):
    entry = zipfile.ZipInfo("placeholder")
    entry.filename = name
    infos = [(zipfile.ZipInfo(n), c) for n, c in unzipped(good).items()]
    refused(raw([*infos, (entry, b"evil")]), tmp_path)


def test_a_name_cut_at_a_nul_is_refused(good, tmp_path):
    data = good.replace(b"log.txt", b"log.tx\0")
    assert data != good
    refused(data, tmp_path)


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFCHR, stat.S_IFIFO, stat.S_IFDIR, stat.S_IFSOCK])
def test_only_plain_files_come_in(kind, good, tmp_path):
    entries = []
    for name, content in unzipped(good).items():
        info = zipfile.ZipInfo(name)
        info.create_system = 3
        info.external_attr = ((kind if name == "log.txt" else stat.S_IFREG) | 0o777) << 16
        entries.append((info, b"/etc/passwd" if name == "log.txt" else content))
    assert "plain file" in refused(raw(entries), tmp_path)


def test_a_name_twice_is_refused(good, tmp_path):
    entries = [(zipfile.ZipInfo(name), content) for name, content in unzipped(good).items()]
    assert "twice" in refused(raw([*entries, entries[0]]), tmp_path)


def test_encrypted_and_oddly_packed_files_are_refused(good, tmp_path):
    place = good.rindex(b"PK\1\2")
    flagged = good[: place + 8] + b"\1\0" + good[place + 10 :]
    assert "encrypted" in refused(flagged, tmp_path)
    assert "packed" in refused(zipped(unzipped(good), zipfile.ZIP_LZMA), tmp_path)


def peak(act: Callable[[], object]) -> int:
    tracemalloc.start()
    try:
        act()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("name", ["log.txt", "job.json", "metrics.jsonl", "checkpoint-0.safetensors"])
def test_a_bomb_is_noticed_while_it_unpacks(name, good, tmp_path):
    data = zipped({**unzipped(good), name: bytes(300_000_000)})
    assert len(data) < 1_000_000
    assert peak(lambda: refused(data, tmp_path)) < 60_000_000 + len(data) * 120


def test_a_bomb_whose_header_lies_is_noticed(good, tmp_path):
    data = bytearray(zipped({**unzipped(good), "log.txt": bytes(50_000_000)}))
    entry = zipfile.ZipFile(io.BytesIO(bytes(data))).getinfo("log.txt")
    place = data.rindex(b"log.txt") - 46
    for size in (10, 10**6, 2**32 - 2):
        struct.pack_into("<L", data, place + 24, size)
        struct.pack_into("<L", data, entry.header_offset + 22, size)
        assert peak(lambda: refused(bytes(data), tmp_path)) < 60_000_000


def test_a_hundred_thousand_files_are_not_even_listed(good, tmp_path):
    with io.BytesIO() as file:
        with zipfile.ZipFile(file, "w") as archive:
            for number in range(100_000):
                archive.writestr(zipfile.ZipInfo(f"snapshots/{number:08d}.safetensors"), b"")
        many = file.getvalue()
    assert peak(lambda: refused(many, tmp_path)) < 20_000_000
    lying = many[:-14] + struct.pack("<2H", 3, 3) + many[-10:]  # the count alone lies
    refused(lying, tmp_path)


def test_other_kinds_of_zips_are_refused(good, tmp_path):
    with io.BytesIO(good) as file:
        with zipfile.ZipFile(file, "a") as archive:
            archive.comment = b"PK\5\6 hello"
        refused(file.getvalue(), tmp_path)
    refused(b"#!/bin/sh\n" + good, tmp_path)
    refused(good[:-22] + struct.pack("<4sLQL", b"PK\6\7", 0, 0, 1) + good[-22:], tmp_path)
    for data in (b"", b"PK", b"PK\5\6" + bytes(18), os.urandom(5000), good + good, b"\x80\x04N."):
        refused(data, tmp_path)


def test_a_file_too_large_is_not_read(tmp_path):
    path = tmp_path / "large.zip"
    with path.open("wb") as file:
        file.truncate(bundle.BYTES + 1)
    with pytest.raises(ValueError, match="at most"):
        load(Store(tmp_path / "home"), path)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(st.data())
def test_a_truncated_bundle_is_refused(good, tmp_path_factory, data):
    refused(good[: data.draw(st.integers(0, len(good) - 1))], tmp_path_factory.mktemp("cut"))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150)
@given(st.data())
def test_flipped_bits_are_noticed_or_change_nothing(good, done, tmp_path_factory, data):
    """The zip has bytes that say nothing (dates, for one); every other is covered by a checksum or a name."""
    at = data.draw(st.lists(st.integers(0, 8 * len(good) - 1), min_size=1, max_size=3))
    flipped = bytearray(good)
    for bit in at:
        flipped[bit // 8] ^= 1 << bit % 8
    folder = tmp_path_factory.mktemp("flipped")
    store = Store(folder / "home")
    try:
        back = load(store, bytes(flipped))
    except ValueError as error:
        assert str(error).endswith(".")
        assert everything(folder) == {}
        return
    here, there = everything(back.path), everything(done.path)
    computed = [name for name in there if name.endswith((".safetensors", ".jsonl"))]
    assert back.id == done.id and {n: here.get(n) for n in computed} == {n: there[n] for n in computed}


# ---- hostile contents, rightly zipped and sealed ----


def odd_job(**words: object) -> Callable[[Files], Files]:
    def change(files: Files) -> Files:
        told = json.loads(files["job.json"])["job"]
        return resealed(files, "job.json", job=told | words)

    return change


def odd(name: str, **words: object) -> Callable[[Files], Files]:
    return lambda files: resealed(files, name, **words)


def content(name: str, data: bytes) -> Callable[[Files], Files]:
    return lambda files: {**files, name: data}


def without(*names: str) -> Callable[[Files], Files]:
    return lambda files: {name: data for name, data in files.items() if name not in names}


def row(line: int, **words: object) -> Callable[[Files], Files]:
    def change(files: Files) -> Files:
        lines = files["metrics.jsonl"].splitlines(keepends=True)
        told = json.loads(lines[line])
        del told["crc"]
        lines[line] = seal({name: value for name, value in (told | words).items() if value != "gone"})
        return {**files, "metrics.jsonl": b"".join(lines)}

    return change


def state(step: int, **words: object) -> Callable[[Files], Files]:
    """One snapshot with other fields in its state, rightly encoded."""

    def change(files: Files) -> Files:
        one = run(JOB)[step]
        name = f"snapshots/{step:08d}.safetensors"
        return {**files, name: encode(one.step, one.state._replace(**words), one.info)}

    return change


def strange(files: Files) -> Files:
    stranger = run(Job(Walk(), steps=1))[0]
    return {**files, "snapshots/00000000.safetensors": encode(0, stranger.state, stranger.info)}


DEEP = b"[" * 100_000
CHANGES = {
    "no job": without("job.json"),
    "no status": without("status.json"),
    "no snapshots": lambda files: {n: c for n, c in files.items() if not n.startswith("snapshots/")},
    "unknown choice": odd_job(algorithm={"choice": "os.system"}),
    "choice of another kind": odd_job(algorithm={"choice": "Iris"}),
    "choice with a strange field": odd_job(algorithm={"choice": "EM", "__class__": 1}),
    "a long wrong name": odd_job(algorithm={"choice": "E\nM\u202e" * 50_000}),
    "half a surrogate": odd_job(algorithm={"choice": "\ud800"}),
    "unknown device": odd_job(device="/dev/sda"),
    "device of another kind": odd_job(device=["cpu"]),
    "steps not a number": odd_job(steps=float("nan")),
    "steps without end": odd_job(steps=float("inf")),
    "steps beyond floats": odd_job(steps=10**400),
    "other steps": odd_job(steps=13),
    "other seed": odd_job(seed=4),
    "an extra word in the job": odd_job(evil=1),
    "job is a list": odd("job.json", job=[1, 2]),
    "job is missing": odd("job.json", job=None),
    "id of another job": odd("job.json", id="0" * 16),
    "id is a path": odd("job.json", id="../../../../evil"),
    "id in other digits": odd("job.json", id="٠" * 16),
    "id is a number": odd("job.json", id=5),
    "version is a path": odd("job.json", version="../9"),
    "version is missing": odd("job.json", version=None),
    "made at no time": odd("job.json", created=float("nan")),
    "made in another age": odd("job.json", created=1e300),
    "made by a switch": odd("job.json", created=True),
    "job without a seal": content("job.json", b'{"id": 1}'),
    "huge job": content("job.json", seal({"a": "x" * 2_000_000})),
    "deep job": content("job.json", seal({"a": 1})[:-20] + DEEP),
    "pickle": content("job.json", b"\x80\x04\x95\x1a\x00\x00\x00\x00\x00\x00\x00\x8c\x05posix\x94."),
    "status runs": odd("status.json", state="running"),
    "status unknown": odd("status.json", state="evil"),
    "status beyond the end": odd("status.json", step=99),
    "status before the start": odd("status.json", step=-1),
    "status of other steps": odd("status.json", steps=99),
    "status without threads": odd("status.json", threads=None),
    "status with a strange ELBO": odd("status.json", elbo="<script>"),
    "status with an ELBO beyond floats": odd("status.json", elbo=10**400),
    "status with strange notes": odd("status.json", notes=[{}]),
    "status with a novel": odd("status.json", notes=["x" * 10_000]),
    "status in half": content("status.json", b'{"state"'),
    "not begun and of another version": lambda files: resealed(
        {"job.json": files["job.json"]}, "job.json", version="9.9"
    ),
    "numbers torn": lambda files: {**files, "metrics.jsonl": files["metrics.jsonl"][:-9]},
    "numbers in one line": content("metrics.jsonl", b"x" * 900_000),
    "no numbers but lines": content("metrics.jsonl", b"\n" * 70_000),
    "numbers out of order": row(3, step=1),
    "numbers beyond the end": row(12, step=13),
    "numbers of a switch": row(0, step=False),
    "numbers of other names": row(3, evil=1.0),
    "numbers that lack one": row(3, elbo="gone"),
    "numbers that are words": row(3, elbo="<b>"),
    "words that are numbers": row(3, moved=3.0),
    "numbers beyond floats": row(12, elbo=10**400),
    "whole numbers beyond what JSON is read with": row(12, iteration=10**30),
    "whole numbers far below zero": row(12, iteration=-(10**30)),
    "words without end": row(3, moved="E" * 3000),
    "numbers that are lists": row(3, elbo=[[[]]]),
    "snapshot of another step": lambda files: {
        **files, "snapshots/00000003.safetensors": files["snapshots/00000004.safetensors"]
    },
    "snapshot beyond the end": lambda files: {
        **files, "snapshots/00000099.safetensors": encode(99, *run(JOB)[3][1:])
    },
    "snapshot of another method": strange,
    "snapshot of words": state(2, log_lik="evil"),
    "snapshot of nothing": state(2, theta=None),
    "snapshot of a pair": state(2, theta=(1, 2)),
    "snapshot without tensors": content("snapshots/00000002.safetensors", b""),
    "checkpoint that is text": content("checkpoint-1.safetensors", b"hello"),
    "huge log": content("log.txt", os.urandom(1_100_000)),
}  # fmt: skip


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_what_is_no_run_is_refused(change, good, tmp_path):
    files = change(unzipped(good))
    assert files != unzipped(good)
    sentence = refused(zipped(files), tmp_path)
    assert sentence.isascii()


def test_the_whole_zip_made_anew_comes_in(good, done, tmp_path):
    """What is refused above is refused for its change, not for how the tests make zips."""
    assert load(Store(tmp_path), zipped(unzipped(good))).id == done.id


def test_words_nobody_asked_for_are_not_kept(good, tmp_path):
    files = resealed(unzipped(good), "status.json", evil="x", host="their-machine")
    files = resealed(files, "job.json", owner="c" * 64, title="<script>")
    here = load(Store(tmp_path), zipped(files))
    assert not {"evil", "host"} & set(read_sealed(here.path / "status.json") or {})
    assert here.owner == "" and here.title == Store(tmp_path / "x").create(JOB).title


@pytest.mark.parametrize(
    ("told", "kept"),
    [
        ("cpu", "cpu"),
        ("cuda:1", "cuda:1"),
        ("mps", "mps"),
        ("very long device name " * 20, ""),
        ("cuda:x", ""),
    ],
)
def test_a_device_is_one_that_torch_has(told, kept, good, tmp_path):
    here = load(Store(tmp_path), zipped(resealed(unzipped(good), "status.json", device=told)))
    assert here.status().device == kept


def test_infinite_and_missing_numbers_are_numbers(good, tmp_path):
    files = row(3, elbo=float("-inf"), kl=float("nan"))(unzipped(good))
    rows = load(Store(tmp_path), zipped(files)).metrics()
    assert rows[3]["elbo"] == -np.inf and np.isnan(rows[3]["kl"])


@pytest.mark.parametrize(
    ("hint", "fitting", "unfit"),
    [
        (int, [1, -5], [1.0, True, "1", None, 2**53, -(2**53)]),
        (float, [1.0, 1, -(10**300), float("nan"), float("inf")], [True, "1", None, 10**301, -(10**301)]),
        (str, ["a"], [1, None, "a" * 2001]),
        (Any, [1, 1.0, "a", None], [10**400, "a" * 2001]),
        (bool, [True], [1]),
        (int | None, [1, None], ["1"]),
        (torch.Tensor, [torch.zeros(2)], [0.0, None]),
        (tuple[int, ...], [(), (1, 2)], [(1, "2"), 1, [1]]),
        (tuple[int, str], [(1, "a")], [(1,), ("a", 1)]),
        (WalkState, [run(Job(Walk(), steps=0))[0].state], [(), None, run(JOB)[0].state]),
    ],
)
def test_values_fit_their_types(hint, fitting, unfit):
    assert all(checks.fits(hint, value) for value in fitting)
    assert not any(checks.fits(hint, value) for value in unfit)


# ---- a report, and the shell ----


def test_a_report_has_what_a_developer_needs_and_no_own_data(private, monkeypatch):
    failing = Job(Walk(fail_at=2, error="ZeroDivisionError"), steps=4)
    broken = Store().create(failing)
    assert execute(failing, broken.path) == "failed"
    files = unzipped(failure(broken))
    assert set(files) == {"versions.json", "job.json", "status.json", "metrics.json", "log.txt"}
    versions = json.loads(files["versions.json"])
    assert {"python", "platform", "lvmviz", "torch", "numpy", "streamlit", "dask"} <= set(versions)
    assert versions["lvmviz"] == __version__ and versions["torch"] == torch.__version__
    assert json.loads(files["status.json"])["state"] == "failed"
    assert b"ZeroDivisionError" in files["log.txt"] and b"Traceback" in files["log.txt"]
    assert [row["step"] for row in json.loads(files["metrics.json"])] == [0, 1]
    named = private.algorithm.data.__class__(digest=private.algorithm.data.digest, features=("pay", "age"))
    own = Job(EM(data=named), steps=500, seed=1)
    mine = Store().create(own, "d" * 64)
    execute(own, mine.path)
    told = b"".join(unzipped(failure(mine)).values())
    assert all(word not in told for word in (b"pay", named.digest.encode(), b"d" * 64))
    assert str(own_data.home()).encode() not in told
    assert len(json.loads(unzipped(failure(mine))["metrics.json"])) <= 200


def test_a_report_has_the_last_numbers_only(tmp_path):
    job = Job(Walk(), steps=300)
    kept = Store(tmp_path).create(job)
    execute(job, kept.path)
    steps = [row["step"] for row in json.loads(unzipped(failure(kept))["metrics.json"])]
    assert steps == list(range(101, 301))


def test_the_shell_writes_and_reads_bundles(good, done, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("LVMVIZ_HOME", str(tmp_path / "home"))
    (tmp_path / "run.zip").write_bytes(good)
    assert main(["runs", "import", str(tmp_path / "run.zip")]) == 0
    assert capsys.readouterr().out.strip() == done.id
    assert main(["runs", "export", done.id[:6], str(tmp_path / "again.zip")]) == 0
    assert load(Store(tmp_path / "home"), tmp_path / "again.zip").id == done.id
    assert main(["runs", "report", done.id, str(tmp_path / "report.zip")]) == 0
    assert "versions.json" in unzipped((tmp_path / "report.zip").read_bytes())
    capsys.readouterr()
    for word in ("export", "report"):
        there = tmp_path / "nowhere" / "x.zip"
        assert main(["runs", word, done.id, str(there)]) == 2
        assert capsys.readouterr().err == f"lvmviz: {there}: No such file or directory\n"
    (tmp_path / "bad.zip").write_bytes(good[:-30])
    assert main(["runs", "import", str(tmp_path / "bad.zip")]) == 2
    told = capsys.readouterr().err
    assert told.startswith("lvmviz: The file is no whole zip") and told.count("\n") == 1
