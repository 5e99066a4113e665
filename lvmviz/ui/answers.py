"""While a hand moves, a route of the app answers it: the page's films and rows, without a rerun of the page.

A rerun sends and lays out every element of a page anew. That is right when the hand rests, and too much
twenty times a second.
"""

from __future__ import annotations

import math
import secrets
import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import streamlit as st
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

Places = tuple[tuple[float, ...], ...]  # where every shape is: of a curve loc and scale
Answer = Callable[[Places], dict[str, Any]]  # what each view, by its name, is to show

MOST = 256  # sessions; those that asked for nothing for longest are forgotten, and rerun their page instead
_TOKEN, _COUNT = "lvmviz.token", "lvmviz.answers"
_offered: OrderedDict[str, Answer] = OrderedDict()
_lock = threading.Lock()


def address() -> str:
    """Where this session's hand may ask; nobody else knows it."""
    return f"lvmviz/answer/{st.session_state.setdefault(_TOKEN, secrets.token_urlsafe(16))}"


def count() -> int:
    """The last request of this session's hand that its page has answered.

    Every view is told of it: one that took an answer of the route then takes Python's word again, also
    where that is what it was before the hand moved.
    """
    return st.session_state.get(_COUNT, 0)


def heard(request: int) -> None:
    """The page answers this request of the hand now."""
    st.session_state[_COUNT] = request


def offer(answer: Answer) -> None:
    """Let this session's hand ask `answer`, which the server's own threads call: without Streamlit.

    What it raises as ValueError is left for a rerun of the page to say.
    """
    token = address().rpartition("/")[2]
    with _lock:
        _offered[token] = answer
        _offered.move_to_end(token)
        while len(_offered) > MOST:
            _offered.popitem(last=False)


def _answer(request: Request) -> JSONResponse:
    with _lock:
        answer = _offered.get(request.path_params["token"])
    try:
        places = _places(request.query_params.get("at", ""))
        if answer is None:
            raise ValueError("nobody answers here")
        return JSONResponse(answer(places), headers={"Cache-Control": "no-store"})
    except ValueError as fault:
        return JSONResponse({"fault": str(fault)}, status_code=422)


def _places(text: str) -> Places:
    """From "loc,scale;loc,scale": finite numbers, of at most ten shapes."""
    places = tuple(tuple(map(float, place.split(","))) for place in text[:1000].split(";"))
    if len(places) > 10 or not all(math.isfinite(number) for place in places for number in place):
        raise ValueError("a place is finite numbers")
    return places


ROUTE = Route("/lvmviz/answer/{token}", _answer)
