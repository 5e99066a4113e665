"""The store of own tables: the same table, the same digest; nothing half-written is read; the bound holds."""

import errno
import hashlib
import os
import random
import signal
import stat
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lvmviz import own_data
from lvmviz.own_data import MissingData, StoreError, get, put
from lvmviz.tables import Table, read_table

ROOT = Path(__file__).parents[1]

# The processes below begin so: the package under its name, without its __init__, which imports torch.
CHILD = """
import os, signal, sys, types
package = types.ModuleType("lvmviz")
package.__path__ = [os.path.join(sys.argv[1], "lvmviz")]
sys.modules["lvmviz"] = package
import numpy as np
from lvmviz import disk, own_data
from lvmviz.tables import Table

def table(seed, rows=20_000, width=10):
    points = np.random.default_rng(seed).standard_normal((rows, width))
    return Table(points, tuple(f"x{k}" for k in range(width)), None, (), ())
"""


def table(seed: int = 0, rows: int = 20, width: int = 3, labelled: bool = False) -> Table:
    points = np.random.default_rng(seed).standard_normal((rows, width))
    labels = np.arange(rows, dtype=np.int64) % 2 if labelled else None
    return Table(points, tuple(f"x{k}" for k in range(width)), labels, ("a", "b") if labelled else (), ())


def assert_same(one: Table, other: Table) -> None:
    assert one.points.tobytes() == other.points.tobytes() and one.points.shape == other.points.shape
    assert (one.columns, one.label_names) == (other.columns, other.label_names)
    assert (None if one.labels is None else one.labels.tolist()) == (
        None if other.labels is None else other.labels.tolist()
    )


def start_child(script: str) -> subprocess.Popen:
    command = [sys.executable, "-W", "error", "-c", CHILD + script, str(ROOT)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LVMVIZ_HOME", str(tmp_path / "home"))
    return tmp_path / "home" / "data"


def file_of(data: Path, digest: str) -> Path:
    return data / f"{digest}.table"


def leftovers(data: Path) -> list[str]:
    return [path.name for path in data.iterdir() if path.suffix != ".table"]


# ---- values ----


@pytest.mark.parametrize("labelled", [False, True])
def test_gives_back_what_was_put(data: Path, labelled: bool) -> None:
    kept = table(labelled=labelled)
    found = get(put(kept))
    assert_same(found, kept)
    for array in (found.points, found.labels) if labelled else (found.points,):
        assert array is not None and not array.flags.writeable and array.flags.aligned
    assert found.points.dtype == np.float64 and found.points.flags.c_contiguous


@given(
    st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=20),
    st.text(max_size=60),
    st.none() | st.lists(st.text(max_size=60), min_size=1, max_size=3),
)
def test_any_numbers_and_names_come_back(values: list[float], name: str, classes: list[str] | None) -> None:
    points = np.array(values)[:, None]
    labels = None if classes is None else np.arange(len(values)) % len(classes)
    kept = Table(points, (name,), labels, tuple(classes or ()), ())
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setenv("LVMVIZ_HOME", folder)
        assert_same(get(put(kept)), kept)


def test_the_digest_is_the_hash_of_the_file_and_stays_the_same_across_versions(data: Path) -> None:
    kept = Table(np.array([[1.0, 2.5], [-0.0, 4.0]]), ("é", "b"), np.array([1, 0]), ("p", "q"), ())
    digest = put(kept)
    content = file_of(data, digest).read_bytes()
    assert hashlib.sha256(content).hexdigest() == digest
    header = rb'{"columns":["\u00e9","b"],"label_names":["p","q"],"labelled":true,"shape":[2,2]}'
    numbers = bytes.fromhex("000000000000f03f 0000000000000440 0000000000000080 0000000000001040")
    labels = bytes.fromhex("0100000000000000 0000000000000000")
    assert content == b"lvmviz table 1\n" + header + b"\n" + numbers + labels


def test_equal_tables_have_equal_digests_however_they_lie_in_memory(data: Path) -> None:
    kept = table(labelled=True)
    assert kept.labels is not None
    digest = put(kept)
    spread = np.zeros((40, 6))
    spread[::2, ::2] = kept.points
    for points in (np.asfortranarray(kept.points), kept.points.astype(">f8"), spread[::2, ::2]):
        assert put(kept._replace(points=points)) == digest
    assert put(kept._replace(labels=kept.labels.astype(np.int32))) == digest
    assert put(kept._replace(notes=("read differently.",))) == digest
    assert len(list(data.iterdir())) == 1


def test_different_tables_have_different_digests(data: Path) -> None:
    zeros, labels = np.zeros((2, 2)), np.array([0, 1])
    kept = Table(zeros, ("a", "bc"), None, (), ())
    others = [
        kept._replace(points=-zeros),
        kept._replace(points=zeros + 5e-324),
        kept._replace(columns=("ab", "c")),
        kept._replace(columns=("bc", "a")),
        kept._replace(points=np.zeros((4, 1)), columns=("a",)),
        kept._replace(points=np.zeros((1, 4))),
        kept._replace(labels=labels, label_names=("p", "q")),
        kept._replace(labels=labels, label_names=("q", "p")),
        kept._replace(labels=1 - labels, label_names=("p", "q")),
    ]
    assert len({put(one) for one in [kept, *others]}) == 10


