# ruff: noqa: E501 (the tables are easier to read wide)
"""Formulas that people type: hostile ones are refused with a sentence, good ones mean what mathematics means."""

import json
import math
import pickle
import re
import subprocess
import sys
import time
from pathlib import Path

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import assume, given

from lvmviz.core import canonical, from_json
from lvmviz.formula_latex import latex
from lvmviz.formula_targets import Formula, check, density
from lvmviz.formulas import (
    CONSTANTS,
    FUNCTIONS,
    MAX_DEPTH,
    MAX_NODES,
    Apply,
    FormulaError,
    Name,
    Number,
    Tree,
    parse,
    text,
    value,
)
from lvmviz.targets import Target
from tests.contracts.about import about

ROOT = Path(__file__).parents[1]
POINTS = [-3.7, -1.0, -0.25, 0.3, 1.0, 2.5, 8.0]

# ---- what is refused while reading, by category ----

INVISIBLE = [
    0xAD,
    0x34F,
    0x180E,
    *range(0x200B, 0x2010),
    *range(0x202A, 0x202F),
    *range(0x2060, 0x2065),
    0x2066,
    0x2069,
    0xFEFF,
]
CONTROLS = [*range(0, 32), 0x7F, 0x85, 0x9B]
BROKEN: dict[str, list[object]] = {
    "no text": [None, 3, 1.5, b"z", ["z"], ("z",), {"z": 1}, ..., math.nan, True, np.float64(1), np.array(["z"])],
    "empty": ["", " ", "     ", " " * 500, "\N{NO-BREAK SPACE}", "()", "(())", "( )", "abs()", "where()", "()()"],
    "imports": [
        "__import__('os')", '__import__("os").system("ls")', "__import__(z)", "import os", "from os import system",
        "importlib", "os.system('ls')", "os", "sys.exit()", "subprocess", "exec('z')", "eval('z')", "exec(z)", "eval(z)",
        "compile(z)", "open('/etc/passwd')", "open(z)", "globals()", "locals()", "vars()", "dir()", "input()", "print(z)",
        "breakpoint()", "help()", "quit()", "exit(0)", "getattr(z, 'real')", "setattr(z)", "delattr(z)", "type(z)",
        "object()", "memoryview(z)", "bytearray(10**9)", "torch.save(z)", "torch", "np.load('x')", "math.pi", "builtins",
    ],
    "attributes": [
        "z.real", "z.__class__", "().__class__.__bases__[0].__subclasses__()", "z.__class__.__mro__", "(1).__class__",
        "1..__class__", "z.grad_fn", "z.data", "z.numpy()", "abs.__globals__", "exp.__self__", "exp.__call__(z)",
        "where.__code__", "pi.__doc__", "e.real", "z.backward()", "z._", "z . real", "(z).T", "__class__", "__builtins__",
        "__name__", "__file__", "__doc__", "_", "__", "z.__reduce__", "{}.get", "[].append", "''.join", "1.0.real",
    ],
    "calls of calls": [
        "exp(z)(z)", "exp()(z)", "(exp)(z)", "abs(abs)(z)", "abs(exp)", "exp(exp)", "z(z)", "z()", "pi(2)", "e(1)", "2(z)",
        "(z)(z)", "(z)z", "(lambda: z)()", "exp(*z)", "exp(**z)", "exp(z=1)", "exp(x=z)", "exp(z, z)", "exp(z,)", "exp(,)",
        "exp(,z)", "exp((z, z))", "maximum(z)", "maximum(z, z, z)", "maximum(*z)", "logaddexp()", "where(z)", "minimum((z, z))",
        "where(z > 0, 1)", "where(z > 0, 1, 2, 3)", "exp", "exp + 1", "log", "log z", "log - z", "sqrt*z", "exp exp(z)",
        "exp,", "exp)", "abs[z]", "abs{z}", "exp 2(z)", "sin^2(z)", "sin²(z)", "log_2(z)", "exp(z) where", "where z",
    ],
    "syntax of Python": [
        "lambda: 1", "lambda z: z", "z if z else 1", "z if z > 0 else 1", "[z]", "[z for z in z]", "(z for z in z)", "{z}", "{z: 1}",
        "{}", "[]", "z[0]", "z[:, 0]", "z[z]", "z := 1", "(z := 1)", "z = 1", "z == 1", "z != 1", "z; z", "z: float", "*z", "**z",
        "*z, z", "await z", "yield z", "yield", "async", "return z", "del z", "pass", "not z", "z and z", "z or z", "z in z", "z is z",
        "None", "True", "False", "Ellipsis", "...", "z @ z", "z % 2", "z // 2", "z & 1", "z | 1", "~z", "z << 1", "z >> 1", "z ? 1 : 2",
        "!z", "z!", "z -> z", "@z", "z # comment", "#", "z \\", "\\", "$z$", "`z`", "z, z", "(z, z)", "z,", ",", ";", ":", ".", "z..z",
    ],
    "texts": [
        "'z'", '"z"', "'''z'''", "b'z'", "r'z'", "u'z'", "f'{z}'", "f'{__import__(\"os\")}'", 'f"{z!r:>{10**9}}"', "'%s' % z",
        "'{}'.format(z)", "'{0.__class__}'.format(z)", "'a' * 10**9", '"', "'", "'z", 'z"', "%s", "{z}", "{0}", "{{z}}", "${z}", "%(z)s",
        "<script>alert(1)</script>", "<z>", "&lt;", "z; DROP TABLE runs", "../../etc/passwd", "C:\\z", "http://z", "=1+1", "@SUM(z)",
    ],
    "numbers": [
        "1e999", "-1e999", "1e309", "1" * 500, "1" * 16, "9" * 17, "007", "01", "00", "-007*z", "1_000", "0x10", "0b1", "0o7", "0xz",
        "1j", "2J", "z*1j", "1e", "1e+", "1e-z", "e5", "1.2.3", "1..2", "1.e", "..5", ".", "1e5e5", "1e1.5", "0,5*z", "1,000", "1 000",
        "12 34", "inf", "nan", "-inf", "Infinity", "NaN", "1L", "1f", "1.5d0", "5%", "1'000", "0x", "1__0", "١", "1e9999999999999999",
    ],
    "missing signs": [
        "2z", "2 z", "z2", "z 2", "z z", "zz", "zzz", "2(z)", "(z)2", "(z)(z)", "z(z + 1)", "2exp(z)", "2 exp(z)", "exp(z)exp(z)",
        "exp(z) 2", "pi z", "piz", "zpi", "2pi", "2π", "πz", "z²3", "z² z", "²z", "²", "e z", "ez", "3e z", "sinz", "sqrtz", "log2z", "z_2",
        "z1", "z10", "x", "y", "X", "Z", "PI", "Exp(z)", "ABS(z)", "ln(z)", "log10(z)", "log2(z)", "pow(z, 2)", "max(z, 1)", "min(z, 1)",
        "arctan(z)", "lgamma(z)", "gamma(z)", "factorial(z)", "norm(z)", "erf(z)", "sgn(z)", "theta", "mu", "sigma", "zeta(z)", "|z|",
        "|z - 7|", "5!", "z'", "z+", "z-", "z*", "z/", "z**", "z^", "*z", "/z", "^z", "z*/2", "z**/2", "z***2", "z+*2", "z^^2", "z^*2",
        "z--", "z++", "+", "-", "*", "/", "**", "^", "z^ ^2", "z* *2*", "(", ")", "(z", "z)", "((z)", "(z))", ")z(", "exp(z", "exp z)", "exp(z))",
        "where(z > 0, 1, 2", "(z]", "[z)", "z}", "(z + (2 * z)", "abs(z - 7**1.5",
    ],
    "comparisons": [
        "z > 0", "(z > 0)", "z < 1", "z <= 1", "z >= 1", "0 < z < 1", "-(z > 0)", "(z > 0)*z", "exp(z > 0)", "where(0 < z < 1, 1, 2)",
        "where(z, 1, 2)", "where(1, z, 2)", "where(z + 1, 1, 2)", "where(z == 0, 1, 2)", "where(z != 0, 1, 2)", "where(z = 0, 1, 2)",
        "where(z > 0, z > 1, 2)", "where((z > 0) > 0, 1, 2)", "where(where(z > 0, 1, 2), 1, 2)", "where(not z, 1, 2)", "where(z > 0 and z < 1, 1, 2)",
        "where(z <> 0, 1, 2)", "where(z => 0, 1, 2)", "where(z =< 0, 1, 2)", "where(z <, 1, 2)", "where(> 0, 1, 2)", "where(z < > 0, 1, 2)",
        "where(-(z > 0), 1, 2)", "where(z > 0; 1; 2)", "z ≤ 1", "0 ≤ z ≤ 1", "z <=> 1", "z << 1", "maximum(z > 0, 1)", "z > 0 > z", "<", ">=",
    ],
    "unicode": [
        "ｚ", "𝑧", "𝐳", "𝗓", "ᴢ", "ż", "ζ", "ʐ", "ⱬ", "ꮓ", "z\u0301", "z\u0338", "ｅｘｐ(z)", "еxp(z)", "ехр(z)", "ℯ**z", "ℼ", "Π", "∏", "３*z", "٣*z", "३*z",
        "𝟑*z", "①", "½*z", "Ⅷ", "∞", "−∞", "√z", "∛z", "z′", "∫z", "Σz", "‖z‖", "∣z∣", "｜z｜", "z＋1", "z－1", "z＊2", "z／2", "（z）", "z＾2", "z‒1", "z—1", "z∙2", "z∗2",
        "z\u2003+1", "z\u3000+1", "z\u2028", "z\u2029", "\u1680z", "µ", "ª", "zª", "z₂", "z⁺", "z⁻", "⁻", "ᶻ", "2ᶻ", "ⁿ", "z\ud800", "\udfff", "\U000e007a", "\U0010ffff", "\uffff",
        "😀", "z😀", "ʼ", "“z”", "‘z’", "«z»", "…", "z…", "№", "°", "z°", "±z", "≠", "≈", "∈", "→", "∂z", "ﬁ", "ß", "İ", "ǆ", "﷽",
        *[f"z{chr(code)}" for code in INVISIBLE], *[f"{chr(code)}-z*z" for code in INVISIBLE], *[f"-z*{chr(code)}z" for code in CONTROLS],
    ],
    "nesting": [
        "(" * 31 + "z" + ")" * 31, "(" * 100 + "z" + ")" * 100, "(" * 249 + "z" + ")" * 249, "(" * 500, ")" * 500, "(" * 250 + ")" * 250,
        "exp(" * 31 + "z" + ")" * 31, "abs(" * 100, "abs(" * 90 + "z" + ")" * 90, "[" * 500, "{" * 500, "{" * 250 + "}" * 250, "-" * 500,
        "+" * 499 + "z", "-" * 9 + "z", "+-" * 200 + "z", "- " * 240 + "z", "z--" + "-" * 300 + "z", "~" * 400 + "z", "not " * 100 + "z",
        "z" + "+z" * 200, "z" + "*z" * 200, "z" + "-z" * 45, "z" + "**z" * 100, "z" + "^z" * 200, "2" + "^-2" * 160, "9**" * 160 + "9", "z" + "²" * 400 + "z",
        "z" + " ²" * 200, "z" + "**-z" * 90, "lambda:" * 60 + "z", "z if z else " * 40 + "z", "where(z>0," * 29 + "z" + ",1)" * 29 + "+" * 10,
        "((((z*" * 7 + "z" + "))))" * 7 + ")" * 3, "z,(" * 30, "exp(z+" * 30 + "z z" + ")" * 30, "(z+" * 30 + "z!" + ")" * 30, "+".join(["z*z"] * 80),
        "maximum(z," * 30 + "z" + ")" * 29, "f(" * 30 + "z" + ")" * 30, "z" * 500, "e" * 500, "exp" * 160, "z " * 250, "." * 500, "1." * 250, "_" * 500,
    ],
    "bombs": [
        "(" * 10**6, "-" * 10**6, "1" * 10**6, "9**" * 10**6 + "9", "z" * 10**7, " " * 10**7, "\0" * 10**7, "é" * 10**6, "z+" * 10**6 + "z", "'" * 10**6,
        "z" + "+z" * 250, "[" * 10**6, "\\" * 10**6, "{" * 10**6, "1e" * 10**6, "²" * 10**6, "\u200b" * 10**6, "a" * 501, "z\n" * 10**6, "#" * 10**6,
    ],
}  # fmt: skip

