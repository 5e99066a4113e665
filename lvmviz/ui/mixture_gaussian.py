"""Mixtures of Gaussians on the page Mixtures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lvmviz.algorithms.em import EM, EMInfo
from lvmviz.core import Algorithm, Choice
from lvmviz.datasets import Stored
from lvmviz.divergences import Decomposition
from lvmviz.figures import mean_images
from lvmviz.figures.film import Film
from lvmviz.runs.job import Snapshot, Trace
from lvmviz.schemes import Scheme
from lvmviz.starts import ByHand
from lvmviz.summaries import em as summaries
from lvmviz.summaries.pca_images import has_pca_images, pca_images
from lvmviz.ui import em_curves, em_films, frame, own
from lvmviz.ui.axes import axes
from lvmviz.ui.components import components
from lvmviz.ui.controls import Controls
from lvmviz.ui.derivation import Line
from lvmviz.ui.derivation_em import lines
from lvmviz.ui.mixture_model import MixtureModel
from lvmviz.ui.plot import plot

FLOOR = "The regularizer is wider than the data's narrowest direction, so it sets the shapes. Lower it."
Axes = tuple[int, int]


class Gaussians(MixtureModel):
    """Points, ellipses and the bumps of the marginal."""

    name = "Gaussians"
    told = "points and ellipses"
    title = "EM on a mixture of Gaussians"
    algorithm = EM
    editors = {Stored: own.own_table, ByHand: own.by_hand}

    def ready(self, asked: Algorithm) -> Algorithm | None:
        assert isinstance(asked, EM)
        if isinstance(asked.data, Stored) and not asked.data.digest:
            frame.empty(
                "No table yet. Load one on the left: a row is a point, a column a feature.", name="table"
            )
            return None
        return own.forget_misfits("start", asked)

    def warning(self, algorithm: Algorithm) -> str:
        return FLOOR if isinstance(algorithm, EM) and summaries.floor_binds(algorithm) else ""

    def view(self, controls: Controls, trace: Trace) -> Axes:
        """Which columns are drawn across and up."""
        return axes(controls, summaries.em(trace).data.table().columns)

    def picture(self, trace: Trace, view: Axes, channel: str, height: int) -> None:
        em = summaries.em(trace)
        plot(
            "picture",
            lambda: self.film(trace, view),
            depends=(trace.key, frame.dark(), view),
            height=height,
            alt=em_films.alt(trace),
            channel=channel,
            on_spot=own.place_spot("start", "picture", em, view) if isinstance(em.start, ByHand) else None,
        )
        if told := em_films.told(trace):
            frame.remark(told)

    def film(self, trace: Trace, view: Axes) -> Film:
        return em_films.picture(trace, view, frame.dark())

    def curves(self, controls: Controls, trace: Trace, view: Axes, channel: str) -> None:
        if has_pca_images(summaries.em(trace).data):
            _mean_images(trace, channel)
        em_curves.curves(controls, trace, channel)

    def components(self, trace: Trace, channel: str) -> None:
        components(trace, channel)

    def decompositions(self, trace: Trace) -> Sequence[Decomposition]:
        return summaries.decompositions(trace)

    def scheme(self, trace: Trace) -> Scheme:
        return summaries.em(trace).scheme

    def lines(self, info: EMInfo, trace: Trace) -> list[Line]:
        return lines(info, self.scheme(trace))

    def parameters(self, snapshot: Snapshot) -> Mapping[str, Any]:
        return summaries.parameters(snapshot)

    def table(self, trace: Trace) -> Choice:
        return summaries.em(trace).data

    def ending(self, trace: Trace) -> str:
        info = trace[-1].info
        if info.collapsed:
            shared = summaries.em(trace).covariance.shared
            which = "The shared covariance" if shared else f"Component {info.collapsed}"
            return f"{which} has collapsed: no step leads on from here."
        return super().ending(trace)


def _mean_images(trace: Trace, channel: str) -> None:
    """What the means of Gaussians over the digits' principal components look like."""
    frame.head("means", "Means as images", "each μ brought back from the principal components to pixels")
    count = summaries.em(trace).components
    told = [[f"component {k + 1}: its mean as an image" for k in range(count)]] * len(trace)
    dark = frame.dark()
    plot(
        "means",
        lambda: mean_images.strip(pca_images(trace), told, [count], numbered=True, dark=dark),
        depends=(trace.key, dark),
        height=mean_images.STRIP,
        alt=f"The means of {count} components as images",
        channel=channel,
    )