def test_reads_what_the_reader_of_tables_makes(data: Path) -> None:
    kept = read_table("Größe,<b>,kind\n1,2,x\n3,5,=cmd\n")
    assert_same(get(put(kept)), kept)


# ---- absent and damaged ----


def test_says_when_a_table_is_not_here(data: Path) -> None:
    with pytest.raises(MissingData, match="not on this computer; upload it again or open a scene file"):
        get("0" * 64)
    assert not data.exists()


@pytest.mark.parametrize(
    "digest",
    [
        "",
        "0" * 63,
        "0" * 65,
        "A" * 64,
        "0" * 64 + "\n",
        "../" * 20 + "pass",
        "/etc/passwd",
        "٠" * 64,
        "\0" * 64,
        None,
    ],
)
def test_a_name_that_is_no_digest_never_reaches_the_disk(
    digest: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(own_data, "home", lambda: pytest.fail("the file system was asked"))
    with pytest.raises(MissingData, match="64 hexadecimal digits"):
        get(digest)


def damage(content: bytes, how: str) -> bytes:
    if how == "flipped":
        place = random.Random(0).randrange(len(content))
        return content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]
    return {"cut": content[:-1], "longer": content + b"\0", "empty": b"", "junk": b"\x80" * 50}[how]


@pytest.mark.parametrize("how", ["flipped", "cut", "longer", "empty", "junk"])
def test_damage_is_seen_put_aside_and_mended_by_putting_again(data: Path, how: str) -> None:
    kept = table()
    digest = put(kept)
    path = file_of(data, digest)
    path.write_bytes(damage(path.read_bytes(), how))
    with pytest.raises(MissingData, match=f"damaged and was put aside as {digest}.damaged; upload it again"):
        get(digest)
    assert leftovers(data) == [f"{digest}.damaged"]
    with pytest.raises(MissingData, match="not on this computer"):
        get(digest)
    assert put(kept) == digest
    assert_same(get(digest), kept)


@pytest.mark.parametrize("how", ["flipped", "cut", "longer", "empty"])
def test_putting_mends_a_damaged_file_nobody_has_read(data: Path, how: str) -> None:
    kept = table()
    path = file_of(data, put(kept))
    path.write_bytes(damage(path.read_bytes(), how))
    assert_same(get(put(kept)), kept)


def test_another_tables_content_under_this_name_is_damage(data: Path) -> None:
    one, other = put(table(1)), put(table(2))
    file_of(data, one).write_bytes(file_of(data, other).read_bytes())
    with pytest.raises(MissingData, match="damaged"):
        get(one)