# ---- what can be read and is no log density: a phrase that the sentence must hold ----

MEANINGLESS: dict[str, dict[str, str]] = {
    "constant": {
        "3": "is 3 for every z", "-2.5": "is -2.5", "pi": "is 3.14159", "e": "is 2.718", "z - z": "is 0 for every z", "0*z": "is 0",
        "z**0": "is 1", "sign(z)**2*0": "is 0", "where(z > 0, 1, 1)": "is 1", "minimum(1, 2)": "is 1", "1e-300": "is 1e-300",
        "sin(0)": "is 0", "2**10": "is 1024", "--3": "is 3", "exp(0)*7": "is 7",
    },
    "infinite everywhere": {
        "9**9**9": "“9**9**9” is too large", "9**9**9**9**9": "for every z", "2**(2**(2**(2**(2**2))))": "too large", "1e308*10": "too large",
        "1/0": "“1/0” divides by 0", "z*0 + 1/0": "divides by 0", "exp(1000)": "too large", "-log(0)": "log of 0", "0**-1": "divides by 0",
        "gammaln(0)": "pole", "999999999999999**999999999999999": "too large", "10**10**10": "too large", "1e300**2 - z**2": "for every z",
    },
    "zero everywhere": {
        "-1/0": "zero wherever", "log(0)": "zero wherever", "-9**9**9": "zero wherever", "-exp(1000) + z": "zero wherever",
        "log(0) - z**2": "zero wherever", "where(z > 0, log(0), -1/0)": "zero wherever",
    },
    "no value anywhere": {
        "log(-1)": "for every z", "sqrt(-1)": "root of a negative", "(-1)**0.5": "broken power", "0/0": "“0/0” is 0/0", "log(-1)*z": "“log(-1)”",
        "1/0 - 1/0": "divides by 0", "log(-abs(z) - 1)": "log of a negative", "sqrt(-1 - z**2)": "for every z",
    },
    "no value on a part": {
        "log(z)": "for z < 0, as “log(z)” is the log of a negative number. Write where(z > 0, …, -1e9).",
        "log(z) - z": "for z < 0", "log(-z) + z": "for z > 0", "log(z - 2) - z**2": "Write where(z > 2, …, -1e9).", "log(0.3 - z) - z**2": "for z > 0.3,",
        "sqrt(z) - z**2": "root of a negative number", "sqrt(1 - z**2)": "for z < -1, among others", "log1p(z) - z**2": "for z < -1,",
        "-z**1.5": "broken power of a negative number", "-z**0.5": "for z < 0", "z**z - z**4": "broken power", "log(abs(z) - 1) - z**2": "for z between -1 and 1",
        "log(z**2 - 4) - z**2": "between -2 and 2", "sin(z)/z - z**2": "at z = 0, as “sin(z)/z” is 0/0", "z*log(abs(z)) - z**2": "at z = 0",
        "where(z > 0, -z, log(z))": "for z < 0", "where(z > 0, sqrt(z), log(z)) - z**2": "as “log(z)” is the log", "log(tanh(z)) - z**2": "for z < 0", "log(sin(z)) - z**2": "log of a negative", "-sqrt(z + 3) - z**2": "for z < -3,",
        "where(abs(z - 2) < 0.5, log(-1), -z**2)": "for z between 1.5 and 2.5", "exp(z) - exp(2*z)": "for z > 709.8", "log(exp(z)/(1 + exp(z))) - z**2": "softplus",
    },
    "infinite on a part": {
        "1/z": "at z = 0, as “1/z” divides by 0", "1/z - z**2": "divides by 0", "1/abs(z) - z**2": "at z = 0", "z**-2 - z**2": "divides by 0", "-log(abs(z)) - z**2": "log of 0",
        "1/(z - 2) - z**2": "at z = 2", "gammaln(z) - z**2": "pole", "exp(z**2)": "for z < -26.64, among others", "exp(z) - z**2": "for z > 709.8", "exp(exp(z))": "too large",
        "cosh(z)": "too large", "log(cosh(z)) - z**2": "“cosh(z)” is too large", "z**60": "too large", "sinh(z)": "for z > 709.8",
    },
    "no top": {
        "1/(z - 0.1) - z**2": "without bound near z = 0.1,", "-log(abs(z - 0.1)) - z**2": "near z = 0.1,", "tan(z) - z**2": "without bound near z = ",
        "1/(z + pi)**2 - z**2": "near z = -3.142", "-1/(z**2 - 1) - z**2": "near z = 1,", "-0.5*log(abs(z - 0.7)) - abs(z)": "near z = 0.7,", "-2*log(abs(z**2 - 2)) - z**4": "without bound", "-0.1*log(abs(z - 0.1)) - abs(z)": "near z = 0.1,", "-log(abs(z - 0.3)) - z**2": "near z = 0.3,", "-log(abs(z - 60.00000000000001)) - z**2": "near z = 60,",
        "-log(abs(z - 1/3)) - z**2": "near z = 0.3333,", "1/abs(z - 0.3) - z**2": "near z = 0.3,",
    },
    "not integrable": {
        "z": "does not fall towards z = +infinity", "-z": "towards z = -infinity", "z**2": "+infinity", "abs(z)": "does not fall", "z**3": "+infinity", "-z**3": "-infinity",
        "-exp(z)": "does not fall towards z = -infinity", "-exp(-z)": "+infinity", "sin(z)": "does not fall", "cos(z) - 3": "does not fall", "tanh(z)": "does not fall", "-tanh(z)**2": "does not fall",
        "atan(z)": "does not fall", "sigmoid(z)": "does not fall", "-softplus(z)": "-infinity", "sign(z)": "does not fall", "-log(1 + abs(z))": "falls too slowly",
        "-0.5*log(1 + z**2)": "falls too slowly", "-0.4*log(1 + z**2)": "falls too slowly", "-0.99*log(1 + abs(z))": "falls too slowly", "-log(1 + abs(z)) - log(log(3 + abs(z)))": "could not be shown",
        "-abs(z)**0.01": "could not be shown", "-log(2 + log(1 + abs(z)))": "could not be shown", "-0.001*log(1 + exp(abs(z)))": "could not be shown", "-800*tanh(abs(z))": "does not fall",
        "where(z > 0, -z, 0)": "-infinity", "where(z > 0, 0, -z**2)": "+infinity", "where(z > 0, -z, -5)": "-infinity", "maximum(-z**2, -3)": "does not fall", "-1/(1 + z**2)": "does not fall",
        "-maximum(z, 0)": "-infinity", "logaddexp(z, -z)": "does not fall", "square(z)": "+infinity", "where(abs(z) < 1000, 0, -5)": "does not fall", "minimum(z, 3)": "does not fall",
    },
}  # fmt: skip
SILLY = [(kind, formula) for kind, table in MEANINGLESS.items() for formula in table]
HOSTILE = [(kind, formula) for kind, formulas in BROKEN.items() for formula in formulas]


