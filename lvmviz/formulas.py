"""Formulas that a person types, read safely and computed with torch.

A formula is checked sign by sign before Python's `ast` sees it, and `ast` only parses: nothing typed is ever
compiled or run. What comes out is a tree of three kinds of node; its numbers are tensors, never big integers.
Typographic signs are taken for what they mean: − – × · ⋅ ÷ ≤ ≥ π ^, and superscripts such as z² and z⁻¹.
"""

from __future__ import annotations

import ast
import difflib
import math
import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NoReturn

import torch
from torch import Tensor

MAX_CHARACTERS = 500
MAX_BRACKETS, MAX_SIGNS = 30, 8  # open at once, and + or - in a row: within the stack of Python's parser
MAX_DIGITS = 15  # of a whole number
MAX_DEPTH, MAX_NODES = 40, 300  # of the tree


class FormulaError(ValueError):
    """A formula that cannot be used; the message says what is wrong, where, and what to do."""


@dataclass(frozen=True, slots=True)
class Number:
    """A number as it was typed: "0.50" stays so."""

    typed: str


@dataclass(frozen=True, slots=True)
class Name:
    """A variable, or one of the constants pi and e."""

    name: str


@dataclass(frozen=True, slots=True)
class Apply:
    """An operator ("+" and "-" take one argument or two), a comparison or a function, and its arguments."""

    op: str
    args: tuple[Node, ...]


