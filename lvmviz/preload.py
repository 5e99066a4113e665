"""Choices of your own: the app, the shell and every worker import the modules named in LVMVIZ_PRELOAD."""

from __future__ import annotations

import importlib
import os


def preload() -> tuple[str, ...]:
    """Import the modules that $LVMVIZ_PRELOAD names, with commas between; return their names.

    A class marked `@choice` registers itself when its module is imported. Raises ValueError with a sentence.
    """
    names = tuple(filter(None, (part.strip() for part in os.environ.get("LVMVIZ_PRELOAD", "").split(","))))
    for name in names:
        try:
            importlib.import_module(name)
        except Exception as error:
            raise ValueError(
                f"LVMVIZ_PRELOAD names {name!r}, which cannot be imported ({type(error).__name__}: {error}). "
                "Put its folder on PYTHONPATH, mend it, or leave it out."
            ) from error
    return names