def sentence(refuse, *args) -> str:
    """The message of the FormulaError that a call raises, fit for a person's eyes, within a second of work."""
    start = time.process_time()  # the machine may be busy
    with pytest.raises(FormulaError) as error:
        refuse(*args)
    assert time.process_time() - start < 1.0
    said = str(error.value)
    assert 10 <= len(said) <= 300 and said.endswith(".") and said[0].isupper(), said
    assert said.isprintable() and all(ord(c) < 128 or c in "“”…" for c in said), (
        "typed signs are named, not repeated"
    )
    return said


def test_the_tables_are_long():
    assert len({repr(case) for case in HOSTILE + SILLY}) == len(HOSTILE + SILLY) >= 300
    assert len(GOOD) >= 60 and len({formula for formula, _ in GOOD}) == len(GOOD)


@pytest.mark.parametrize("kind", BROKEN)
def test_broken_formulas_are_refused_while_reading(kind):
    for formula in BROKEN[kind]:
        with about(repr(formula)):
            sentence(parse, formula)


@pytest.mark.parametrize("kind", MEANINGLESS)
def test_meaningless_formulas_are_refused_with_the_reason(kind):
    for formula, reason in MEANINGLESS[kind].items():
        with about(repr(formula)):
            tree = parse(formula)
            assert reason in sentence(check, tree)
            assert sentence(lambda typed=formula: Formula(expression=typed)) == sentence(check, tree)


