"""A formula as LaTeX."""

from __future__ import annotations

import re

from lvmviz.formulas import FUNCTIONS, Apply, Name, Node, Number

_CASES, _SUM, _MINUS, _PRODUCT, _POWER, _ATOM = range(6)  # how tightly LaTeX binds
_COMMANDS = {
    "pi": r"\pi", "<": "<", "<=": r"\le", ">": ">", ">=": r"\ge", "abs": r"\left|#1\right|",
    "sqrt": r"\sqrt{#1}", "atan": r"\arctan\left(#1\right)", "gammaln": r"\log\Gamma\left(#1\right)",
    "sigmoid": r"\sigma\left(#1\right)", "maximum": r"\max\left(#1, #2\right)",
    "minimum": r"\min\left(#1, #2\right)", "sign": r"\operatorname{sign}\left(#1\right)",
    "softplus": r"\operatorname{softplus}\left(#1\right)",
    "where": r"\begin{cases} #2 & \text{if } #1 \\ #3 & \text{otherwise} \end{cases}",
}  # fmt: skip
_MEANT = {  # functions that are written as what they compute
    "square": lambda a: Apply("**", (a, Number("2"))),
    "log1p": lambda a: Apply("log", (Apply("+", (Number("1"), a)),)),
    "expm1": lambda a: Apply("-", (Apply("exp", (a,)), Number("1"))),
    "logaddexp": lambda a, b: Apply("log", (Apply("+", (Apply("exp", (a,)), Apply("exp", (b,)))),)),
}


def latex(node: Node, lowest: int = _CASES) -> str:
    """A node as LaTeX, without dollar signs; in brackets where it binds less than `lowest`."""
    written, level = _written(node)
    return rf"\left({written}\right)" if level < lowest else written


def _written(node: Node) -> tuple[str, int]:
    if isinstance(node, Name):
        return _COMMANDS.get(node.name, node.name), _ATOM
    if isinstance(node, Number):
        return _number(node.typed)
    if node.op in _MEANT:
        return _written(_MEANT[node.op](*node.args))
    if node.op in FUNCTIONS:
        return _function(node.op, [latex(arg) for arg in node.args])
    return _signed(node.op, node.args[0]) if len(node.args) == 1 else _operation(node.op, *node.args)


def _number(typed: str) -> tuple[str, int]:
    """1.5e-3 is 1.5 times a power of ten."""
    digits, _, exponent = typed.lower().partition("e")
    if not exponent:
        return digits, _ATOM
    power = f"10^{{{int(exponent)}}}"
    return (power, _POWER) if float(digits) == 1 else (rf"{digits} \cdot {power}", _PRODUCT)


def _function(name: str, args: list[str]) -> tuple[str, int]:
    written = _COMMANDS.get(name, rf"\{name}\left(#1\right)")
    for place, arg in enumerate(args, 1):
        written = written.replace(f"#{place}", arg)
    return written, {"where": _CASES, "abs": _ATOM}.get(name, _POWER)


def _signed(sign: str, a: Node) -> tuple[str, int]:
    return sign + latex(a, _PRODUCT), _MINUS


def _operation(op: str, a: Node, b: Node) -> tuple[str, int]:
    if op == "**":
        return f"{latex(a, _ATOM)}^{{{latex(b)}}}", _POWER
    if op == "/":
        return rf"\frac{{{latex(a)}}}{{{latex(b)}}}", _POWER
    if op != "*":
        return f"{latex(a, _SUM)} {_COMMANDS.get(op, op)} {latex(b, _PRODUCT)}", _SUM
    left, right = latex(a, _MINUS), latex(b, _POWER)
    apart = re.fullmatch(r"-?[\d.]+", left) and not re.match(r"\d|\.|\\frac", right)
    return left + (r"\," if apart else r" \cdot ") + right, _MINUS if left.startswith(
        ("-", "+")
    ) else _PRODUCT
