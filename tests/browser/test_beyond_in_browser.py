"""Beyond mixtures in a browser: every model on both sizes, half-steps, a clicked start, own data, a scene."""

import re

import pytest
from playwright.sync_api import Page, expect

pytestmark = pytest.mark.browser
MODELS = ["Regression", "Roles swapped", "Monte-Carlo EM", "Generalized EM", "ECM", "Variational EM",
          "Probabilistic PCA", "Missing features"]  # fmt: skip
WIDE, NARROW = {"width": 1440, "height": 900}, {"width": 1024, "height": 768}
DRAWN = """() => {
  const plots = [...document.querySelectorAll(".lv-plot")];
  return document.querySelector("[data-testid=stApp]").dataset.testScriptState === "notRunning"
    && plots.length >= 3 && plots.every((plot) => plot.dataset.drawn)
    && plots.every((plot) => plot.getAttribute("aria-busy") !== "true");
}"""
OVERLAPS = """() => {
  const boxes = [...document.querySelectorAll(".st-key-stage .lv-plot, .st-key-stage .lv-table, "
    + ".st-key-stage .lv-player:not(.lv-save)")].map((node) => node.getBoundingClientRect())
    .filter((box) => box.width > 1);
  const hits = (a, b) => Math.min(a.right, b.right) - Math.max(a.left, b.left) > 1
    && Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 1;
  return boxes.some((a, i) => boxes.slice(i + 1).some((b) => hits(a, b)));
}"""
CONTROLS = """() => document.querySelectorAll(".st-key-controls :is([data-testid=stSelectbox],"
  + "[data-testid=stSlider],[data-testid=stNumberInput],[data-testid=stMultiSelect])").length"""


def value(text: str) -> float:
    return float(text.replace("−", "-"))


def thermometer(page: Page) -> tuple[float, float, float]:
    """log p, KL and ELBO as they are written on it."""
    texts = page.locator("[data-name=thermometer] text").all_text_contents()
    log_p, kl, elbo = [value(text.removesuffix(" nats")) for text in texts if text.endswith("nats")]
    return log_p, kl, elbo


def on_frame(page: Page, index: int) -> None:
    """Every view shows this frame."""
    page.wait_for_function(
        """(index) => [...document.querySelectorAll(".st-key-stage :is(.lv-plot, .lv-table)")]
            .every((node) => node.dataset.frame === String(index))
            && document.querySelector(".lv-player").dataset.index === String(index)""",
        arg=index, timeout=30_000,
    )  # fmt: skip


def choose(page: Page, label: str, option: str) -> None:
    page.get_by_role("combobox", name=label, exact=True).click()
    page.keyboard.type(option)
    page.get_by_role("option", name=option, exact=True).click()


def test_every_model_fits_both_sizes_and_takes_half_steps(visit) -> None:
    page = visit("/em_beyond")
    for turn, name in enumerate(MODELS):
        page.emulate_media(color_scheme="dark" if turn % 2 else "light")
        choose(page, "Model", name)
        told = (
            "model=" + name.replace(" ", r"(\+|%20)")
            if name != MODELS[-1]
            else r"em_beyond(\?(?!.*model=)|$)"
        )
        expect(page).to_have_url(re.compile(told))
        for size in (WIDE, NARROW):
            page.set_viewport_size(size)
            page.wait_for_function(DRAWN, timeout=30_000)
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), (name, size)
            assert not page.evaluate(OVERLAPS), (name, size)
        assert page.evaluate(CONTROLS) <= 6, name
        page.locator("[data-move=E]").click()
        on_frame(page, 1)
        log_p, kl, elbo = thermometer(page)
        closes = name != "Monte-Carlo EM"  # also of a product q, while θ starts without correlations
        assert (kl == 0.0) == closes and elbo == pytest.approx(log_p - kl, abs=2e-4), name
        page.locator("[data-move=M]").click()
        on_frame(page, 2)
        assert thermometer(page)[2] > elbo, name
        page.keyboard.press("ArrowLeft")
        on_frame(page, 1)
        assert thermometer(page) == (log_p, kl, elbo), name


def test_a_click_on_the_contours_starts_there(visit) -> None:
    page = visit("/em_beyond?model=Regression")
    picture = page.locator("[data-name=picture]")
    box = picture.bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + 0.62 * box["width"], box["y"] + 0.15 * box["height"])
    expect(page).to_have_url(re.compile(r"beta=\d"))
    expect(page).to_have_url(re.compile(r"lambda_=\d"))
    page.wait_for_function(DRAWN)
    beta, lambda_ = (float(re.search(rf"[?&]{name}=([\d.e-]+)", page.url)[1]) for name in ("beta", "lambda_"))
    at = picture.evaluate("node => { const ring = node.data.at(-1); return [ring.x[0], ring.y[0]]; }")
    assert at == pytest.approx([beta, lambda_], rel=1e-9) and beta > 5 and lambda_ > 1.5
    page.get_by_role("button", name="Undo").click()
    expect(page).not_to_have_url(re.compile("beta="))


def test_an_own_table_with_empty_cells(visit) -> None:
    page = visit("/em_beyond?data=Stored&gaps=AsGiven")
    expect(page.get_by_text("No table yet.")).to_be_visible()
    page.get_by_role("button", name="Load a table").click()
    page.get_by_label("or paste rows and columns").fill("a,b\n1,2\n2,2.5\n,3\n2.5,\n4,5\n3,4.5\n0,1.2\n")
    page.get_by_role("button", name="Use what is pasted").click()
    expect(page.get_by_text("5 rows show both columns, 2 one of them, 0 neither.")).to_be_visible()
    page.wait_for_function(DRAWN)
    page.keyboard.press("Escape")
    page.locator("[data-move='E+M']").click()
    on_frame(page, 2)


def test_a_scene_asks_first_and_then_tells(visit) -> None:
    page = visit("/em_beyond")
    page.locator("[data-card=never-touches]").get_by_role("button", name="Predict").click()
    question = page.locator(".st-key-opened")
    expect(question).to_contain_text("Will E still make KL = 0?")
    expect(question).not_to_contain_text("82 rows")
    question.get_by_test_id("stButtonGroup").get_by_role("radio").last.click()
    expect(question).to_contain_text("Right.")
    expect(question).to_contain_text("82 rows show neither column")
    page.wait_for_function(DRAWN)
    assert thermometer(page)[1] == pytest.approx(0.035, abs=1e-4)
