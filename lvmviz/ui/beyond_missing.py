"""A Gaussian with missing features on the page Beyond mixtures; and variational EM, with a poorer q."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from lvmviz.algorithms.missing import MissingGaussianEM
from lvmviz.algorithms.variational_em import VariationalEM
from lvmviz.core import Algorithm
from lvmviz.divergences import Decomposition
from lvmviz.figures import missing as figures
from lvmviz.figures.film import Film
from lvmviz.figures.theme import number, tokens
from lvmviz.runs.job import Job, Snapshot, Trace
from lvmviz.schemes import ExpectationMaximization, Scheme
from lvmviz.summaries import missing as summaries
from lvmviz.ui import frame
from lvmviz.ui.axes import axes
from lvmviz.ui.beyond_model import BeyondModel, Others
from lvmviz.ui.controls import Controls
from lvmviz.ui.derivation import Line
from lvmviz.ui.derivation_missing import lines
from lvmviz.ui.plot import plot
from lvmviz.ui.table import Cell, Column, dot, table

Axes = tuple[int, int]
EXACT = "exact EM"


class Missing(BeyondModel):
    """Conditionals as segments, and the Gaussian that they make."""

    name = "Missing features"
    title = "EM for a Gaussian with missing features"
    algorithm = MissingGaussianEM
    rounds = 40  # the defaults settle in 30, 35 with a product; of many gaps the first rounds come at once
    per = "nats per row"

    def ready(self, asked: Algorithm) -> Algorithm | None:
        assert isinstance(asked, MissingGaussianEM)
        if super().ready(asked) is None:
            return None
        if asked.data.with_gaps().points.shape[1] < 2:
            raise ValueError("One column has nothing beside it to tell its gaps from: choose two or more.")
        return asked

    def view(self, controls: Controls, trace: Trace) -> Axes:
        return axes(controls, summaries.table(trace).columns)

    def picture(self, trace: Trace, others: Others, view: Axes, channel: str, height: int) -> None:
        plot(
            "picture",
            lambda: self.film(trace, others, view),
            depends=(trace.key, frame.dark(), view),
            height=height,
            alt=_alt(trace, view),
            channel=channel,
        )
        frame.remark(_told(trace, view))

    def film(self, trace: Trace, others: Others, view: Axes) -> Film:
        made, found = summaries.table(trace), summaries.sorts(trace, view)
        rivals = summaries.rivals(trace)
        return figures.picture(
            made.points[found.whole][:, list(view)],
            summaries.known(trace, found.one, view),
            summaries.known(trace, found.none, view),
            summaries.ellipses(trace, view),
            rows=[found.whole, found.one, found.none],
            rivals={name: summaries.ellipse(moments, view) for name, moments in rivals.items()},
            pair=summaries.pair(trace, view),
            columns=[made.columns[axis] for axis in view],
            dark=frame.dark(),
        )

    def table(self, trace: Trace, others: Others, view: Axes, channel: str) -> None:
        columns = summaries.table(trace).columns
        frame.head("estimates", "Estimates", f"of {columns[view[0]]}, {columns[view[1]]}")
        dark, count = frame.dark(), len(summaries.rivals(trace)) + len(others) + 1
        table(
            "estimates",
            [Column("", "left", wide=True), Column("ρ"), Column("sd →"), Column("sd ↑")],
            frames=lambda: _frames(trace, others, view, dark),
            depends=(trace.key, *(other.key for other in others.values()), view, dark),
            alt="Correlation and standard deviations of the two columns, by EM and by its rivals",
            height=int((26 + 24 * count) * frame.scale()),
            channel=channel,
        )

    def decompositions(self, trace: Trace) -> Sequence[Decomposition]:
        return summaries.decompositions(trace)

    def lines(self, trace: Trace, index: int, view: Axes) -> list[Line]:
        about = summaries.cell(trace, index, view[1]) or summaries.cell(trace, index, view[0])
        return lines(trace[index].info, about, summaries.gaussian_em(trace).factorized)

    def parameters(self, snapshot: Snapshot) -> Mapping[str, Any]:
        return summaries.parameters(snapshot)


class Factorized(ExpectationMaximization):
    """EM in words where q may know no correlation between two gaps of a row."""

    closes = False
    e_does = "of all products q becomes the nearest to the posterior; a gap stays"
    e_again = "E again changes nothing: no product is nearer to the posterior. Press M."
    e_left = "q is the nearest product, a gap stays"
    m_does = "θ maximizes the ELBO; the log-likelihood may fall"
    m_left = "the bound is higher"


class Variational(Missing):
    """The same with a product for q: the bound never touches where a row has two gaps."""

    name = "Variational EM"
    title = "Variational EM for a Gaussian with missing features"
    algorithm = VariationalEM

    def beside(self, trace: Trace) -> Mapping[str, Job]:
        made = summaries.gaussian_em(trace)
        fields = {field.name: getattr(made, field.name) for field in dataclasses.fields(made)}
        return {EXACT: dataclasses.replace(trace.job, algorithm=MissingGaussianEM(**fields))}

    def words(self, trace: Trace) -> Scheme:
        return Factorized()


def _alt(trace: Trace, view: Axes) -> str:
    made, found = summaries.table(trace), summaries.sorts(trace, view)
    both, one, none = found.counts
    return (
        f"{made.columns[view[0]]} and {made.columns[view[1]]}: {both} rows show both, {one} one, drawn "
        f"as segments of q, {none} neither; the ellipse of θ and of what EM is compared with"
    )


def _told(trace: Trace, view: Axes) -> str:
    found = summaries.sorts(trace, view)
    both, one, none = found.counts
    drawn = len(found.one) + len(found.none) + len(found.whole)
    sampled = f" Of these {drawn:,} are drawn, chosen at random." if drawn < sum(found.counts) else ""
    return f"{both:,} rows show both columns, {one:,} one of them, {none:,} neither.{sampled}"


def _frames(trace: Trace, others: Others, view: Axes, dark: bool) -> list[list[list[Cell]]]:
    colours = tokens(dark)
    fixed = [_row(name, made, view) for name, made in summaries.rivals(trace).items()]
    fixed += [
        _row(f"{name}, its end", summaries.moments(other[-1:])[0], view) for name, other in others.items()
    ]
    return [
        [[dot(colours.theta_mark, "θ", "now"), *_row("", made, view)[1:]], *fixed]
        for made in summaries.moments(trace)
    ]


def _row(name: str, made: summaries.Moments, view: Axes) -> list[Cell]:
    return [name, number(made.correlation(view), 3), *(number(made.sd(axis), 3) for axis in view)]
