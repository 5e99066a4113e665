"""What the pages are made of: the only part of the package that imports Streamlit."""

from lvmviz.ui.background import growing
from lvmviz.ui.code import calls, script, snapshot
from lvmviz.ui.components import components
from lvmviz.ui.controls import Controls, remedy, switch
from lvmviz.ui.derivation import Line, Term, derivation
from lvmviz.ui.dock import dock
from lvmviz.ui.doors import Door, computer, doors, open_picked, way
from lvmviz.ui.frame import (
    Stage,
    beside,
    columns,
    dark,
    empty,
    failed,
    halves,
    head,
    note,
    page,
    place,
    plain,
    projector,
    remark,
    scale,
    stage,
)
from lvmviz.ui.ledger import Entry, ledger
from lvmviz.ui.links import link_of
from lvmviz.ui.live import afresh, keep, kept, live, pace
from lvmviz.ui.owner import owner
from lvmviz.ui.player import Button, player, trace_player
from lvmviz.ui.plot import Mark, nothing, plot
from lvmviz.ui.scenes import Scene, opened, scenes
from lvmviz.ui.state import current as link
from lvmviz.ui.table import Column, ring, table
from lvmviz.ui.thermometer import thermometer

__all__ = [
    "Button", "Column", "Controls", "Door", "Entry", "Line", "Mark", "Scene", "Stage", "Term", "afresh",
    "beside", "calls", "columns", "components", "computer", "dark", "derivation", "dock", "doors", "empty",
    "failed", "growing", "halves", "head", "keep", "kept", "ledger", "link", "link_of", "live", "note",
    "nothing", "open_picked", "opened", "owner", "pace", "page", "place", "plain", "player", "plot",
    "projector", "remark", "remedy", "ring", "scale", "scenes", "script", "snapshot", "stage", "switch",
    "table", "thermometer", "trace_player", "way",
]  # fmt: skip
