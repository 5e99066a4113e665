"""A log density of one's own: whether it is one, how it is written, and the posterior it makes."""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar, NoReturn

import torch
from torch import Tensor

from lvmviz.core import choice, knob
from lvmviz.formula_latex import latex
from lvmviz.formulas import (
    Apply,
    FormulaError,
    Name,
    Node,
    Tree,
    parse,
    quoted,
    text,
    value,
)
from lvmviz.targets import Target, normal

ZERO = 1e4  # nats below the highest value: no density left, in any arithmetic


@choice
class Formula(Target):
    """Your own log p(x, z), typed as a formula of z; prior N(0, 3^2), likelihood = joint / prior.

    A feature narrower than 1/64 (beyond |z| = 64, than 2 % of |z|) is sure to be found where a part of the
    formula that is linear in z crosses 0, as z - 100.3 does; elsewhere it may be missed.
    """

    dim: ClassVar[int] = 1
    title: ClassVar[str] = "Own formula"

    expression: str = knob("-abs(z - 7)**1.5", hidden=True, help="log p(x, z) in nats, up to a constant.")

    def __post_init__(self) -> None:
        if not isinstance(self.expression, str):
            raise FormulaError(
                f"Formula.expression is a text, not {type(self.expression).__name__}. Write -z**2, say."
            )
        super().__post_init__()
        density(self.expression)

    def log_prob(self, z: Tensor) -> Tensor:
        """What the formula says, nats; NaN where it has no value."""
        return density(self.expression)(z[..., 0])

    def log_prior(self, z: Tensor) -> Tensor:
        """log N(z | 0, 3^2), nats."""
        return normal(z[..., 0], 0.0, 3.0)

    def places(self) -> tuple[float, ...]:
        """Where the formula's linear parts are 0."""
        return tuple(sorted(zeros(density(self.expression))))

    @property
    def latex(self) -> str:
        """The formula as LaTeX, without dollar signs."""
        return latex(density(self.expression).root)


@functools.lru_cache(maxsize=256)
def density(expression: str) -> Tree:
    """The formula of z that this text is, once it has been checked; raises FormulaError."""
    tree = parse(expression)
    check(tree)
    return tree


def zeros(tree: Tree) -> set[float]:
    """Where each part of a formula of one variable that is linear in it is 0."""
    found: set[float] = set()

    def line(node: Node) -> tuple[float, float] | None:
        """Slope and intercept of a part, None of a bent one."""
        if isinstance(node, Name) and node.name in tree.variables:
            return 1.0, 0.0
        parts = [line(part) for part in node.args] if isinstance(node, Apply) else []
        if all(part is not None and not part[0] for part in parts):
            return 0.0, float(value(node, tree.names(torch.zeros((), dtype=torch.float64))))
        return made(node.op, parts) if isinstance(node, Apply) else None

    def made(op: str, parts: Sequence[tuple[float, float] | None]) -> tuple[float, float] | None:
        if any(part is None for part in parts) or op not in ("+", "-", "*", "/"):
            return None
        (a, b), *rest = [part for part in parts if part is not None]
        if not rest:
            return (a, b) if op == "+" else (-a, -b)
        ((c, d),) = rest
        if op in ("+", "-"):
            sign = 1.0 if op == "+" else -1.0
            whole = a + sign * c, b + sign * d
        elif op == "*" and not (a and c):
            whole = a * d + c * b, b * d
        elif op == "/" and not c and d:
            whole = a / d, b / d
        else:
            return None
        if whole[0] and math.isfinite(zero := -whole[1] / whole[0]):
            found.add(zero)
        return whole

    line(tree.root)
    return found


# ---- is it a log density? ----

_SCALES = 10.0 ** torch.linspace(-6, 6, 289, dtype=torch.float64)
_GRID = torch.cat([-_SCALES, _SCALES, torch.arange(-512, 513, dtype=torch.float64) / 8]).unique()
_FAR = 10.0 ** (1.0 + (torch.arange(160 * 6, dtype=torch.float64) + 0.37) / 24)  # to 1e41
_QUARTER = math.log(10.0) / 4  # of a decade, 6 points of _FAR


