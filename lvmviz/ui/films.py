"""Films as the browser gets them: short ones with the page, long ones once, from an address of their own.

Streamlit sends everything a page draws again whenever the page runs; a film of a megabyte is not for that.
"""

from __future__ import annotations

import hashlib
import secrets
import threading
from collections import OrderedDict
from collections.abc import Callable

import streamlit as st
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

INLINE = 60_000  # characters; what is longer has an address
FIRST = 250_000  # up to there it comes along all the same when a session meets it: that saves a way
MET = 64  # films of a session, the latest, that need not come along again
ROOM = 200_000_000  # characters of all films that are kept; those asked for longest ago are made again
_LOST = "lvmviz.films.lost"
_MET = "lvmviz.films.met"
_SECRET = secrets.token_bytes(16)  # nobody can guess the address of a film of another's data
_texts: OrderedDict[str, str] = OrderedDict()
_making: dict[str, threading.Lock] = {}
_lock = threading.Lock()


def named(*about: object) -> str:
    """A name for what depends on these alone; it cannot be guessed from outside this process."""
    return hashlib.blake2b(repr(about).encode(), digest_size=12, key=_SECRET).hexdigest()


def text(name: str, make: Callable[[], str]) -> str:
    """The film of this name; made once, also where several ask for it at the same moment."""
    with _lock:
        if name in _texts:
            _texts.move_to_end(name)
            return _texts[name]
        mine = _making.setdefault(name, threading.Lock())
    with mine:
        with _lock:
            if name in _texts:
                return _texts[name]
        try:
            made = make()
        finally:
            with _lock:
                _making.pop(name, None)
        _keep(name, made)
        return made


def _keep(name: str, made: str) -> None:
    with _lock:
        _texts[name] = made
        room = sum(map(len, _texts.values()))
        while room > ROOM and len(_texts) > 1:
            room -= len(_texts.popitem(last=False)[1])


def sent(name: str, text: str, held: bool = False) -> dict[str, str]:
    """What the page tells the browser: the film, or where it is, or both for the browser to keep.

    One that a hand holds can not wait, and one that did not reach this browser comes with the page.
    """
    at = f"lvmviz/film/{name}"
    if held or len(text) <= INLINE or at in st.session_state.get(_LOST, ()):
        return {"film": text}
    return {"film": text, "at": at} if len(text) <= FIRST and _new(name) else {"at": at}


def _new(name: str) -> bool:
    """Whether this session meets a film for the first time, as far as it remembers."""
    met: OrderedDict[str, None] = st.session_state.setdefault(_MET, OrderedDict())
    new = name not in met
    met[name] = None
    met.move_to_end(name)
    while len(met) > MET:
        met.popitem(last=False)
    return new


def lost(key: str) -> Callable[[], None]:
    """For a component of this key: what to do when it tells the address of a film that did not come."""

    def remember() -> None:
        st.session_state.setdefault(_LOST, set()).add(str(st.session_state[key]["lost"]))

    return remember


def _film(request: Request) -> Response:
    with _lock:
        found = _texts.get(request.path_params["name"])
    if found is None:  # it is asked for once more, and then comes with the page
        return Response("no such film", status_code=404, headers={"Cache-Control": "no-store"})
    headers = {"Cache-Control": "private, max-age=3600, immutable"}
    return Response(found, media_type="application/json", headers=headers)


ROUTE = Route("/lvmviz/film/{name}", _film)
