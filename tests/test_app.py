"""The entry: what the server sends beside the pages, and what it does to garbage collection."""

import gzip
import http.client
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from urllib.parse import urlsplit

import plotly
import pytest

from lvmviz.ui import assets

ROOT = Path(__file__).parents[1]
SCRIPT = f"/lvmviz/{assets.version()}"
FOREVER = "public, max-age=31536000, immutable"


def get(server: str, path: str, **headers: str) -> tuple[http.client.HTTPResponse, bytes]:
    """An answer and its body; the path goes out as it stands, dots and all."""
    connection = http.client.HTTPConnection(urlsplit(server).netloc, timeout=30)
    try:
        connection.request(
            "GET", path, headers={name.replace("_", "-"): text for name, text in headers.items()}
        )
        answer = connection.getresponse()
        return answer, answer.read()
    finally:
        connection.close()


def test_health(server) -> None:
    answer, body = get(server, "/healthz")
    assert (answer.status, body) == (200, b'{"status":"ok"}')


@pytest.mark.parametrize(
    "name", ["plotly.min.js", *(f"js/{path.name}" for path in sorted(assets.JS.glob("*.js")))]
)
def test_scripts_come_zipped_and_for_ever(server, name) -> None:
    path = assets.JS / name.removeprefix("js/") if name.startswith("js/") else assets.PLOTLY
    answer, body = get(server, f"{SCRIPT}/{name}", accept_encoding="gzip")
    assert answer.status == 200
    assert answer.headers["content-type"].startswith("text/javascript")
    assert answer.headers["content-encoding"] == "gzip"
    assert answer.headers["cache-control"] == FOREVER
    assert answer.headers["vary"] == "Accept-Encoding"
    assert gzip.decompress(body) == path.read_bytes()
    answer, body = get(server, f"{SCRIPT}/{name}", accept_encoding="identity")
    assert answer.headers["content-encoding"] is None
    assert body == path.read_bytes()


@pytest.mark.parametrize("name", ["nothing.js", "PLOT.js", "plot", "plot.js%00", "..%5cassets.py"])
def test_no_such_module(server, name) -> None:
    assert get(server, f"{SCRIPT}/js/{name}")[0].status in (400, 404)


@pytest.mark.parametrize(
    "name",
    [
        "..%2fassets.py",
        "..%2f..%2f..%2fapp.py",
        "%2e%2e%2fassets.py",
        "../assets.py",
        "../../../app.py",
        "%2fetc%2fpasswd",
    ],
)
def test_no_path_leads_out(server, name) -> None:
    answer, body = get(server, f"{SCRIPT}/js/{name}")
    assert answer.status in (400, 404) or b'<div id="root">' in body  # Streamlit's own page
    assert b"from __future__" not in body and b"/bin/sh" not in body


def test_address_changes_with_the_scripts(tmp_path, monkeypatch) -> None:
    (tmp_path / "a.js").write_text("1")
    monkeypatch.setattr(assets, "JS", tmp_path)
    first = assets.version.__wrapped__()
    (tmp_path / "a.js").write_text("2")
    assert first != assets.version.__wrapped__()
    assert re.fullmatch("[0-9a-f]{12}", first)


def test_only_this_machine_is_served_and_nothing_is_sent_home() -> None:
    config = tomllib.loads((ROOT / ".streamlit/config.toml").read_text(encoding="utf-8"))
    assert config["server"]["address"] == "127.0.0.1"
    assert config["browser"]["gatherUsageStats"] is False
    assert config["client"]["showErrorDetails"] == "none"


def test_scripts_in_python_fetch_nothing_from_elsewhere() -> None:
    assert Path(plotly.__file__).parent in assets.PLOTLY.parents
    for path in assets.JS.glob("*.js"):
        said = path.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"https?:|//[a-z]+\.[a-z]", said), path.name


FROZEN = """
import asyncio, gc, statistics, time
import app

async def main():
    async with app.lifespan(app.app):
        def cost():
            begun = time.perf_counter()
            gc.collect()
            return time.perf_counter() - begun
        frozen = gc.get_freeze_count()
        gc.collect()
        with_freeze = statistics.median(cost() for _ in range(5))
        gc.unfreeze()
        gc.collect()
        without = statistics.median(cost() for _ in range(5))
        print(frozen, with_freeze / without)

asyncio.run(main())
"""


@pytest.mark.slow
def test_what_stays_for_ever_is_not_visited_again() -> None:
    """Streamlit collects after every run; the ratio is of one process, so the machine's speed cancels."""
    run = subprocess.run(
        [sys.executable, "-c", FROZEN],
        cwd=ROOT,
        env={**os.environ, "LVMVIZ_ENGINE": "off"},  # its start would be measured too
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert run.returncode == 0, run.stderr
    frozen, ratio = run.stdout.split()[-2:]
    assert int(frozen) > 100_000
    assert float(ratio) < 0.3
