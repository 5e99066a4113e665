"""What the browser fetches, from us and nobody else: plotly.js out of its wheel, and our modules."""

from __future__ import annotations

import functools
import gzip
import hashlib
from pathlib import Path

import plotly
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from lvmviz.ui import answers, films

JS = Path(__file__).parent / "js"
PLOTLY = Path(plotly.__file__).parent / "package_data" / "plotly.min.js"


@functools.cache
def version() -> str:
    """A hash of all scripts: part of their address, so a browser may keep them for ever."""
    digest = hashlib.sha256(plotly.__version__.encode())
    for path in sorted(JS.glob("*.js")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


@functools.cache
def _zipped(path: Path) -> bytes:
    return gzip.compress(path.read_bytes(), 6)


def _script(request: Request, path: Path) -> Response:
    headers = {"Cache-Control": "public, max-age=31536000, immutable", "Vary": "Accept-Encoding"}
    if "gzip" not in request.headers.get("accept-encoding", ""):
        return Response(path.read_bytes(), media_type="text/javascript", headers=headers)
    headers["Content-Encoding"] = "gzip"
    return Response(_zipped(path), media_type="text/javascript", headers=headers)


def _plotly(request: Request) -> Response:
    return _script(request, PLOTLY)


def _module(request: Request) -> Response:
    known = {path.name: path for path in JS.glob("*.js")}  # a name that is no file of ours is no path either
    path = known.get(request.path_params["name"])
    return _script(request, path) if path else Response("no such module", status_code=404)


def _health(request: Request) -> Response:
    return JSONResponse({"status": "ok"})


ROUTES = (
    Route("/lvmviz/{version}/plotly.min.js", _plotly),
    Route("/lvmviz/{version}/js/{name}", _module),
    answers.ROUTE,
    films.ROUTE,
    Route("/healthz", _health),
)


def warm() -> None:
    """Compress what every first visit asks for."""
    _zipped(PLOTLY)
    version()
