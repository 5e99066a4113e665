"""What the pages are made of: the only part of the package that imports Streamlit."""

from lvmviz.ui.code import script
from lvmviz.ui.components import components
from lvmviz.ui.controls import Controls, link_of, switch
from lvmviz.ui.derivation import Line, Term, derivation
from lvmviz.ui.dock import dock
from lvmviz.ui.frame import Stage, columns, dark, empty, failed, head, page, plain, projector, scale, stage
from lvmviz.ui.ledger import Entry, ledger
from lvmviz.ui.live import live
from lvmviz.ui.player import Button, player
from lvmviz.ui.plot import plot
from lvmviz.ui.scenes import Scene, scenes
from lvmviz.ui.table import Column, ring, table
from lvmviz.ui.thermometer import thermometer

__all__ = [
    "Button", "Column", "Controls", "Entry", "Line", "Scene", "Stage", "Term", "columns", "components", "dark",
    "derivation", "dock", "empty", "failed", "head", "ledger", "link_of", "live", "page", "plain", "player", "plot",
    "projector", "ring", "scale", "scenes", "script", "stage", "switch", "table", "thermometer",
]  # fmt: skip
