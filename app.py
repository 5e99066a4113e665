"""The entry: `streamlit run app.py` finds `app` and serves the site with our own routes."""

import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import streamlit as st

from lvmviz.core import one_thread
from lvmviz.ui import assets


@asynccontextmanager
async def lifespan(app: st.App) -> AsyncIterator[dict[str, Any]]:
    """Import everything once, then take it out of garbage collection.

    Streamlit collects after every run of a script. With torch and scikit-learn loaded that costs each rerun
    some 150 ms; objects that stay for ever need no visit.
    """
    import lvmviz  # noqa: F401, PLC0415
    import lvmviz.ui  # noqa: F401, PLC0415

    one_thread()
    assets.warm()
    gc.collect()
    gc.freeze()
    yield {}


app = st.App("lvmviz/ui/site.py", routes=assets.ROUTES, lifespan=lifespan)
