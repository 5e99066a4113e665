"""The entry: `streamlit run app.py` finds `app` and serves the site with our own routes."""

import gc
import logging
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import streamlit as st
from starlette.middleware import Middleware

from lvmviz.core import one_thread
from lvmviz.preload import preload
from lvmviz.runs import engine
from lvmviz.ui import assets
from lvmviz.ui.owner import BrowserKey


@asynccontextmanager
async def lifespan(app: st.App) -> AsyncIterator[dict[str, Any]]:
    """Import everything once, then take it out of garbage collection; have the engine get ready meanwhile.

    With torch and scikit-learn loaded a full collection takes some 150 ms; objects that stay for ever need no
    visit.
    """
    import lvmviz  # noqa: F401, PLC0415
    import lvmviz.ui  # noqa: F401, PLC0415

    one_thread()
    preload()
    assets.warm()
    gc.collect()
    gc.freeze()
    threading.Thread(target=_engine, name="lvmviz engine start", daemon=True).start()
    yield {}
    engine.leave()


def _engine() -> None:
    """Start the engine; the pages work without one, all but what takes long."""
    try:
        engine.ensure()
    except (OSError, ValueError) as error:
        logging.getLogger("lvmviz").warning("No work in the background: %s", error)


app = st.App(
    "lvmviz/ui/site.py", routes=assets.ROUTES, lifespan=lifespan, middleware=[Middleware(BrowserKey)]
)
