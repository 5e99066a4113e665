"""Hostile and broken formulas typed into the real page: a sentence each, at once, and nothing else."""

import time
from pathlib import Path

from streamlit.testing.v1 import AppTest

from tests.test_formulas import HOSTILE, SILLY

PAGE = Path(__file__).parents[1] / "pages" / "02_fit_q_1d.py"
GOOD = "-abs(z)"
LONGEST = 500  # the field takes no more characters
COUNT, LIMIT = 60, 1.0  # formulas, seconds; tests/test_formulas.py reads all of them


def can_be_typed(text: object) -> bool:
    """Whether it is a text that the field takes, and that can be sent."""
    return isinstance(text, str) and len(text) <= LONGEST and text.isascii() | text.isprintable()


def formulas() -> list[str]:
    """The tables' formulas, spread evenly over them: every category has its share."""
    texts = list(dict.fromkeys(text for _, text in HOSTILE + SILLY if can_be_typed(text)))
    return [texts[int(i * len(texts) / COUNT)] for i in range(COUNT)]


def entered(app: AppTest, text: str) -> float:
    """Seconds of work from the key Enter to the whole page, whatever else the machine does meanwhile."""
    start = time.process_time()
    app.text_input[0].set_value(text).run()
    return time.process_time() - start


def test_hostile_formulas_on_the_page_give_a_sentence_each_within_a_second():
    app = AppTest.from_file(str(PAGE), default_timeout=60)
    app.query_params.update({"target": "Formula", "target.expression": GOOD})
    app.run()
    shown, texts, worst = [block.value for block in app.latex], formulas(), (0.0, "")
    assert len(set(texts)) == COUNT and not app.error
    for text in texts:
        worst = max(worst, (entered(app, text), text))
        assert not app.exception and not app.warning, text
        (fault,) = app.error
        assert 10 <= len(fault.value) <= 400 and "Traceback" not in fault.value, text
        assert [block.value for block in app.latex] == shown, f"{text} changed the page"
        assert app.query_params["target.expression"] in (GOOD, [GOOD])
    print(f"the slowest of {COUNT} took {worst[0]:.2f} s: {worst[1]!r:.60}")
    assert worst[0] < LIMIT
    entered(app, "-z**2")
    assert not app.error, "a good formula is used as before"
