"""Whose own data is whose: a key in the browser's cookie, of which the server keeps only a digest."""

from __future__ import annotations

import hashlib
import secrets
from http.cookies import CookieError, SimpleCookie

import streamlit as st
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

COOKIE = "lvmviz_key"
YEAR_S = 365 * 24 * 3600
_KEY = "lvmviz.key"


def owner() -> str:
    """Who looks at this page, as a digest: the same in every tab of a browser, another in every other one."""
    key = st.context.cookies.get(COOKIE)
    if not isinstance(key, str) or not key:  # a browser that keeps no cookies: this tab is its own owner
        key = st.session_state.setdefault(_KEY, secrets.token_urlsafe(32))
    return hashlib.sha256(key.encode()).hexdigest()


class BrowserKey:
    """Gives a browser that opens a page its key, where it has none yet (ASGI middleware)."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not _opens_a_page(scope):
            await self.app(scope, receive, send)
            return

        async def with_key(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).append("Set-Cookie", _cookie(scope))
            await send(message)

        await self.app(scope, receive, with_key)


def _opens_a_page(scope: Scope) -> bool:
    """Whether it is a browser's request for a page, without a key."""
    if scope["type"] != "http" or scope["method"] != "GET":
        return False
    headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
    return "text/html" in headers.get(b"accept", "") and not _has_key(headers.get(b"cookie", ""))


def _has_key(text: str) -> bool:
    try:
        cookies = SimpleCookie(text)
    except CookieError:
        return False
    return COOKIE in cookies and bool(cookies[COOKIE].value)


def _cookie(scope: Scope) -> str:
    """No script may read it, and no other site's link or form sends it along in the background."""
    secure = "; Secure" if scope.get("scheme") == "https" else ""
    key = secrets.token_urlsafe(32)
    return f"{COOKIE}={key}; Path=/; Max-Age={YEAR_S}; HttpOnly; SameSite=Lax{secure}"
