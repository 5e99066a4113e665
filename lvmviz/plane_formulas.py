"""A log density of one's own in x and y: whether it is one, and the posterior it makes."""

from __future__ import annotations

import functools
import math
import re
from typing import ClassVar, NoReturn

import torch
from torch import Tensor

from lvmviz.core import choice, knob
from lvmviz.formula_latex import latex
from lvmviz.formula_targets import TOO_LARGE, ZERO, blamed
from lvmviz.formulas import FormulaError, Tree, parse, quoted, text
from lvmviz.targets import PRIOR_SD, Target, normal

VARIABLES = ("x", "y")
_SCALES = 10.0 ** torch.linspace(-3, 6, 37, dtype=torch.float64)
_SIDE = torch.cat([-_SCALES, _SCALES, torch.arange(-40, 41, dtype=torch.float64) / 2]).unique()
_TURNS = torch.arange(16, dtype=torch.float64) * (math.pi / 8) + 0.2345  # along no axis and no diagonal
_FAR = 10.0 ** torch.linspace(1, 41, 161, dtype=torch.float64)
SLOWEST = -2.01  # d log p / d log |z| along a ray that an integrable density falls below


@choice
class Formula2D(Target):
    """Your own log p(x, z), typed as a formula of x and y; prior N(0, 3^2 I), likelihood = joint / prior."""

    dim: ClassVar[int] = 2
    title: ClassVar[str] = "Own formula in x and y"

    expression: str = knob(
        "-(x**2 + y - 5)**2/4 - (x + y**2 - 4)**2/4",
        hidden=True,
        help="log p(x, z) in nats, up to a constant.",
    )

    def __post_init__(self) -> None:
        if not isinstance(self.expression, str):
            raise FormulaError(
                f"Formula2D.expression is a text, not {type(self.expression).__name__}. "
                "Write -x**2 - y**2, say."
            )
        super().__post_init__()
        plane_density(self.expression)

    def log_prob(self, z: Tensor) -> Tensor:
        """What the formula says, nats; NaN where it has no value."""
        return plane_density(self.expression)(z[..., 0], z[..., 1])

    def log_prior(self, z: Tensor) -> Tensor:
        """log N(z | 0, 3^2 I), nats."""
        return normal(z[..., 0], 0.0, PRIOR_SD) + normal(z[..., 1], 0.0, PRIOR_SD)

    @property
    def latex(self) -> str:
        """The formula as LaTeX, without dollar signs."""
        return latex(plane_density(self.expression).root)


@functools.lru_cache(maxsize=256)
def plane_density(expression: str) -> Tree:
    """The formula of x and y that this text is, once it has been checked; raises FormulaError."""
    tree = parse(expression, VARIABLES)
    check(tree)
    return tree


@torch.no_grad()
def check(tree: Tree) -> None:
    """Raise FormulaError unless exp of a formula of x and y can be integrated, as far as a probe shows.

    The probe looks at 25,000 points to 1e6 from 0 on either axis, and along 16 rays out to 1e41; quadrature
    has the last word. NaN and +infinity are refused wherever they are, -infinity is welcome.
    """
    x, y = torch.meshgrid(_SIDE, _SIDE, indexing="ij")
    values = tree(x, y)
    for wrong, verb in ((values.isnan(), "has no value"), (values.isposinf(), "is infinite")):
        if wrong.any():
            _refuse(tree, wrong, x, y, verb)
    if float(values.max()) == -math.inf:
        raise FormulaError(
            "The density is zero wherever it was looked at. Write a formula that is finite somewhere."
        )
    for name in VARIABLES:
        if name not in re.findall(r"\w+", text(tree.root)):
            raise FormulaError(
                f"The formula does not depend on {name}, so its integral is infinite. "
                f"Subtract {name}**2/2, say."
            )
    _check_rays(tree, float(values.max()))


def _refuse(tree: Tree, wrong: Tensor, x: Tensor, y: Tensor, verb: str) -> NoReturn:
    """Say where the values are wrong nearest to 0, which part is to blame, and what to do."""
    at = int(torch.where(wrong, torch.hypot(x, y), math.inf).argmin())
    one, two = x.flatten()[at], y.flatten()[at]
    part, reason = blamed(tree.root, tree.names(one, two))
    others = ", among others" if int(wrong.sum()) > 1 else ""
    remedy = "Write where(…, …, -1e9) to leave such places out."
    if reason == TOO_LARGE:
        remedy = "A log density falls far away; take softplus or logaddexp for the log of an exp."
    elif int(wrong.sum()) <= len(_SIDE):
        remedy = "Add a small number, such as abs(…) + 0.01, or use where."
    raise FormulaError(
        f"The formula {verb} at x = {float(one):.4g}, y = {float(two):.4g}{others}, as "
        f"{quoted(text(part))} {reason}. {remedy}"
    )


def _check_rays(tree: Tree, peak: float) -> None:
    """Along rays that meet no axis log p must fall faster than -2 log |z|, as far as numbers reach."""
    along = tree(_TURNS.cos()[:, None] * _FAR, _TURNS.sin()[:, None] * _FAR)
    for values in along:
        last = int(values.isfinite().long().cumprod(0).sum())
        gone = last < len(_FAR) and values[last] == -math.inf
        if gone or (last and float(values[last - 1]) < peak - ZERO):
            continue
        if last < 16:
            raise FormulaError(
                "The formula has no finite value far from 0. Fill the hole, by where for example."
            )
        rise = float(values[last - 1] - values[last - 9]) / float((_FAR[last - 1] / _FAR[last - 9]).log())
        if rise > SLOWEST:
            how = "falls too slowly" if rise < -1e-3 else "does not fall"
            raise FormulaError(
                f"The density {how} far from 0, so its integral is infinite. "
                "Subtract something that grows there, such as 0.1*(x**2 + y**2)."
            )