SAID = [
    ("ln(z)", "In column 1, “ln” is not known. Write log instead."),
    ("2*z2", "In column 3, “z2” is not known. Write z**2 instead."),
    ("  2z", "In column 4, a sign is missing before “z”. To multiply, write 2*z."),
    ("z²3", "In column 3, a sign is missing before “3”. To multiply, write (…)*3."),
    ("z² + q", "In column 6, “q” is not known. Use z, pi, e and functions such as exp, log, abs and where."),
    ("πz", "In column 2, a sign is missing before “z”. To multiply, write pi*z."),
    ("-(z + 1", "In column 2, a bracket is opened and never closed. Add the missing “)”."),
    ("z + 1)", "In column 6, a bracket is closed that was never opened. Remove it, or add a “(”."),
    ("0,5*z", "In column 2, a comma stands outside a function. Write decimals with a point, such as 0.5."),
    ("exp((z, 1))", "In column 7, a comma stands outside a function. Write decimals with a point, such as 0.5."),
    ("|z|", "In column 1, “|” is no sign of a formula. Write abs(z)."),
    ("sqrtz", "In column 1, “sqrtz” is not known. Write sqrt(z) instead."),
    ("zz", "In column 1, “zz” is not known. Write z*z instead."),
    ("ABS(z)", "In column 1, “ABS” is not known. Write abs instead."),
    ("sgimoid(z)", "In column 1, “sgimoid” is not known. Write sigmoid instead."),
    ("log z", "In column 5, a bracket is missing after log. Write log(…)."),
    ("z +", "In column 4, the formula stops too early. Write a value after “+”."),
    ("z*/2", "In column 3, a value is missing between “*” and “/”. Write a number or a name there."),
    ("maximum(z)", "In column 1, maximum has the wrong number of values. Write maximum(a, b)."),
    ("where(z, 1, 2)", "In column 7, where needs a comparison first. Write where(a > 0, b, c)."),
    ("where(0 < z < 1, 1, 2)", "In column 7, several comparisons follow each other. Put one where inside another."),
    ("1 + (z > 0)", "In column 6, a comparison stands outside where. Write where(a > 0, b, c)."),
    ("averyveryverylongname", "In column 1, “averyveryverylongna…” is not known. "),
    ("-ｚ", "In column 2, U+FF5A (FULLWIDTH LATIN SMALL LETTER Z) is no sign of a formula. "),
    ("z\n", "In column 2, U+000A (control character) is no sign of a formula. "),
    ("z" * 501, "The formula has 501 characters. Shorten it to 500."),
    (7, "A formula is a text, not int. Write one such as -z**2."),
]  # fmt: skip


def test_the_sentence_says_what_where_and_what_to_do():
    for formula, said in SAID:
        with about(repr(formula)):
            assert sentence(parse, formula).startswith(said)


def test_the_limits_are_where_they_say():
    assert parse("(" * 30 + "z" + ")" * 30).root == Name("z")
    assert parse("-" * 8 + "z")(torch.tensor(2.0)) == 2.0
    assert parse("9" * 15).root == Number("9" * 15)
    assert len(str(parse("z" + " " * 499))) == 1
    deepest = "z" + "+z" * (MAX_DEPTH - 1)
    assert str(parse(deepest)) == " + ".join("z" * MAX_DEPTH)
    assert "too many parts" in sentence(parse, deepest + "+z")
    pairs = [f"({'+'.join(['z'] * 15)})"] * 10  # 10 * 29 nodes and 9 signs
    assert MAX_NODES == 300 and parse("+".join(pairs))
    assert "too many parts" in sentence(parse, "+".join(pairs) + "+z")


