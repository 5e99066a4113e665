"""The lines of Python that reproduce what is on screen, to copy or to take home as a notebook."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

import streamlit as st

from lvmviz.core import Choice, knobs
from lvmviz.runs.job import Job, Trace

SETUP = "# in the folder of lvmviz: pip install -e ."


def code(source: str) -> None:
    """Show the lines; Streamlit's own button copies them."""
    st.code(source, language="python", wrap_lines=True)


def notebook_button(name: str, title: str, source: str) -> None:
    """The same lines as a notebook."""
    st.download_button(
        "Notebook",
        lambda: notebook(source, title),  # made when asked for: a file that is replaced cannot be fetched
        file_name=f"{name}.ipynb",
        mime="application/x-ipynb+json",
        icon=":material/download:",
        type="tertiary",
        on_click="ignore",
        key="notebook",
    )


def script(job: Job, last: str) -> str:
    """The lines that run a job; `last` is the line that shows something of its `trace`."""
    name = type(job.algorithm).__name__.lower()
    more = "".join(
        f", {field}={value!r}"
        for field, value, usual in (("every", job.every, 1), ("device", job.device, "cpu"))
        if value != usual
    )
    return (
        f"from lvmviz import {', '.join(sorted(_names(job.algorithm) | {'Job', 'run'}))}\n\n"
        f"{name} = {spelled(job.algorithm)}\n"
        f"trace = run(Job({name}, steps={job.steps}, seed={job.seed}{more}))\n"
        f"{last}"
    )


def snapshot(trace: Trace, index: int) -> str:
    """A snapshot of what is on screen as `script`'s lines name it: only a stored run leaves some out."""
    return f"trace[{-(-trace.steps[index] // trace.job.every)}]"


def calls(functions: Sequence[str], values: Mapping[str, Choice], last: str) -> str:
    """The lines that give names to some choices and then do `last` with public functions."""
    names = set(functions).union(*(_names(value) for value in values.values()))
    given = "".join(f"{name} = {spelled(value)}\n" for name, value in values.items())
    return f"from lvmviz import {', '.join(sorted(names))}\n\n{given}{last}"


def spelled(choice: Choice) -> str:
    """A choice as Python, saying only what differs from the defaults."""
    base = type(choice)()
    changed = [
        f"{field}={spelled(value) if isinstance(value, Choice) else repr(value)}"
        for field in knobs(type(choice))
        if (value := getattr(choice, field)) != getattr(base, field)
    ]
    return f"{type(choice).__name__}({', '.join(changed)})"


def _names(choice: Choice) -> set[str]:
    """The classes that `spelled` mentions."""
    base = type(choice)()
    values = [getattr(choice, field) for field in knobs(type(choice))]
    nested = [
        value
        for value, default in zip(
            values, [getattr(base, field) for field in knobs(type(choice))], strict=True
        )
        if isinstance(value, Choice) and value != default
    ]
    return {type(choice).__name__}.union(*(_names(value) for value in nested))


def notebook(source: str, title: str) -> str:
    """The lines as a Jupyter notebook (nbformat 4.5)."""
    cells = [
        {"id": "title", "cell_type": "markdown", "metadata": {}, "source": [f"# {title}"]},
        _cell("setup", SETUP),
        _cell("scene", source),
    ]
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    made = {"cells": cells, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}
    return json.dumps(made, indent=1)


def _cell(id: str, source: str) -> dict[str, object]:
    lines = source.splitlines(keepends=True)
    return {
        "id": id,
        "cell_type": "code",
        "metadata": {},
        "execution_count": None,
        "outputs": [],
        "source": lines,
    }