Node = Number | Name | Apply
CONSTANTS = {"pi": math.pi, "e": math.e}
OPERATORS: dict[str, Callable[..., Tensor]] = {
    "+": torch.add, "-": torch.sub, "*": torch.mul, "/": torch.div, "**": torch.pow,
    "<": torch.lt, "<=": torch.le, ">": torch.gt, ">=": torch.ge,
}  # fmt: skip
FUNCTIONS: dict[str, tuple[int, Callable[..., Tensor]]] = {  # how many arguments, and what is computed
    "abs": (1, torch.abs), "exp": (1, torch.exp), "expm1": (1, torch.expm1), "log": (1, torch.log),
    "log1p": (1, torch.log1p), "sqrt": (1, torch.sqrt), "square": (1, torch.square), "sign": (1, torch.sign),
    "sin": (1, torch.sin), "cos": (1, torch.cos), "tan": (1, torch.tan), "atan": (1, torch.atan),
    "sinh": (1, torch.sinh), "cosh": (1, torch.cosh), "tanh": (1, torch.tanh), "gammaln": (1, torch.lgamma),
    "sigmoid": (1, torch.sigmoid), "where": (3, torch.where),
    "softplus": (1, lambda a: torch.logaddexp(a, torch.zeros_like(a))),  # torch's is off by 2e-9 beyond 20
    "logaddexp": (2, torch.logaddexp), "maximum": (2, torch.maximum), "minimum": (2, torch.minimum),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Tree:
    """A formula that was read: call it with a tensor for each variable, `str()` writes it."""

    root: Node
    variables: tuple[str, ...]

    def __call__(self, *values: Tensor) -> Tensor:
        """The values, elementwise, in the shape the variables have together and their dtype; differentiable.

        Only the chosen side of where(condition, a, b) gets gradients, so a NaN on the other side stays there.
        The log or root of a negative number is NaN. Whole numbers are taken as float64.
        """
        spread = torch.broadcast_tensors(*values)
        return value(self.root, self.names(*spread)).expand_as(spread[0])

    def names(self, *values: Tensor) -> dict[str, Tensor]:
        """The tensor of each variable, and of pi and e."""
        real = [v if v.is_floating_point() else v.double() for v in values]
        names = {name: real[0].new_tensor(constant) for name, constant in CONSTANTS.items()}
        return names | dict(zip(self.variables, real, strict=True))

    def __str__(self) -> str:
        return text(self.root)


def value(node: Node, names: Mapping[str, Tensor]) -> Tensor:
    """What a node is worth where each name, pi and e among them, has a tensor."""
    if isinstance(node, Number):
        return names["pi"].new_tensor(float(node.typed))
    if isinstance(node, Name):
        return names[node.name]
    if node.op == "where":
        chosen = value(node.args[0], names)
        sides = value(node.args[1], _gated(names, chosen)), value(node.args[2], _gated(names, ~chosen))
        return torch.where(chosen, *sides)
    args = [value(arg, names) for arg in node.args]
    if len(args) == 1 and node.op in OPERATORS:
        return -args[0] if node.op == "-" else args[0]
    return (OPERATORS[node.op] if node.op in OPERATORS else FUNCTIONS[node.op][1])(*args)


def _gated(names: Mapping[str, Tensor], gate: Tensor) -> dict[str, Tensor]:
    """The same values, whose gradients pass only where the gate is true: 0 times NaN would still be NaN."""
    return {name: torch.where(gate, v, v.detach()) if v.requires_grad else v for name, v in names.items()}


_LEVELS = {"+": 1, "-": 1, "*": 2, "/": 2, "**": 4}  # how tightly Python binds; signs 3, comparisons 0


def text(node: Node, lowest: int = 0) -> str:
    """A node as it can be typed, in brackets where it binds less than `lowest`."""
    if not isinstance(node, Apply):
        return node.typed if isinstance(node, Number) else node.name
    if node.op in FUNCTIONS:
        return f"{node.op}({', '.join(map(text, node.args))})"
    if len(node.args) == 1:
        level, written = 3, node.op + text(node.args[0], 3)
    else:
        level = _LEVELS.get(node.op, 0)
        left, right = (5, 3) if node.op == "**" else (level, level + 1)
        sign = node.op if level > 1 else f" {node.op} "
        written = text(node.args[0], left) + sign + text(node.args[1], right)
    return f"({written})" if level < lowest else written


# ---- reading ----

_SUPERSCRIPTS = "⁰¹²³⁴⁵⁶⁷⁸⁹"
_PIECE = re.compile(rf"[⁺⁻]?[{_SUPERSCRIPTS}]+|.", re.DOTALL)
_LOWERED = str.maketrans(_SUPERSCRIPTS + "⁺⁻", "0123456789+-")
_PLAIN = {"−": "-", "–": "-", "×": "*", "·": "*", "⋅": "*", "÷": "/", "≤": "<=", "≥": ">=", "^": "**"}
_PLAIN |= {"π": " pi ", "\N{NO-BREAK SPACE}": " "}
_NUMBER, _SIGN = r"(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", r"\*\*|[<>]=?|[-+*(),]|/(?!/)"
_TOKEN = re.compile(
    rf" *(?:(?P<number>{_NUMBER})|(?P<name>[A-Za-z_]\w*)|(?P<sign>{_SIGN})|(?P<other>[=!]=|//|.))", re.ASCII
)
_OPS: dict[type[ast.AST], str] = {
    ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.Pow: "**", ast.UAdd: "+", ast.USub: "-",
    ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=",
}  # fmt: skip
_INSTEAD = {  # what people write: what it is here
    "ln": "log", "pow": "z**2", "power": "z**2", "max": "maximum", "min": "minimum", "fabs": "abs",
    "log10": "log(z)/log(10)", "log2": "log(z)/log(2)", "arctan": "atan", "lgamma": "gammaln", "sgn": "sign",
    "loggamma": "gammaln", "gamma": "exp(gammaln(z))", "factorial": "exp(gammaln(z + 1))", "expit": "sigmoid",
    "logistic": "sigmoid", "inf": "1e9", "nan": "-1e9", "and": "where", "or": "where", "if": "where",
}  # fmt: skip
_KEYBOARD = "Use letters, digits, round brackets, commas and + - * / ** alone, on one line."
_WHERE, _VALUES = "Write where(a > 0, b, c).", {1: "(a)", 2: "(a, b)", 3: "(a > 0, b, c)"}
_REMEDIES = {
    "|": "Write abs(z).", "!": "Write exp(gammaln(z + 1)) for z!.", "//": "Write / to divide.",
    "=": "Type the log density alone, without =.", "==": "Compare with < or >, within where(a > 0, b, c).",
    ".": "Write numbers such as 0.5, and functions without a dot, such as exp(z).",
}  # fmt: skip


def parse(expression: str, variables: tuple[str, ...] = ("z",)) -> Tree:
    """Read a formula of these variables; raises FormulaError for anything that is not one."""
    if not isinstance(expression, str):
        raise FormulaError(f"A formula is a text, not {type(expression).__name__}. Write one such as -z**2.")
    if len(expression) > MAX_CHARACTERS:
        raise FormulaError(f"The formula has {len(expression):,} characters. Shorten it to {MAX_CHARACTERS}.")
    return _Reader(expression, tuple(variables)).tree()


def quoted(words: str) -> str:
    """At most 20 characters of a formula, in quotation marks."""
    return f"“{words}”" if len(words) <= 20 else f"“{words[:19]}…”"


class _Reader:
    """One formula from text to tree: token by token, so that ast meets no mistake in its grammar."""

    def __init__(self, expression: str, variables: tuple[str, ...]) -> None:
        self.variables, self.known = variables, (*variables, *CONSTANTS, *FUNCTIONS)
        self.columns: list[int] = []  # where each character of `text` was typed, from 1
        self.text = "".join(map(self._plain, _PIECE.finditer(expression))).rstrip(" ")
        blank = len(self.text) - len(self.text.lstrip(" "))  # ast takes it for an indented block
        self.text, self.columns = self.text[blank:], [*self.columns[blank:], len(expression) + 1]
        self.open: list[tuple[int, str]] = []  # brackets: where, and the function they belong to
        self.before, self.complete = "", False  # the last token, and whether it ended a value
        self.signs = self.nodes = 0

    def tree(self) -> Tree:
        if not self.text:
            raise FormulaError("The formula is empty. Write a log density such as -z**2/2.")
        for token in _TOKEN.finditer(self.text):
            kind = str(token.lastgroup)
            self._token(kind, token[kind], token.start(kind))
        if not self.complete:
            self._fail(-1, "the formula stops too early", f"Write a value after {quoted(self.before)}.")
        if self.open:
            self._fail(self.open[-1][0], "a bracket is opened and never closed", "Add the missing “)”.")
        try:
            body = ast.parse(self.text, "<formula>", "eval").body
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            raise FormulaError(f"The formula {quoted(self.text)} could not be read. Simplify it.") from None
        return Tree(self._node(body, 1), self.variables)

    def _fail(self, at: int, what: str, remedy: str) -> NoReturn:
        raise FormulaError(f"In column {self.columns[at]}, {what}. {remedy}")

    def _plain(self, piece: re.Match[str]) -> str:
        """A piece in ASCII; superscripts get brackets, so that z²3 stays the mistake it is."""
        sign = piece[0]
        plain = f"**({sign.translate(_LOWERED)})" if sign[-1] in _SUPERSCRIPTS else _PLAIN.get(sign, sign)
        self.columns += [piece.start() + 1] * len(plain)
        if not (plain.isascii() and plain.isprintable()):
            name = unicodedata.name(sign, "control character" if ord(sign) < 160 else "no name")
            self._fail(-1, f"U+{ord(sign):04X} ({name}) is no sign of a formula", _KEYBOARD)
        return plain

    def _token(self, kind: str, word: str, at: int) -> None:
        if kind == "other":
            self._fail(at, f"{quoted(word)} is no sign of a formula", _REMEDIES.get(word, _KEYBOARD))
        if kind == "name" and word not in self.known:
            self._fail(at, f"{quoted(word)} is not known", self._suggestion(word))
        (self._after_value if self.complete else self._before_value)(kind, word, at)
        self.signs = self.signs + 1 if word in ("+", "-") else 0
        if self.signs > MAX_SIGNS:
            self._fail(at, "too many signs follow each other", "Keep one of them.")
        self.before = word

    def _before_value(self, kind: str, word: str, at: int) -> None:
        if self.before in FUNCTIONS and word != "(":
            self._fail(at, f"a bracket is missing after {self.before}", f"Write {self.before}(…).")
        if kind == "number":
            self._number(word, at)
        elif word == "(":
            self.open.append((at, self.before if self.before in FUNCTIONS else ""))
            if len(self.open) > MAX_BRACKETS:
                self._fail(at, f"more than {MAX_BRACKETS} brackets are open", "Nest fewer of them.")
        elif kind == "sign" and word not in ("+", "-"):
            between = f"between {quoted(self.before)} and" if self.before else "before"
            self._fail(at, f"a value is missing {between} {quoted(word)}", "Write a number or a name there.")
        self.complete = kind == "number" or (kind == "name" and word not in FUNCTIONS)

    def _after_value(self, kind: str, word: str, at: int) -> None:
        if kind != "sign" or word == "(":
            product = f"{'(…)' if self.before == ')' else self.before}*{'(…)' if word == '(' else word}"
            self._fail(at, f"a sign is missing before {quoted(word)}", f"To multiply, write {product}.")
        if word == "," and not (self.open and self.open[-1][1]):
            self._fail(at, "a comma stands outside a function", "Write decimals with a point, such as 0.5.")
        self.complete = word == ")"
        if self.complete and not self.open:
            self._fail(at, "a bracket is closed that was never opened", "Remove it, or add a “(”.")
        if self.complete:
            self.open.pop()

    def _number(self, word: str, at: int) -> None:
        if word.isdigit() and (len(word) > MAX_DIGITS or word != str(int(word))):
            self._fail(at, f"{quoted(word)} has too many digits", "Write it shorter, such as 1e20.")
        if not math.isfinite(float(word)):
            self._fail(at, f"the number {quoted(word)} is too large", "The largest is about 1.8e308.")

    def _suggestion(self, word: str) -> str:
        variable = "|".join(self.variables)
        meant = _INSTEAD.get(word.lower(), "").replace("z", self.variables[0])
        if power := re.fullmatch(rf"({variable})_?(\d{{1,2}})", word):
            meant = f"{power[1]}**{power[2]}"
        elif taken := re.fullmatch(rf"({'|'.join(FUNCTIONS)})({variable})", word):
            meant = f"{taken[1]}({taken[2]})"
        elif product := re.fullmatch(rf"({variable}|pi|e)({variable}|pi|e)", word):
            meant = f"{product[1]}*{product[2]}"
        meant = meant or next(iter(difflib.get_close_matches(word.lower(), self.known, 1)), "")
        others = f"Use {', '.join(self.variables)}, pi, e and functions such as exp, log, abs and where."
        return f"Write {meant} instead." if meant else others

    def _node(self, node: ast.AST, depth: int) -> Node:
        self.nodes += 1
        if depth > MAX_DEPTH or self.nodes > MAX_NODES:
            raise FormulaError(f"The formula {quoted(self.text)} has too many parts. Write or nest fewer.")
        match node:
            case ast.Constant(value=int() | float(), col_offset=start, end_col_offset=end):
                return Number(self.text[start:end])
            case ast.Name(id=name) if name in self.known and name not in FUNCTIONS:
                return Name(name)
            case ast.UnaryOp(op=op, operand=a) if type(op) in _OPS:
                return Apply(_OPS[type(op)], self._nodes(depth, a))
            case ast.BinOp(left=a, op=op, right=b) if type(op) in _OPS:
                return Apply(_OPS[type(op)], self._nodes(depth, a, b))
            case ast.Call(func=ast.Name(id=name), args=args, keywords=[]) if name in FUNCTIONS:
                return self._call(name, args, depth, node.col_offset)
            case ast.Compare(col_offset=at):
                self._fail(at, "a comparison stands outside where", _WHERE)
        raise FormulaError(f"The formula {quoted(self.text)} could not be read. Simplify it.")

    def _nodes(self, depth: int, *nodes: ast.AST) -> tuple[Node, ...]:
        return tuple(self._node(node, depth + 1) for node in nodes)

    def _call(self, name: str, args: list[ast.expr], depth: int, at: int) -> Apply:
        if len(args) != FUNCTIONS[name][0]:
            self._fail(
                at, f"{name} has the wrong number of values", f"Write {name}{_VALUES[FUNCTIONS[name][0]]}."
            )
        if name == "where":
            return Apply(name, (self._condition(args[0], depth + 1), *self._nodes(depth, *args[1:])))
        return Apply(name, self._nodes(depth, *args))

    def _condition(self, node: ast.expr, depth: int) -> Node:
        match node:
            case ast.Compare(left=a, ops=[op], comparators=[b]) if type(op) in _OPS:
                return Apply(_OPS[type(op)], self._nodes(depth, a, b))
            case ast.Compare(col_offset=at):
                self._fail(at, "several comparisons follow each other", "Put one where inside another.")
        self._fail(node.col_offset, "where needs a comparison first", _WHERE)