@torch.no_grad()
def check(tree: Tree) -> None:
    """Raise FormulaError unless exp of a formula of one variable can be integrated, as far as a probe shows.

    The probe looks at 0 and +-1e-6 to +-1e6 in 1600 points, at the tails out to 1e41 and closer at the peaks;
    quadrature has the last word. NaN and +infinity are refused wherever they are, -infinity is welcome.
    """
    values, z = tree(_GRID), tree.variables[0]
    if values.isnan().any():
        _refuse(tree, torch.isnan, "has no value")
    if values.isposinf().any():
        _refuse(tree, torch.isposinf, "is infinite")
    peak = float(values.max())
    if peak == -math.inf:
        raise FormulaError(
            "The density is zero wherever it was looked at. Write a formula that is finite somewhere."
        )
    if peak == float(values.min()):
        raise FormulaError(f"The formula is {peak:g} for every {z}. Let it depend on {z}, as -{z}**2/2 does.")
    _check_tail(tree, 1.0, peak)
    _check_tail(tree, -1.0, peak)
    _check_peaks(tree, values)


def _refuse(tree: Tree, test: Callable[[Tensor], Tensor], verb: str) -> NoReturn:
    """Say where the values pass a test that none should pass, which part is to blame, and what to do."""
    bad = test(tree(_GRID))
    nearest = int(torch.where(bad, _GRID.abs(), math.inf).argmin())
    last = nearest + int(bad[nearest:].long().cumprod(0).sum()) - 1
    first = nearest + 1 - int(bad[: nearest + 1].flip(0).long().cumprod(0).sum())
    where, remedy = _stretch(tree, test, first, last)
    part, reason = blamed(tree.root, tree.names(_GRID[(first + last) // 2]))
    others = ", among others" if last - first + 1 < int(bad.sum()) else ""
    if reason == TOO_LARGE and not bad.all():
        remedy = "A log density falls at both ends; take softplus or logaddexp for the log of an exp."
    raise FormulaError(f"The formula {verb} {where}{others}, as {quoted(text(part))} {reason}. {remedy}")


def _stretch(tree: Tree, test: Callable[[Tensor], Tensor], first: int, last: int) -> tuple[str, str]:
    """Words for a stretch of the grid, and a remedy that leaves it out."""
    z, final = tree.variables[0], len(_GRID) - 1
    if (first, last) == (0, final):
        return f"for every {z}", "Write one that has values."
    below = "" if first == 0 else _edge(tree, test, first - 1, first)
    above = "" if last == final else _edge(tree, test, last + 1, last)
    if not below:
        return f"for {z} < {above}", f"Write where({z} > {above}, …, -1e9)."
    if not above:
        return f"for {z} > {below}", f"Write where({z} < {below}, …, -1e9)."
    if first == last:
        return f"at {z} = {_GRID[first]:.4g}", "Add a small number, such as abs(…) + 0.01, or use where."
    return f"for {z} between {below} and {above}", "Write where(…, …, -1e9) to leave it out."


def _edge(tree: Tree, test: Callable[[Tensor], Tensor], good: int, bad: int) -> str:
    """Where a stretch ends, between a point within and one without, to 4 digits."""
    ends = float(_GRID[good]), float(_GRID[bad])
    for _ in range(4):
        points = torch.linspace(*ends, 257, dtype=torch.float64)
        at = int(test(tree(points)).long().argmax())
        ends = float(points[at - 1]), float(points[at])
    return f"{round(ends[1], 9) + 0.0:.4g}"


_NO_VALUE = {
    "log": "is the log of a negative number", "log1p": "is the log of a negative number",
    "sqrt": "is the root of a negative number", "**": "is a broken power of a negative number", "/": "is 0/0",
}  # fmt: skip
TOO_LARGE = "is too large for a computer"
_INFINITE = {"log": "is the log of 0", "log1p": "is the log of 0", "gammaln": "has a pole"}


def blamed(node: Node, names: Mapping[str, Tensor]) -> tuple[Node, str]:
    """The innermost part that is not finite although all that it is made of is, and why."""
    if not isinstance(node, Apply):
        return node, TOO_LARGE
    op, parts = node.op, node.args
    if op == "where":
        parts = (parts[1] if value(parts[0], names) else parts[2],)
    values = [value(part, names) for part in parts]
    for wrong in (torch.isnan, torch.isinf):
        for part, its in zip(parts, values, strict=True):
            if wrong(its):
                return blamed(part, names)
    if value(node, names).isnan():
        return node, _NO_VALUE.get(op, "has no value")
    by_zero = (op == "/" and values[1] == 0) or (op == "**" and values[0] == 0)
    return node, "divides by 0" if by_zero else _INFINITE.get(op, TOO_LARGE)


def _check_peaks(tree: Tree, values: Tensor) -> None:
    """Look closer at the 20 highest peaks: one that stays as sharp under the glass has no top."""
    before, here, after = values[:-2], values[1:-1], values[2:]
    peaks = (here >= before) & (here >= after) & ((here > before) | (here > after))
    tops = torch.where(peaks, here, -math.inf).topk(20).indices
    left, right, sharp = _GRID[tops, None], _GRID[tops + 2, None], []
    for _ in range(10):
        points = left + (right - left) * torch.linspace(0, 1, 17, dtype=torch.float64)
        seen = tree(points).nan_to_num(-math.inf, math.inf, -math.inf)
        at = seen.argmax(-1, keepdim=True)  # max(-1) would wake all threads: 12 ms on a busy machine
        left, right = points.gather(1, (at - 1).clamp(min=0)), points.gather(1, (at + 1).clamp(max=16))
        ends = torch.maximum(seen[:, 0], seen[:, -1])
        sharp.append(seen.gather(1, at)[:, 0] - ends)  # nats above the window's ends
    early, late = sum(sharp[2:6]), sum(sharp[6:])  # logs stay as sharp, bounded cusps do not
    endless = (sharp[-1] > 5) | ((late > 0.08) & (late > 0.7 * early))
    if endless.any():
        z = f"{tree.variables[0]} = {float(left[endless][0, 0]):.4g}"
        raise FormulaError(
            f"The density rises without bound near {z}, or its peak is too narrow. "
            "Add a small number to what is divided by or taken the log of."
        )


def _check_tail(tree: Tree, side: float, peak: float) -> None:
    """Log density + 1.01 log|z| must fall, as far out as numbers reach."""
    highest = tree(side * _FAR).reshape(-1, 6).amax(-1)
    n = int(highest.isfinite().long().cumprod(0).sum())  # beyond, numbers overflow, or the density is 0
    if n < len(highest) and highest[n] == -math.inf and (n < 4 or _is_meant(tree, side * _FAR[6 * n])):
        return
    if n < 4:
        raise FormulaError(
            f"The formula has no finite value near {tree.variables[0]} = {side * 10:g}. Fill the hole."
        )
    m = min((n - 1) // 2, 16)
    late, early, first = highest[[n - 1, n - 1 - m, n - 1 - 2 * m]].tolist()
    slope, change = (late - early) / (m * _QUARTER), abs(late - 2 * early + first) / (m * _QUARTER)
    if late < peak - ZERO or slope <= (-1.01 if change < 3e-4 else -1.1):
        return
    z, end = tree.variables[0], "+infinity" if side > 0 else "-infinity"
    if slope > -1e-9 or late > highest[0] - 0.5:
        what = f"The density does not fall towards {z} = {end}, so its integral is infinite"
    elif change < 3e-4:
        what = f"The density falls too slowly towards {z} = {end}, so its integral is infinite"
    else:
        what = f"The formula could not be shown to be integrable towards {z} = {end}"
    raise FormulaError(f"{what}. Subtract something that grows there, such as 0.1*{z}**2.")


def _is_meant(tree: Tree, z: Tensor) -> bool:
    """Whether a density of 0 was typed, as log(0) within where, and does not come from overflow."""
    part, _ = blamed(tree.root, tree.names(z))
    return tree.variables[0] not in re.findall(r"\w+", text(part))