def test_nothing_typed_is_run():
    """Python's own audit: reading and checking only ever parse, and import, open, compile and run nothing."""
    script = """
import sys
sys.path.insert(0, "tests")
from lvmviz.formula_targets import check
from lvmviz.formulas import FormulaError, parse
import test_formulas as table
formulas = [f for _, f in table.HOSTILE if isinstance(f, str)] + [f for _, f in table.SILLY] + [f for f, _ in table.GOOD]
seen, on = set(), False
def hook(event, args):
    if on and event not in ("object.__getattr__", "sys._getframe", "builtins.id"):
        seen.add((event, str(args[1])) if event == "compile" else (event, ""))
def run():
    for formula in formulas:
        try:
            check(parse(formula))
        except FormulaError:
            pass
run()
sys.addaudithook(hook)
on = True
run()
on = False
print(sorted(seen))
on = True
eval("1")
on = False
print(sorted(event for event, _ in seen))
"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        env={"PYTHONPATH": ".", "PATH": "", "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    first, second = done.stdout.splitlines()
    assert first == "[('compile', '<formula>')]"
    assert "exec" in second  # the hook hears what it should hear


# ---- what is read means what mathematics means ----


def normal_pdf(z: float, mean: float, sd: float) -> float:
    return math.exp(-((z - mean) ** 2) / (2 * sd * sd)) / (sd * math.sqrt(2 * math.pi))


def sigma(z: float) -> float:
    return 1 / (1 + math.exp(-z))


GOOD = [
    ("z", lambda z: z), ("-z", lambda z: -z), ("+z", lambda z: z), ("--z", lambda z: z), ("-+-z", lambda z: z), ("z - -z", lambda z: 2 * z),
    ("1 - 2 - 3*z", lambda z: -1 - 3 * z), ("8/4/2*z", lambda z: z), ("8/(4/2)*z", lambda z: 4 * z), ("2*z/4", lambda z: z / 2), ("2/4*z", lambda z: z / 2),
    ("z**2", lambda z: z * z), ("-z**2", lambda z: -(z * z)), ("(-z)**2", lambda z: z * z), ("2**3**2 + z", lambda z: 512 + z), ("(2**3)**2 + z", lambda z: 64 + z),
    ("2**-z", lambda z: 2.0**-z), ("-2**-z", lambda z: -(2.0**-z)), ("z**-2", lambda z: 1 / (z * z)), ("z^2", lambda z: z * z), ("z^-1", lambda z: 1 / z), ("-z^2^2", lambda z: -(z**4)),
    ("z²", lambda z: z * z), ("z⁻²", lambda z: 1 / (z * z)), ("2^z²", lambda z: 2 ** (z * z)), ("z¹²", lambda z: z**12), ("(z − 1)²·3", lambda z: 3 * (z - 1) ** 2),
    ("3×z÷4", lambda z: 0.75 * z), ("2⋅z–1", lambda z: 2 * z - 1), ("π*z", lambda z: math.pi * z), ("2*pi*z", lambda z: 2 * math.pi * z), ("e**z", math.exp), ("e^-z", lambda z: math.exp(-z)), ("π²", lambda z: math.pi**2),
    ("1e3*z", lambda z: 1000 * z), ("1.5E-2 * z", lambda z: 0.015 * z), (".5*z", lambda z: 0.5 * z), ("2.*z", lambda z: 2 * z), ("0.1 + 0.2 + z", lambda z: 0.1 + 0.2 + z), ("0*z + 1e308", lambda z: 1e308), ("1e-320*z", lambda z: 1e-320 * z),
    ("  z  +  1  ", lambda z: z + 1), ("z\N{NO-BREAK SPACE}+ 1", lambda z: z + 1), ("((((z))))", lambda z: z), ("exp ( z )", math.exp),
    ("abs(z)", abs), ("exp(z)", math.exp), ("expm1(z)", math.expm1), ("log(abs(z))", lambda z: math.log(abs(z))), ("log1p(abs(z))", lambda z: math.log1p(abs(z))), ("sqrt(abs(z))", lambda z: math.sqrt(abs(z))),
    ("square(z - 1)", lambda z: (z - 1) ** 2), ("sign(z)", lambda z: math.copysign(1, z)), ("sin(z)", math.sin), ("cos(z)", math.cos), ("tan(z)", math.tan), ("atan(z)", math.atan),
    ("sinh(z)", math.sinh), ("cosh(z)", math.cosh), ("tanh(z)", math.tanh), ("gammaln(abs(z))", lambda z: math.lgamma(abs(z))), ("gammaln(z + 0.5)", lambda z: math.lgamma(z + 0.5)), ("sigmoid(z)", sigma),
    ("softplus(z)", lambda z: math.log1p(math.exp(z))), ("softplus(20*z)", lambda z: max(20 * z, 0) + math.log1p(math.exp(-abs(20 * z)))), ("softplus(z + 20)", lambda z: z + 20 + math.log1p(math.exp(-z - 20))), ("logaddexp(z, -z)", lambda z: math.log(math.exp(z) + math.exp(-z))),
    ("maximum(z, 0.5)", lambda z: max(z, 0.5)), ("minimum(z, 0.5)", lambda z: min(z, 0.5)), ("where(z > 1, z, -z)", lambda z: z if z > 1 else -z), ("where(z >= 1, 5, 6)", lambda z: 5 if z >= 1 else 6),
    ("where(z < 1, 5, 6)", lambda z: 5 if z < 1 else 6), ("where(z <= 1, 5, 6)", lambda z: 5 if z <= 1 else 6), ("where(z ≤ 1, 5, 6)", lambda z: 5 if z <= 1 else 6), ("where(z ≥ 1, 5, 6)", lambda z: 5 if z >= 1 else 6),
    ("where(z > 0, log(z), -9)", lambda z: math.log(z) if z > 0 else -9), ("where(z*z < abs(z), 1, where(z > 2, 2, 3))", lambda z: 1 if abs(z) < 1 else 2 if z > 2 else 3), ("where((z > 0), 1, z)", lambda z: 1 if z > 0 else z),
    ("-abs(z - 7)**1.5", lambda z: -(abs(z - 7) ** 1.5)), ("-(z - 3)**2/(2*0.5**2)", lambda z: -((z - 3) ** 2) / 0.5), ("-log(1 + z**2)", lambda z: -math.log(1 + z * z)), ("-3*log(1 + z**2/5)", lambda z: -3 * math.log(1 + z * z / 5)),
    ("log(0.3*exp(-z**2/2)/sqrt(2*pi) + 0.7*exp(-(z-3)**2/8)/(2*sqrt(2*pi)))", lambda z: math.log(0.3 * normal_pdf(z, 0, 1) + 0.7 * normal_pdf(z, 3, 2))),
    ("z - exp(z)", lambda z: z - math.exp(z)), ("-z**4/4 + 2*z**2", lambda z: -(z**4) / 4 + 2 * z * z), ("z - 2*softplus(z)", lambda z: math.log(sigma(z) * (1 - sigma(z)))), ("-abs(z) + sin(3*z)", lambda z: math.sin(3 * z) - abs(z)),
    ("log(sigmoid(2*z)) - z**2/18", lambda z: math.log(sigma(2 * z)) - z * z / 18), ("-sqrt(1 + (z/2)**2)", lambda z: -math.hypot(1, z / 2)), ("-exp(-2*z) - 3*z", lambda z: -math.exp(-2 * z) - 3 * z), ("4*log(abs(z)) - abs(z)", lambda z: math.log(z**4) - abs(z)),
]  # fmt: skip
JUMPS = {
    "sign(z)",
    "maximum(z, 0.5)",
    "minimum(z, 0.5)",
    *(formula for formula, _ in GOOD if "where" in formula),
}


def column(values: list[float]) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


def test_values():
    for formula, expected in GOOD:
        with about(formula):
            tree = parse(formula)
            z = column(POINTS)
            found = tree(z)
            assert found.dtype == torch.float64 and found.shape == z.shape
            np.testing.assert_allclose(found, [expected(point) for point in POINTS], rtol=4e-14, atol=1e-300)
            np.testing.assert_array_equal(tree(z.reshape(7, 1, 1)).reshape(7), found)
            assert parse(str(tree)) == tree


def test_gradients():
    """Against five-point differences of Python's own mathematics, away from kinks."""
    for formula, expected in GOOD:
        with about(formula):
            points = [point + 0.013 for point in POINTS]
            z = column(points).requires_grad_()
            found = parse(formula)(z).sum()
            (gradient,) = torch.autograd.grad(found, z) if found.requires_grad else (torch.zeros(7),)
            h, f = 1e-3, expected
            for point, slope in zip(points, gradient.tolist(), strict=True):
                steps = f(point - 2 * h) - 8 * f(point - h) + 8 * f(point + h) - f(point + 2 * h)
                if abs(steps) < 1e300:
                    assert slope == pytest.approx(steps / (12 * h), rel=1e-6, abs=1e-8)