def test_damage_on_a_disk_that_cannot_be_written_is_still_told(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = put(table())
    file_of(data, digest).write_bytes(b"")
    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(MissingData, match="could not be put aside"):
        get(digest)


# ---- the disk ----


def refuse(*args: object, **kwargs: object) -> None:
    raise OSError(errno.EROFS, os.strerror(errno.EROFS))


def test_folder_and_files_are_their_owners_alone(data: Path) -> None:
    old = os.umask(0)
    try:
        data.mkdir(parents=True, mode=0o777)
        path = file_of(data, put(table()))
    finally:
        os.umask(old)
    assert stat.S_IMODE(data.stat().st_mode) == 0o700 and stat.S_IMODE(path.stat().st_mode) == 0o600


def test_the_home_it_makes_is_its_owners_alone(data: Path) -> None:
    put(table())
    assert stat.S_IMODE(data.parent.stat().st_mode) == 0o700


def test_home_without_a_setting_is_the_users_data_directory(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("LVMVIZ_HOME", "")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert own_data.home().name == "lvmviz" and own_data.home().is_absolute()


@pytest.mark.parametrize("call", ["mkstemp", "fsync", "replace"])
def test_a_disk_that_cannot_be_written_is_told_and_left_clean(
    data: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    put(table(1))
    with monkeypatch.context() as patch:
        patch.setattr(tempfile if call == "mkstemp" else os, call, refuse)
        with pytest.raises(StoreError, match="Read-only file system. Set LVMVIZ_HOME to a folder"):
            put(table(2))
    assert len(list(data.iterdir())) == 1 and not leftovers(data)
    put(table(2))


def test_a_home_that_is_no_folder_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("LVMVIZ_HOME", str(tmp_path / "file"))
    with pytest.raises(StoreError, match="Set LVMVIZ_HOME"):
        put(table())
    with pytest.raises(StoreError, match="set LVMVIZ_HOME"):
        get("0" * 64)


def test_a_full_disk_is_told_and_left_clean(data: Path) -> None:
    """The kernel stops the file at 10 kB, as a full disk would."""
    child = start_child("""
import resource
resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
try:
    own_data.put(table(0))
except own_data.StoreError as error:
    print(error)
""")
    out, err = child.communicate(timeout=60)
    assert "could not be kept" in out and "Set LVMVIZ_HOME" in out and not err
    assert list(data.iterdir()) == []


def test_reading_works_where_the_time_of_use_cannot_be_written(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = table()
    digest = put(kept)
    monkeypatch.setattr(os, "utime", refuse)
    assert_same(get(digest), kept)


# ---- the bound ----


def put_at(data: Path, kept: Table, seconds: int) -> str:
    digest = put(kept)
    os.utime(file_of(data, digest), (seconds, seconds))
    return digest


def test_the_table_used_longest_ago_goes_first(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one, two, three = (put_at(data, table(k), 1000 + k) for k in range(3))
    monkeypatch.setattr(own_data, "MAX_TOTAL", 3 * file_of(data, one).stat().st_size)
    get(one)  # reading is using
    four = put_at(data, table(3), 2000)
    assert {path.stem for path in data.iterdir()} == {one, three, four}
    put(table(2))  # so is putting again what is there: "three" is newer than "four" now
    five = put(table(4))
    assert {path.stem for path in data.iterdir()} == {one, three, five}


def test_the_table_being_put_is_never_removed(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    far = int(time.time()) + 10_000  # somebody's clock is wrong, and theirs look newer
    others = [put_at(data, table(k), far) for k in range(3)]
    monkeypatch.setattr(own_data, "MAX_TOTAL", file_of(data, others[0]).stat().st_size)
    mine = put(table(9))
    assert [path.stem for path in data.iterdir()] == [mine]


def test_a_table_larger_than_the_store_is_refused(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = put(table(0))
    monkeypatch.setattr(own_data, "MAX_TOTAL", 100)
    with pytest.raises(StoreError, match="use fewer rows"):
        put(table(1))
    get(kept)


def test_damaged_and_abandoned_files_count_and_foreign_ones_stay(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = put(table(0))
    size = file_of(data, digest).stat().st_size
    for name in ("old.part", "new.part", "x.damaged", "notes.txt"):
        (data / name).write_bytes(bytes(size))
    os.utime(data / "old.part", (1000, 1000))
    os.utime(data / "x.damaged", (1000, 1000))
    put(table(0))
    assert sorted(leftovers(data)) == ["new.part", "notes.txt", "x.damaged"]
    monkeypatch.setattr(own_data, "MAX_TOTAL", size)  # the file being written alone is as much
    put(table(0))
    assert sorted(leftovers(data)) == ["new.part", "notes.txt"]
    get(digest)


# ---- several processes, and their deaths ----


@pytest.mark.parametrize("call", ["write", "fsync", "replace", "done"])
def test_a_process_killed_while_putting_leaves_the_whole_table_or_none(data: Path, call: str) -> None:
    """The child dies just before a step of the writing ("done": just after the renaming)."""
    script = f"""
call = {call!r}
def die(*args):
    os.kill(os.getpid(), signal.SIGKILL)
if call == "write":  # half of the file reaches the disk
    real = os.fdopen
    class Half:
        def __init__(self, handle, mode): self.file = real(handle, mode)
        def __enter__(self): return self
        def __exit__(self, *args): self.file.close()
        def write(self, content):
            self.file.write(content[: len(content) // 2])
            self.file.flush()
            die()
    os.fdopen = Half
elif call == "done":
    disk.sync_folder = die
else:
    setattr(os, call, die)
own_data.put(table(0))
"""
    child = start_child(script)
    child.communicate(timeout=60)
    assert child.returncode == -signal.SIGKILL
    kept = table(0, 20_000, 10)
    names = [path.suffix for path in data.iterdir()]
    assert names == ([".table"] if call == "done" else [".part"])
    assert_same(get(put(kept)), kept)


def test_processes_killed_at_random_never_leave_a_damaged_table(data: Path) -> None:
    rng = random.Random()
    found = 0
    for _ in range(12):
        child = start_child("""
print("ready", flush=True)
for seed in range(1000):
    own_data.put(table(seed % 40, rows=2000 + seed))
""")
        assert child.stdout is not None and child.stdout.readline() == "ready\n"
        with pytest.raises(subprocess.TimeoutExpired):
            child.wait(timeout=rng.uniform(0, 0.3))
        child.kill()
        child.communicate(timeout=60)
        for path in data.glob("*.table") if data.exists() else ():
            assert hashlib.sha256(path.read_bytes()).hexdigest() == path.stem
            get(path.stem)
            found += 1
        assert not data.exists() or not list(data.glob("*.damaged"))
    assert found  # some of them had time to put one


def test_several_processes_share_the_store(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = """
own_data.MAX_TOTAL = 500_000  # about six tables
missing = 0
for turn in range(60):
    kept = table(turn % 10, rows=1000)
    digest = own_data.put(kept)
    try:
        assert own_data.get(digest).points.tobytes() == kept.points.tobytes()
    except own_data.MissingData as error:
        assert "not on this computer" in str(error), error  # gone already is allowed, damaged is not
"""
    children = [start_child(script) for _ in range(4)]
    for child in children:
        _, err = child.communicate(timeout=120)
        assert child.returncode == 0, err
    assert not leftovers(data)
    assert 0 < sum(path.stat().st_size for path in data.iterdir()) <= 500_000
