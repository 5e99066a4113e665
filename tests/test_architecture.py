"""Imports point one way, and what must stay apart stays apart; read from the source, nothing is imported."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
SOURCES = sorted([*(ROOT / "lvmviz").rglob("*.py"), *(ROOT / "pages").glob("*.py"), *ROOT.glob("app.py")])

# From left to right: an import may only point left, or stay in its own room.
# A module of the package that ROOMS does not name is a choice.
ORDER = ["core", "choices", "algorithms", "runs", "summaries", "figures", "ui", "pages"]
ROOMS = {
    "core": "core",
    "algorithms": "algorithms",
    "runs": "runs",
    "sklearn_api": "runs",
    "summaries": "summaries",
}
ROOMS |= {
    "figures": "figures",
    "ui": "ui",
    "": "runs",
    "shell": "runs",
    "__main__": "runs",
}  # "" is the package itself, which names everything public
HOMES = {  # which rooms may import it
    "torch": ORDER[: ORDER.index("figures")],
    "plotly": ["figures", "ui"],
    "streamlit": ["ui", "pages"],
}
NOWHERE = {"pickle", "_pickle", "cloudpickle", "dill", "shelve", "marshal", "numexpr", "sympy"}
NO_CALLS = {"eval", "exec", "compile", "__import__"}
MAX_LINES = 320
PAGE = re.compile(r"\d\d_[a-z0-9]+(_[a-z0-9]+)*\.py")


def dotted(path: Path) -> str:
    """The module that a file is: "lvmviz.core", "pages.01_em", "app"."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {dotted(path) for path in SOURCES}


def room(module: str) -> str:
    """Where a module stands in ORDER."""
    package, _, rest = module.partition(".")
    if package in ("pages", "app"):
        return "pages"
    return ROOMS.get(rest.partition(".")[0], "choices")