@pytest.mark.parametrize(
    "formula",
    ["where(z > 0, sqrt(z), -z**2)", "where(z > 0, log(z), 1)", "where(z <= 0, -z, where(z > 1, log(z - 1) - z, z**1.5))", "where(z > 0, z**0.5*log(z), exp(3*z))"],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated")  # torch.func imports it
def test_the_other_side_of_where_spoils_no_gradient(formula):
    z = column([-2.0, -0.5, 0.5, 3.0]).requires_grad_()
    tree = parse(formula)
    (first,) = torch.autograd.grad(tree(z).sum(), z, create_graph=True)
    assert first.isfinite().all()
    (second,) = torch.autograd.grad(first.sum(), z) if first.requires_grad else (torch.zeros(4),)
    assert second.isfinite().all()
    each = torch.func.vmap(torch.func.grad(tree))(z.detach())
    np.testing.assert_allclose(each, first.detach(), rtol=1e-12)
    forward = torch.func.jvp(tree, (z.detach(),), (torch.ones(4, dtype=torch.float64),))[1]
    np.testing.assert_allclose(forward, first.detach(), rtol=1e-12)


def test_more_variables_spread_over_each_other():
    tree = parse("where(x > y, x**2*y, -y)", ("x", "y"))
    x, y = column([1.0, 2.0, 3.0])[:, None], column([0.5, 2.5])
    expected = [[a * a * b if a > b else -b for b in y.tolist()] for a in x[:, 0].tolist()]
    np.testing.assert_array_equal(tree(x, y), expected)
    assert "“z”" in sentence(parse, "z + x", ("x", "y"))
    assert "Write y**3 instead." in sentence(parse, "y3", ("x", "y"))
    with pytest.raises(ValueError):
        tree(x)


def test_kinds_of_tensors():
    assert parse("1/z")(torch.tensor([2, 4])).tolist() == [0.5, 0.25]
    assert parse("z/3 + pi")(torch.tensor([1.0], dtype=torch.float32)).dtype == torch.float32
    assert parse("9**9**9")(torch.zeros(3)).tolist() == [math.inf] * 3
    assert parse("2*3")(torch.zeros(2, 5)).shape == (2, 5)
    z = torch.zeros(1, requires_grad=True)
    assert parse("log(z - 1)")(z).isnan().all()


# ---- random texts and trees ----

NUMBERS = ["0", "1", "2", "7", "0.5", "3.25", ".5", "4.", "1e3", "2.5e-2", "1E+2"]
WORDS = [
    *NUMBERS,
    "z",
    "pi",
    "e",
    *FUNCTIONS,
    *"+-*/(),<>^²π− .|=",
    "**",
    "<=",
    "ln",
    "x",
    "\n",
    "'",
    "lambda",
    "__",
]
LEAVES = st.sampled_from([*map(Number, NUMBERS), Name("z"), Name("z"), Name("pi"), Name("e")])


def bigger(inner):
    one = st.tuples(inner)
    two, three = st.tuples(inner, inner), st.tuples(inner, inner)
    names = {n: [name for name, (count, _) in FUNCTIONS.items() if count == n] for n in (1, 2)}
    conditions = st.builds(Apply, st.sampled_from(["<", "<=", ">", ">="]), two)
    where = st.builds(lambda c, sides: Apply("where", (c, *sides)), conditions, three)
    return st.one_of(
        st.builds(Apply, st.sampled_from(["+", "-", *names[1]]), one),
        st.builds(Apply, st.sampled_from(["+", "-", "*", "/", "**", *names[2]]), two),
        where,
    )


TREES = st.recursive(LEAVES, bigger, max_leaves=15)


@given(st.text(max_size=60) | st.lists(st.sampled_from(WORDS), max_size=25).map("".join))
def test_any_text_is_a_formula_or_a_sentence(typed):
    try:
        tree = parse(typed)
    except FormulaError:
        sentence(parse, typed)
    else:
        assert parse(str(tree)) == tree and hash(tree) == hash(parse(str(tree)))
        assert latex(tree.root)
        try:
            check(tree)
        except FormulaError:
            sentence(check, tree)


@given(TREES)
def test_a_tree_is_written_and_read_back(root):
    written = text(root)
    assume(len(written) <= 500 and not re.search(r"[-+]{9}|\({31}", written))
    assert parse(written).root == root


# ---- LaTeX ----

WRITTEN = [
    ("-abs(z - 7)**1.5", r"-\left|z - 7\right|^{1.5}"), ("z**2", "z^{2}"), ("(z + 1)**2", r"\left(z + 1\right)^{2}"), ("(-z)**2", r"\left(-z\right)^{2}"),
    ("-z**2", "-z^{2}"), ("z**-2", "z^{-2}"), ("2**z**2", "2^{z^{2}}"), ("(2**z)**2", r"\left(2^{z}\right)^{2}"), ("z/2", r"\frac{z}{2}"), ("(z + 1)/(z - 1)", r"\frac{z + 1}{z - 1}"),
    ("(z/2)**2", r"\left(\frac{z}{2}\right)^{2}"), ("z/2/3", r"\frac{\frac{z}{2}}{3}"), ("2*z", r"2\,z"), ("2*3", r"2 \cdot 3"), ("z*2", r"z \cdot 2"), ("2*3*z", r"2 \cdot 3 \cdot z"), ("2*(3*z)", r"2\,\left(3\,z\right)" ),
    ("2*(1/z)", r"2 \cdot \frac{1}{z}"), ("-0.50*z", r"-0.50\,z"), ("-2*z**2 + 3", r"-2\,z^{2} + 3"), ("2*(z + 1)", r"2\,\left(z + 1\right)"), ("z*(z + 1)", r"z \cdot \left(z + 1\right)"), ("2*-z", r"2\,\left(-z\right)"),
    ("1 - (z - 2)", r"1 - \left(z - 2\right)"), ("1 - z - 2", "1 - z - 2"), ("1 + -z", r"1 + \left(-z\right)"), ("--z", r"-\left(-z\right)"), ("-(z + 1)", r"-\left(z + 1\right)"), ("-(2*z)", r"-2\,z"), ("1 - -2*z", r"1 - \left(-2\,z\right)"),
    ("1e3", "10^{3}"), ("2.5e-2*z", r"2.5 \cdot 10^{-2} \cdot z"), ("1e3**2", r"\left(10^{3}\right)^{2}"), ("2e3**2", r"\left(2 \cdot 10^{3}\right)^{2}"), ("2*1e3", r"2 \cdot 10^{3}"), ("pi*z", r"\pi \cdot z"), ("e**-z", "e^{-z}"),
    ("sqrt(z + 1)", r"\sqrt{z + 1}"), ("sqrt(z)**3", r"\left(\sqrt{z}\right)^{3}"), ("exp(-z)", r"\exp\left(-z\right)"), ("log(z)**2", r"\left(\log\left(z\right)\right)^{2}"), ("log1p(z)", r"\log\left(1 + z\right)"), ("log1p(z - 1)", r"\log\left(1 + \left(z - 1\right)\right)"),
    ("expm1(z)", r"\exp\left(z\right) - 1"), ("2*expm1(z)", r"2\,\left(\exp\left(z\right) - 1\right)"), ("square(z + 1)", r"\left(z + 1\right)^{2}"), ("square(z)**2", r"\left(z^{2}\right)^{2}"), ("sin(z)", r"\sin\left(z\right)"), ("cosh(z)", r"\cosh\left(z\right)"),
    ("atan(z)", r"\arctan\left(z\right)"), ("sign(z)", r"\operatorname{sign}\left(z\right)"), ("softplus(z)", r"\operatorname{softplus}\left(z\right)"), ("gammaln(z)", r"\log\Gamma\left(z\right)"), ("sigmoid(2*z)", r"\sigma\left(2\,z\right)"),
    ("maximum(z, 0)", r"\max\left(z, 0\right)"), ("minimum(z, pi)", r"\min\left(z, \pi\right)"), ("logaddexp(z, 0)", r"\log\left(\exp\left(z\right) + \exp\left(0\right)\right)"), ("abs(z)*abs(z)", r"\left|z\right| \cdot \left|z\right|"),
    ("where(z > 0, -z, -1e9)", r"\begin{cases} -z & \text{if } z > 0 \\ -10^{9} & \text{otherwise} \end{cases}"), ("where(z <= 0, 1, 2)*z", r"\left(\begin{cases} 1 & \text{if } z \le 0 \\ 2 & \text{otherwise} \end{cases}\right) \cdot z"),
    ("exp(where(z >= 0, 1, 2))", r"\exp\left(\begin{cases} 1 & \text{if } z \ge 0 \\ 2 & \text{otherwise} \end{cases}\right)"), ("z²", "z^{2}"),
]  # fmt: skip


def test_latex_as_a_hand_would_write_it():
    for formula, expected in WRITTEN:
        assert latex(parse(formula).root) == expected, formula


TEX = re.compile(
    r" *(\\begin\{cases\}|\\end\{cases\}|\\operatorname\{\w+\}|\\text\{[a-z ]+\}|\\left[(|]|\\right[)|]|\\log\\Gamma|\\[a-z]+|\\,|\\\\"
    r"|(?:\d+\.?\d*|\.\d+)|[a-z]|[-+^{}<>&,])"
)
CALLS = {
    r"\exp": np.exp, r"\log": np.log, r"\sin": np.sin, r"\cos": np.cos, r"\tan": np.tan, r"\arctan": np.arctan, r"\sinh": np.sinh, r"\cosh": np.cosh,
    r"\tanh": np.tanh, r"\max": lambda a, b: torch.maximum(torch.tensor(a), torch.tensor(b)).item(), r"\min": lambda a, b: torch.minimum(torch.tensor(a), torch.tensor(b)).item(),
    r"\operatorname{sign}": lambda a: torch.sign(torch.tensor(a)).item(), r"\sigma": lambda a: 1 / (1 + np.exp(-a)), r"\operatorname{softplus}": lambda a: np.logaddexp(a, 0.0),
    r"\log\Gamma": lambda a: torch.lgamma(torch.tensor(a)).item(),
}  # fmt: skip


class Tex:
    """LaTeX computed by its own grammar: what a reader takes the picture for. Doubtful pictures are errors."""

    def __init__(self, source: str, z: float) -> None:
        self.tokens, at = [], 0
        while at < len(source):
            match = TEX.match(source, at)
            assert match, source[at:]
            self.tokens.append(match[1])
            at = match.end()
        self.at, self.z = 0, np.float64(z)

    def peek(self) -> str:
        return self.tokens[self.at] if self.at < len(self.tokens) else ""

    def take(self, *wanted: str) -> str:
        token = self.peek()
        assert not wanted or token in wanted, f"{token} for {wanted} at {self.tokens[self.at :]}"
        self.at += 1
        return token

    def whole(self):
        found = self.expression()
        assert self.peek() == ""
        return found

    def within(self, opening: str, closing: str):
        self.take(opening)
        found = self.expression()
        self.take(closing)
        return found

    def expression(self):
        if self.peek() == r"\begin{cases}":
            return self.cases()
        sign = self.take() if self.peek() in ("-", "+") else "+"
        total = -self.product() if sign == "-" else self.product()
        while self.peek() in ("+", "-"):
            total = total + self.product() if self.take() == "+" else total - self.product()
        return total

    def product(self):
        total = self.power()
        while self.peek() in (r"\cdot", r"\,"):
            if self.take() == r"\,":
                assert not self.peek()[0].isdigit() and self.peek() != r"\frac", "a number beside a number"
            total = total * self.power()
        assert self.peek() in (
            "",
            "+",
            "-",
            "}",
            "&",
            ",",
            "<",
            ">",
            r"\le",
            r"\ge",
            r"\right)",
            r"\right|",
            r"\\",
            r"\end{cases}",
        )
        return total

    def power(self):
        found, atom = self.atom()
        if self.peek() != "^":
            return found
        assert atom, "it is unclear what the power is of"
        self.take()
        return np.power(found, self.within("{", "}"))

    def atom(self):
        token = self.peek()
        if token == r"\left(":
            return self.within(r"\left(", r"\right)"), True
        if token == r"\left|":
            return np.abs(self.within(r"\left|", r"\right|")), True
        self.take()
        if token == r"\frac":
            return self.within("{", "}") / self.within("{", "}"), False
        if token == r"\sqrt":
            return np.sqrt(self.within("{", "}")), False
        if token in CALLS:
            self.take(r"\left(")
            args = [self.expression()]
            while self.peek() == ",":
                self.take()
                args.append(self.expression())
            self.take(r"\right)")
            return np.float64(CALLS[token](*args)), False
        names = {"z": self.z, "e": np.float64(math.e), r"\pi": np.float64(math.pi)}
        return names[token] if token in names else np.float64(token), True

    def cases(self):
        self.take()
        yes = self.expression()
        self.take("&"), self.take(r"\text{if }")
        left, sign, right = self.expression(), self.take("<", ">", r"\le", r"\ge"), self.expression()
        self.take(r"\\")
        no = self.expression()
        self.take("&"), self.take(r"\text{otherwise}"), self.take(r"\end{cases}")
        chosen = {"<": left < right, ">": left > right, r"\le": left <= right, r"\ge": left >= right}[sign]
        return yes if chosen else no


def meant(node):
    """The tree with the functions that LaTeX spells out spelt out, so that rounding is the same."""
    if not isinstance(node, Apply):
        return node
    args = tuple(map(meant, node.args))
    one, log = Number("1"), lambda a: Apply("log", (a,))
    if node.op in ("log1p", "logaddexp"):
        terms = (one, *args) if node.op == "log1p" else tuple(Apply("exp", (arg,)) for arg in args)
        return log(Apply("+", terms))
    if node.op == "expm1":
        return Apply("-", (Apply("exp", args), one))
    return Apply("**", (*args, Number("2"))) if node.op == "square" else Apply(node.op, args)


@given(TREES, st.sampled_from(POINTS))
def test_latex_means_what_the_formula_means(root, z):
    names = {name: torch.tensor(constant, dtype=torch.float64) for name, constant in CONSTANTS.items()}
    expected = value(meant(root), names | {"z": torch.tensor(z, dtype=torch.float64)})
    steep = value(meant(root), names | {"z": torch.tensor(z * (1 + 1e-14), dtype=torch.float64)})
    assume(torch.allclose(expected, steep, rtol=1e-9, equal_nan=True))  # else rounding decides
    with np.errstate(all="ignore"):
        found = Tex(latex(root), z).whole()
    np.testing.assert_allclose(found, float(expected), rtol=1e-8, atol=1e-12)


# ---- the check ----

DENSITIES = """-z**2/2; -abs(z - 7)**1.5; -log(1 + z**2); -1.05*log(1 + abs(z)); z - exp(z); -z - exp(-z); z - 2*softplus(z); -z**64;
where(z > 0, -z, -1e9); where(z > 0, log(z) - z, -1e9); where(abs(z) < 1000, 0, log(0)); where(abs(z) < 1, 0, -1/0); -sqrt(1 + z**2);
log(exp(-z**2) + exp(-(z - 3)**2)); logaddexp(-z**2, -(z - 3)**2); -z**4 + 5*z**2; -abs(z) + sin(z); -log(cosh(z)); -1e12*(z - 0.3)**2;
-z**2 + 3*sin(10*z); -1e-14*z**2; -3*log(1 + z**2/3); log(abs(z)) - z**2; 2*log(abs(z)) - abs(z); -abs(z)**0.2; -20*log(1 + z**2);
gammaln(abs(z) + 1) - z**2; -0.01*log(1 + exp(abs(z))); -exp(exp(abs(z))); log(sigmoid(z)) - z**2/18; -1e6*abs(z - 1/3); -abs(z - 0.1)**0.1 - abs(z); -abs(z - 0.11)**0.06 - abs(z); -abs(z)**0.1 - abs(z); -1e16*(z - 0.3)**2;
where(abs(z - 3.3) < 0.2, 0, -1/0); where(z > 0.1, 5 - z**2, -z**2); where(z > 0, -z**2, 0.5*z); -abs(z) - 1000; 5000 - z**2; -(z - 1e5)**2; -z^2 - 1/z^2"""


def test_log_densities_pass():
    for formula in map(str.strip, DENSITIES.split(";")):
        with about(formula):
            assert Formula(expression=formula).expression == formula


@pytest.mark.parametrize("side", [1.0, -1.0])
def test_a_hole_too_narrow_for_the_grid_is_a_sentence(side):
    z = side * 10 ** (1 + 0.37 / 24)
    assert "has no" in sentence(check, parse(f"where(abs(z - ({z})) < 1e-5, log(-1), -z**2)"))
    assert "has no" in sentence(check, parse(f"where(abs(z - ({z})) < 1e-5, 1/0, -z**2)"))


def test_the_check_is_quick():
    long = f"-({'+'.join(['gammaln(abs(z)+2)'] * 27)})"
    for formula in ("-z**2/2", long, f"-({'+'.join(['abs(z)**1.1'] * 36)})"):
        tree = parse(formula)
        times = []
        for _ in range(5):
            start = time.process_time()
            check(tree)
            times.append(time.process_time() - start)
        assert min(times) < 0.1


# ---- the target ----


def test_the_target():
    target = Formula()
    z = torch.randn(4, 3, 1, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    assert isinstance(target, Target) and target.dim == 1 and Target.options["Formula"] is Formula
    assert Formula.name() == "Own formula" and target.latex == r"-\left|z - 7\right|^{1.5}"
    np.testing.assert_allclose(target.log_prob(z), -((z[..., 0] - 7).abs() ** 1.5), rtol=1e-14)
    prior = [[math.log(normal_pdf(float(point), 0, 3)) for point in row] for row in z[..., 0]]
    np.testing.assert_allclose(target.log_prior(z), prior, rtol=1e-14)
    np.testing.assert_allclose(target.log_likelihood(z), target.log_prob(z) - target.log_prior(z), rtol=1e-14)


def test_the_target_is_a_value():
    target = Formula(expression="-z²/2")
    assert target == Formula(expression="-z²/2") and target != Formula() and hash(target) is not None
    assert from_json(Target, json.loads(canonical(target))) == target
    assert pickle.loads(pickle.dumps(target)) == target
    assert density("-z²/2") == Tree(parse("-z**2/2").root, ("z",))


def test_the_target_takes_texts_alone():
    for wrong in (None, 3, 3.0, math.nan, True, b"z", ("z",), ["-z**2"], {}, np.array(["-z**2"])):
        with about(repr(wrong)):
            assert "Formula.expression" in sentence(lambda typed=wrong: Formula(expression=typed))
            with pytest.raises(ValueError):
                from_json(Target, {"choice": "Formula", "expression": wrong})
