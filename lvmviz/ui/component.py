"""One way to put a module of js/ on a page."""

from __future__ import annotations

import functools
from typing import Any

import streamlit.components.v2 as components

from lvmviz.ui import assets

# Streamlit gives each component's script an address of its own, from which nothing can be imported by a
# relative path; so the script it gets only fetches the module, which shares `bus.js` with all the others.
_LOADER = """
let module;
export default function (component) {
  module ??= import(new URL("lvmviz/%s/js/%s.js", location.href));
  let close;
  module.then((m) => { close = m.default(component); });
  return () => close?.();
}
"""


@functools.cache
def component(name: str) -> Any:
    """The component that js/<name>.js draws; mount it with `key=` so that its node stays."""
    return components.component(f"lvmviz_{name}", js=_LOADER % (assets.version(), name), isolate_styles=False)