def imports(tree: ast.AST, module: str, is_package: bool) -> Iterator[tuple[int, str]]:
    """The line and dotted name of everything imported, also within functions and by name."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = module.split(".")
                above = above[: len(above) - node.level + is_package]
                base = ".".join([*above, *([base] if base else [])])
            yield from ((node.lineno, f"{base}.{alias.name}") for alias in node.names)
        elif isinstance(node, ast.Call) and _called(node) in ("import_module", "importorskip"):
            first = node.args[0] if node.args else None
            if isinstance(first, ast.Constant) and isinstance(first.value, str):
                yield node.lineno, first.value


def _called(node: ast.Call) -> str:
    return getattr(node.func, "id", getattr(node.func, "attr", ""))


def nearest(name: str, modules: set[str]) -> str:
    """The module that holds an imported name: "lvmviz.core" for "lvmviz.core.knob"."""
    while name not in modules and "." in name:
        name = name.rpartition(".")[0]
    return name


def faults(source: str, module: str, *, is_package: bool = False, modules: set[str] = MODULES) -> list[str]:
    """What is wrong with a file, one sentence each."""
    tree = ast.parse(source)
    here, found = room(module), []
    for line, name in imports(tree, module, is_package):
        top = name.partition(".")[0]
        if top in ("lvmviz", "pages", "app"):
            there = room(nearest(name, modules | {"lvmviz", "pages", "app"}))
            if ORDER.index(there) > ORDER.index(here):
                found.append(f"{module}:{line} is in {here} and imports {name} from {there}")
            if there == "pages":
                found.append(f"{module}:{line} imports a page: {name}")
        if here not in HOMES.get(top, ORDER):
            found.append(f"{module}:{line} imports {top} in {here}: only {', '.join(HOMES[top])} may")
        if top in NOWHERE:
            found.append(f"{module}:{line} imports {top}")
    for node in ast.walk(tree):
        found.extend(f"{module}:{node.lineno} {fault}" for fault in _dangers(node))
    return found


def _dangers(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Name) and node.id in NO_CALLS:
        yield f"uses {node.id}"
    if isinstance(node, ast.Attribute):
        if (
            isinstance(node.value, ast.Name)
            and node.value.id in ("builtins", "pd", "pandas")
            and node.attr in NO_CALLS
        ):
            yield f"uses {node.value.id}.{node.attr}"
        if node.attr in ("read_pickle", "to_pickle"):
            yield f"uses {node.attr}"
    if isinstance(node, ast.keyword) and not (
        isinstance(node.value, ast.Constant) and node.value.value is False
    ):
        if node.arg == "allow_pickle":
            yield "allows pickle"
    if isinstance(node, ast.keyword) and node.arg == "weights_only":
        if not (isinstance(node.value, ast.Constant) and node.value.value is True):
            yield "loads more than weights"


# ---- the tree ----


def test_there_is_something_to_read():
    assert {"lvmviz", "lvmviz.core", "lvmviz.algorithms.em", "lvmviz.runs.execute"} <= MODULES


def test_imports_point_left():
    found = [
        faults(path.read_text(), dotted(path), is_package=path.name == "__init__.py") for path in SOURCES
    ]
    assert sum(found, []) == []


def test_files_are_short_and_say_what_they_are():
    for path in SOURCES:
        source = path.read_text()
        assert len(source.splitlines()) <= MAX_LINES, f"split {path}: a newcomer finds the room by its name"
        assert (ast.get_docstring(ast.parse(source)) or "").strip(), f"{path} needs a docstring"


def test_scripts_of_the_browser_are_short():
    long = [p.name for p in (ROOT / "lvmviz").rglob("*.js") if len(p.read_text().splitlines()) > MAX_LINES]
    assert long == []


def test_pages_are_numbered_by_topic():
    names = [path.name for path in (ROOT / "pages").glob("*.py")]
    assert [name for name in names if not PAGE.fullmatch(name)] == []
    assert len({name[:2] for name in names}) == len(names), "two pages have one number"


def test_every_room_is_in_order():
    assert set(ROOMS.values()) | {"choices", "pages"} == set(ORDER)
    assert all(set(homes) <= set(ORDER) for homes in HOMES.values())


# ---- the checker bites ----

BAD = {
    "lvmviz.core": [
        "from lvmviz.datasets import Iris",
        "from lvmviz import Iris",
        "import lvmviz",
        "from . import datasets",
        "from .datasets import Iris",
        "def late():\n    from lvmviz.mixtures import maximum",
        "import importlib\nimportlib.import_module('lvmviz.datasets')",
        "try:\n    import lvmviz.algorithms.em as em\nexcept ImportError:\n    em = None",
    ],
    "lvmviz.datasets": [
        "from lvmviz.algorithms.em import EM",
        "import lvmviz.runs.job",
        "import plotly.express",
    ],
    "lvmviz.targets": [
        "from lvmviz.algorithms import em",
        "import streamlit as st",
    ],  # a room nobody has built yet
    "lvmviz.bernoulli_mixture": ["from lvmviz.algorithms.em import EM", "from lvmviz.sklearn_api import VAE"],
    "lvmviz.algorithms.em": [
        "from lvmviz.runs.job import Job",
        "from lvmviz import runs",
        "from ..runs import job",
        "from lvmviz.sklearn_api import GaussianMixture",
        "from lvmviz import summaries",
        "if TYPE_CHECKING:\n    from lvmviz.runs.job import Job",
    ],
    "lvmviz.runs.execute": [
        "from lvmviz.summaries import ellipses",
        "import streamlit",
        "from plotly import io",
    ],
    "lvmviz.summaries": ["import plotly", "from lvmviz.figures.film import Film"],
    "lvmviz.figures.film": [
        "import torch",
        "from torch import Tensor",
        "import streamlit",
        "from lvmviz.ui import plot",
    ],
    "lvmviz.ui.plot": [
        "import torch.nn",
        "import app",
        "from pages import em",
        "import importlib as i\ni.import_module('torch')",
    ],
    "pages.01_em": ["import torch", "import plotly.graph_objects as go", "from plotly import express"],
    "app": ["import torch", "import plotly"],
    "lvmviz.runs.store": [
        "import pickle",
        "from pickle import loads",
        "import cloudpickle as c",
        "import sympy",
        "from numexpr import evaluate",
        "eval('1')",
        "exec('1')",
        "f = eval",
        "import builtins\nbuiltins.exec('1')",
        "__import__('os')",
        "np.load(path, allow_pickle=True)",
        "np.load(path, allow_pickle=maybe)",
        "torch.load(path, weights_only=False)",
        "frame.to_pickle(path)",
        "pd.eval('a + b')",
    ],
}
GOOD = {
    "lvmviz": ["from lvmviz.algorithms.em import EM\nfrom lvmviz.runs.job import Job"],
    "lvmviz.datasets": ["from lvmviz import own_data\nfrom lvmviz.core import knob\nimport numpy, torch"],
    "lvmviz.algorithms.em": ["from lvmviz.mixtures import maximum\nfrom . import gradients\nimport torch"],
    "lvmviz.algorithms.vae": [
        "model.eval()\nimport re\nre.compile('a')\ntorch.load(path, weights_only=True)"
    ],
    "lvmviz.runs.job": ["from lvmviz import __version__", "import lvmviz"],
    "lvmviz.summaries": ["from lvmviz import EM\nfrom lvmviz.runs.job import Trace\nimport torch"],
    "lvmviz.figures.film": ["from lvmviz import summaries\nimport plotly\nimport torchless"],
    "lvmviz.ui.plot": [
        "import streamlit as st\nimport plotly\nfrom lvmviz.figures import film\nfrom lvmviz.runs import job"
    ],
    "pages.01_em": [
        "import streamlit as st\nimport lvmviz\nfrom lvmviz.ui import plot\nfrom lvmviz import EM"
    ],
    "app": ["import streamlit\nfrom lvmviz.ui.plot import plot"],
    "lvmviz.runs.store": ["np.load(path, allow_pickle=False)", "evaluate('x')", "'eval(1)'  # import pickle"],
}
MADE_UP = set(BAD) | set(GOOD) | {"lvmviz.mixtures", "lvmviz.own_data", "lvmviz.algorithms"}
MADE_UP |= {"lvmviz.runs", "lvmviz.ui", "lvmviz.figures"}


def cases(table: dict[str, list[str]]) -> list[tuple[str, str]]:
    return [(module, source) for module, sources in table.items() for source in sources]


def test_the_checker_bites():
    for module, source in cases(BAD):
        assert faults(source, module, modules=MADE_UP), f"{module} may not: {source}"


def test_the_checker_lets_through():
    for module, source in cases(GOOD):
        assert faults(source, module, is_package=module == "lvmviz", modules=MADE_UP) == [], source


def test_a_package_counts_its_own_dots():
    """In lvmviz/algorithms/__init__.py one dot is lvmviz.algorithms, in em.py too."""
    modules = {"lvmviz.algorithms", "lvmviz.algorithms.em", "lvmviz.runs.job"}
    assert faults("from . import em", "lvmviz.algorithms", is_package=True, modules=modules) == []
    assert faults("from ..runs import job", "lvmviz.algorithms", is_package=True, modules=modules)
    assert [name for _, name in imports(ast.parse("from . import em"), "lvmviz.algorithms.vi", False)] == [
        "lvmviz.algorithms.em"
    ]
