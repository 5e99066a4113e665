"""The page Fit q in one dimension in a browser: the hand, the landscape, the optimizer, the game."""

import math
import re
from urllib.parse import parse_qsl, urlencode, urlsplit

import numpy as np
import pytest
from playwright.sync_api import Page, expect

from lvmviz import VI, Gaussian, Job, SinhArcsinh, Skewed, Target, decompose, run
from lvmviz.core import each
from lvmviz.families import Line
from lvmviz.summaries import fit as summaries
from lvmviz.summaries.fit import Place
from lvmviz.ui import fit
from lvmviz.ui.site import pages

pytestmark = pytest.mark.browser
(PATH,) = ["/" + page.url for page in pages() if page.path.stem == "02_fit_q_1d"]
CENTRE, WIDTH = "[data-name=picture] .lv-handle-loc", "[data-name=picture] .lv-handle-scale"
FAULT = "[data-testid=stAlertContentError], [data-testid=stException]"
READY = """() => {
  const plots = [...document.querySelectorAll(".lv-plot")];
  return document.querySelector("[data-testid=stApp]")?.dataset.testScriptState === "notRunning"
    && document.querySelector("[data-testid=stSkeleton]") === null
    && (plots.length >= 2 || document.querySelector(
      "[class*=st-key-empty_landscape], [data-testid=stAlertContentError]"))
    && plots.every((plot) => plot.dataset.drawn);
}"""


# ---- what a person sees ----


def opened(visitor, **link: str) -> Page:
    page = visitor.page
    page.goto(visitor.server + PATH + ("?" + urlencode(link) if link else ""))
    page.wait_for_function(READY, timeout=120_000)
    return page


def quiet(page: Page) -> None:
    page.wait_for_function(READY)


def link(page: Page) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(page.url).query))


def at(page: Page, handle: str = CENTRE) -> tuple[float, float]:
    """The middle of a handle, px."""
    box = page.locator(handle).first.bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def peak_follows(page: Page, x: float) -> None:
    """q's drawn line, symmetric round its centre, stands under the pointer."""
    page.wait_for_function(
        """(x) => {
            const plot = document.querySelector("[data-name=picture]");
            const { trace } = plot.parentElement.lvPlot.hand.shapes[0].lines[0];
            const line = plot.querySelector(`.trace${plot._fullData[trace].uid} .js-line`);
            const to = line.getScreenCTM();
            const words = line.getAttribute("d").slice(1).split("L");
            const points = words.map((point) => point.split(",").map(Number));
            const [left, top] = points.reduce((best, point) => (point[1] < best[1] ? point : best));
            const best = new DOMPoint(left, top).matrixTransform(to);
            return Math.abs(best.x - x) < 4;
        }""",
        arg=x,
        timeout=60_000,
    )


def thermometer(page: Page) -> list[float]:
    """log p, KL and ELBO as they are written on it; a second q's KL comes after them."""
    texts = page.locator("[data-name=thermometer] text").all_text_contents()
    told = [float(t.removesuffix(" nats").replace("−", "-")) for t in texts if t.endswith("nats")]
    return told[:-1] if any("second q" in text for text in texts) else told


def tells(page: Page, mean: float, sd: float, target: Target | None = None) -> None:
    """The thermometer's numbers are the exact ones of this Gaussian."""
    terms = decompose(target or Skewed(), Gaussian(), [mean, math.log(sd)])
    for value in (terms.log_evidence, terms.kl, terms.elbo):
        text = f"{value:.3f} nats".replace("-", "−")
        expect(page.locator("[data-name=thermometer]")).to_contain_text(text)
    told = sorted([terms.log_evidence, terms.kl, terms.elbo])
    assert sorted(thermometer(page)) == pytest.approx(told, abs=5.1e-4)


def drag(page: Page, handle: str, by: float, steps: int = 12) -> tuple[float, float]:
    """Take a handle and move it, the button stays down; where the pointer is."""
    x, y = at(page, handle)
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + by, y - 5, steps=steps)
    return x + by, y


def stays(page: Page, handle: str, before: tuple[float, float]) -> None:
    """For a second the handle does not move: no jump on release."""
    moved = page.evaluate(
        """([handle, x]) => new Promise((resolve) => {
            let most = 0;
            const begun = performance.now();
            const look = () => {
                const box = document.querySelector(handle)?.getBoundingClientRect();
                most = Math.max(most, box ? Math.abs(box.left + box.width / 2 - x) : 1e9);
                performance.now() - begun < 1000 ? requestAnimationFrame(look) : resolve(most);
            };
            look();
        })""",
        [handle, before[0]],
    )
    assert moved <= 1, f"the handle jumped by {moved} px"


RING = """() => {
    const plot = document.querySelector("[data-name=landscape]");
    const trace = plot._fullData.filter(({ marker }) => marker?.size === 12).at(-1);
    const ring = plot.querySelector(`.trace${trace.uid} .point`).getBoundingClientRect();
    const axes = plot.querySelector(".nsewdrag").getBoundingClientRect();
    const { xaxis, yaxis } = plot._fullLayout;
    const [x, y] = [ring.left + ring.width / 2, ring.top + ring.height / 2];
    return [xaxis.p2d(x - axes.left), yaxis.p2d(y - axes.top)];
}"""


def here(page: Page) -> list[float]:
    """Where the ring stands on the landscape, as it is drawn: mean and sd."""
    return page.evaluate(RING)


def ring_at(page: Page, mean: float, sd: float, slack: float = 0.02) -> None:
    page.wait_for_function(
        f"""([mean, sd, slack]) => {{
            const [x, y] = ({RING})();
            return Math.abs(x - mean) < slack && Math.abs(y - sd) < slack;
        }}""",
        arg=[mean, sd, slack],
        timeout=60_000,
    )


def settled(page: Page, **wanted: str) -> None:
    for name in wanted:
        expect(page).to_have_url(re.compile(rf"[?&]{name}="))
    quiet(page)


def answered(page: Page) -> None:
    """Python has heard of all that the hand has done."""
    page.wait_for_function(
        """() => { const { hand } = document.querySelector("[data-name=picture]").parentElement.lvPlot;
                   return hand.sent === hand.answered && !hand.moved; }"""
    )
    quiet(page)


def no_fault(page: Page) -> None:
    expect(page.locator(FAULT)).to_have_count(0)


# ---- the hand ----


def test_the_curve_follows_the_pointer_and_nothing_jumps_on_release(visitor) -> None:
    page = opened(visitor)
    before = page.url
    x, _ = drag(page, CENTRE, -120)
    peak_follows(page, x)
    page.mouse.move(x + 60, 300, steps=6)
    peak_follows(page, x + 60)
    assert at(page)[0] == pytest.approx(x + 60, abs=1)
    expect(page.locator(FAULT)).to_have_count(0)
    assert page.url == before, "the link waits for the hand to rest"
    held = at(page)
    page.mouse.up()
    stays(page, CENTRE, held)
    settled(page, mean="")
    stands = link(page)
    assert set(stands) == {"mean", "v"}
    tells(page, float(stands["mean"]), 1.4142)
    ring_at(page, float(stands["mean"]), 1.4142)
    page.get_by_role("button", name="Undo").click()
    expect(page).to_have_url(before)
    quiet(page)
    tells(page, 2.0, 1.4142)
    expect(page.get_by_role("button", name="Undo")).to_be_disabled()


COUNT = """() => {
    window.lvSent = 0;
    const send = WebSocket.prototype.send;
    WebSocket.prototype.send = function (...message) {
        window.lvSent += 1;
        return send.apply(this, message);
    };
}"""


SWING = """([handle, x, y]) => new Promise((done) => {
    const node = document.querySelector(handle);
    const { hand } = document.querySelector("[data-name=picture]").parentElement.lvPlot;
    const asked = hand.answered;
    let steps = 0;
    const timer = setInterval(() => {
        steps += 1;
        const clientX = x - 100 * Math.sin(steps / 20);
        const where = { clientX, clientY: y, pointerId: 1, bubbles: true };
        node.dispatchEvent(new PointerEvent("pointermove", where));
        if (steps < 100 || hand.answered < asked + 3) return;
        clearInterval(timer);
        done({ asked: hand.answered - asked, sent: window.lvSent });
    }, 10);
})"""


def test_a_moving_hand_reads_exact_numbers_without_a_rerun(visitor) -> None:
    page = opened(visitor)
    page.evaluate(COUNT)
    handle = "document.querySelector('[data-name=picture]').parentElement.lvPlot.hand"
    x, y = at(page)
    page.mouse.move(x, y)
    page.mouse.down()
    told = page.evaluate(SWING, [CENTRE, x, y])  # never still: a driver's own moves wait for the page
    assert told["asked"] >= 3 and told["sent"] == 0
    page.wait_for_function("() => window.lvSent > 0")  # the hand stands still: the page follows
    answered(page)
    mean = page.evaluate(f"() => {handle}.shapes[0].place.loc")
    tells(page, mean, 1.4142)  # the button is still down
    expect(page.locator("[data-testid=stSlider]").first).to_contain_text(f"{mean:.2f}".replace("-", "−"))
    page.mouse.up()
    settled(page, mean="")
    tells(page, float(link(page)["mean"]), 1.4142)


def test_a_hand_whose_route_is_gone_asks_the_page(visitor) -> None:
    page = opened(visitor)
    page.route("**/lvmviz/answer/*", lambda route: route.fulfill(body="not an answer"))
    drag(page, CENTRE, -90)
    answered(page)
    mean = page.evaluate(
        "document.querySelector('[data-name=picture]').parentElement.lvPlot.hand.shapes[0].place.loc"
    )
    tells(page, mean, 1.4142)
    page.mouse.up()
    settled(page, mean="")
    page.unroute_all()


def test_the_width_handle_stretches_q(visitor) -> None:
    page = opened(visitor)
    x, _ = drag(page, WIDTH, 60)
    page.wait_for_function("x => Math.abs((b => b.left + b.width / 2)(document.querySelector"
                           f"('{WIDTH}').getBoundingClientRect()) - x) < 1.5", arg=x)  # fmt: skip
    held, centre = at(page, WIDTH), at(page)
    page.mouse.up()
    stays(page, WIDTH, held)
    settled(page, sd="")
    stands = link(page)
    assert set(stands) == {"sd", "v"} and float(stands["sd"]) > 1.6
    assert at(page)[0] == pytest.approx(centre[0], abs=1)
    tells(page, 2.0, float(stands["sd"]))


@pytest.mark.parametrize(("handle", "by"), [(WIDTH, 420), (CENTRE, -900)], ids=["width", "centre"])
def test_a_handle_dragged_too_far_does_not_jump_back(handle, by, visitor) -> None:
    page = opened(visitor)
    drag(page, handle, by)
    answered(page)
    held = at(page, handle)
    page.mouse.up()
    stays(page, handle, held)


def test_arrow_keys_nudge_a_focused_handle(visitor) -> None:
    page = opened(visitor)
    handle = page.locator(CENTRE)
    handle.focus()
    before = float(handle.get_attribute("aria-valuenow"))
    page.keyboard.press("ArrowRight")
    settled(page, mean="")
    assert float(link(page)["mean"]) == before + 0.5  # a round number, 2.4 % of the picture
    tells(page, float(link(page)["mean"]), 1.4142)
    now = page.url
    page.keyboard.press("Shift+ArrowLeft")
    page.wait_for_function("now => location.href !== now", arg=now)
    quiet(page)
    assert float(link(page)["mean"]) == before + 0.45
    page.locator(WIDTH).focus()
    page.keyboard.press("ArrowUp")
    settled(page, sd="")
    assert float(link(page)["sd"]) == pytest.approx(1.9142)


def test_escape_puts_back_what_is_dragged(visitor) -> None:
    page = opened(visitor)
    before = at(page)
    drag(page, CENTRE, 120)
    answered(page)
    page.keyboard.press("Escape")
    peak_follows(page, before[0])
    stays(page, CENTRE, before)
    page.mouse.move(before[0] + 200, before[1])  # the button is still down: it holds nothing now
    page.mouse.up()
    stays(page, CENTRE, before)
    answered(page)
    assert "mean" not in link(page)
    tells(page, 2.0, 1.4142)


def test_a_handle_tells_its_ends_and_a_mixtures_handles_their_part(visitor) -> None:
    page = opened(visitor, family="MixtureOf2")
    ends = fit.range_of(Skewed())
    for i, whose in enumerate(("part 1", "part 2")):
        for kind, (low, high) in (("Centre", ends[:2]), ("Width", ends[2:])):
            handle = page.get_by_role("slider", name=f"{kind} of {whose}")
            assert float(handle.get_attribute("aria-valuemin")) == pytest.approx(low), i
            assert float(handle.get_attribute("aria-valuemax")) == pytest.approx(high), i


def test_the_link_of_a_playing_film_has_the_step_that_is_shown(visitor) -> None:
    page = opened(visitor, mean="-4", sd="0.9")
    page.get_by_role("button", name="Fit", exact=True).click()
    index = "Number(document.querySelector('.lv-player')?.dataset.index)"
    page.wait_for_function(f"{index} > 5")
    page.get_by_role("button", name="Share").click()
    expect(page.get_by_test_id("stPopoverBody").locator("code")).to_contain_text("step=")
    shown = page.get_by_test_id("stPopoverBody").locator("code").inner_text()
    assert page.evaluate(index) == int(dict(parse_qsl(urlsplit(shown).query))["step"])


def test_words_are_as_large_as_the_projector_wants(visitor) -> None:
    page = opened(visitor, projector="1")
    sizes = page.evaluate("""() => [...document.querySelectorAll("[data-name=picture] :is(text, tspan)")]
        .filter((node) => node.textContent.trim())
        .map((node) => parseFloat(getComputedStyle(node).fontSize))""")
    assert min(sizes) > 11, sizes


def test_a_finger_moves_q(browser, server, visitor) -> None:
    context = browser.new_context(viewport={"width": 1024, "height": 768}, has_touch=True)
    try:
        page = context.new_page()
        page.goto(server + PATH)
        page.wait_for_function(READY, timeout=60_000)
        x, y = at(page)
        touch = context.new_cdp_session(page)
        touch.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": [{"x": x, "y": y}]})
        for i in range(1, 9):
            touch.send(
                "Input.dispatchTouchEvent", {"type": "touchMove", "touchPoints": [{"x": x - 8 * i, "y": y}]}
            )
        peak_follows(page, x - 64)
        held = at(page)
        touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
        stays(page, CENTRE, held)
        settled(page, mean="")
        tells(page, float(link(page)["mean"]), 1.4142)
    finally:
        context.close()


def test_a_mixture_has_four_handles_and_each_moves_its_part(visitor) -> None:
    page = opened(visitor, target="TwoModes", family="MixtureOf2")
    expect(page.locator("[data-name=picture] .lv-handle")).to_have_count(4)
    second = f"{CENTRE} >> nth=1"
    first = at(page)
    x, y = at(page, second)
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x - 50, y, steps=6)
    page.mouse.up()
    settled(page, mean2="")
    assert set(link(page)) - {"target", "family", "v"} == {"mean2"}
    assert at(page)[0] == pytest.approx(first[0], abs=1)
    assert at(page, second)[0] == pytest.approx(x - 50, abs=1)
    no_fault(page)


def test_the_ring_of_a_mixture_does_not_jump_on_release(visitor) -> None:
    page = opened(visitor, target="TwoModes", family="MixtureOf2")
    before = here(page)
    drag(page, CENTRE, -20)
    answered(page)
    during = here(page)
    page.mouse.up()
    settled(page, mean="")
    assert here(page) == pytest.approx(during, abs=0.05) and abs(during[0] - before[0]) < 1


def test_a_click_on_the_landscape_puts_q_there(visitor) -> None:
    page = opened(visitor)
    box = page.locator("[data-name=landscape] .nsewdrag").bounding_box()
    aim = round(box["x"] + 0.3 * box["width"]), round(box["y"] + 0.4 * box["height"])
    wanted = page.evaluate(
        """([x, y]) => { const { xaxis, yaxis } = document.querySelector("[data-name=landscape]")._fullLayout;
            return [xaxis.p2d(x), yaxis.p2d(y)]; }""",
        [aim[0] - box["x"], aim[1] - box["y"]],
    )
    page.mouse.click(*aim)
    settled(page, mean="", sd="")
    mean, sd = float(link(page)["mean"]), float(link(page)["sd"])
    assert (mean, sd) == pytest.approx(wanted, rel=2e-3, abs=0.02)
    ring_at(page, mean, sd)
    tells(page, mean, sd)
    assert float(page.locator(CENTRE).get_attribute("aria-valuenow")) == pytest.approx(mean, abs=1e-3)


# ---- the optimizer ----


def test_fit_plays_and_back_returns(visitor) -> None:
    page = opened(visitor, mean="-4", sd="0.87")
    start = here(page)
    page.get_by_role("button", name="Fit", exact=True).click()
    expect(page.locator(".lv-player:not(.lv-save)")).to_be_visible()
    page.wait_for_function("Number(document.querySelector('.lv-player').dataset.index) > 3")
    expect(page.locator("[data-name=iterations]")).to_be_visible()
    expect(page.locator("[aria-label^=Ledger]")).to_be_visible()
    page.wait_for_function(
        "x => document.querySelector('[data-name=landscape]').data"
        ".filter(({ marker }) => marker?.size === 12).at(-1).x[0] > x + 0.2",
        arg=start[0],
    )
    page.get_by_role("button", name="Play or pause (space)").click()
    expect(page).to_have_url(re.compile("step="))
    expect(page).to_have_url(re.compile("fitted=1"))
    quiet(page)
    page.wait_for_function("""() => {
        const player = document.querySelector(".lv-player").dataset.index;
        return ["picture", "landscape", "iterations", "thermometer"].every((name) =>
            document.querySelector(`[data-name=${name}]`).dataset.frame === player);
    }""")
    step = int(link(page)["step"])
    vi = VI(mean=-4.0, sd=0.87, spread=20.42)
    info = run(Job(vi, steps=200, seed=0))[step].info
    told = sorted([info.log_evidence, info.kl, info.elbo])
    assert sorted(thermometer(page)) == pytest.approx(told, abs=5.1e-4)
    page.get_by_role("button", name="Back", exact=True).click()
    expect(page.locator("[data-name=iterations]")).to_have_count(0)
    expect(page).not_to_have_url(re.compile("fitted"))
    quiet(page)
    assert here(page) == pytest.approx(start)
    tells(page, -4.0, 0.87)


def test_what_python_has_not_drawn_yet_is_faint_while_a_film_plays(visitor) -> None:
    page = opened(visitor, mean="-4", sd="0.9")
    ink = "Number(getComputedStyle(document.querySelector('.st-key-derivation')).opacity)"
    index = "Number(document.querySelector('.lv-player')?.dataset.index)"
    assert page.evaluate(ink) == 1
    page.get_by_role("button", name="Fit", exact=True).click()
    page.wait_for_function(f"{index} > 5")
    assert page.evaluate(ink) < 0.5
    page.keyboard.press(" ")  # Fit was pressed with the mouse: space pauses
    page.wait_for_function("!document.documentElement.classList.contains('lv-ahead')")
    at = page.evaluate(index)
    assert at > 5 and page.evaluate(ink) == 1
    page.get_by_role("button", name="One step on").click()
    page.wait_for_function(f"{index} === {at + 1}")


def test_a_flows_curve_is_its_density_on_each_step_of_a_fit(visitor) -> None:
    """Its shape changes too, not only its place."""
    page = opened(visitor, family="SinhArcsinh", fitted="1", step="60")
    page.wait_for_function("document.querySelector('[data-name=picture]').dataset.frame === '60'")
    ends = fit.range_of(Skewed())
    vi = VI(family=SinhArcsinh(), mean=2.0, sd=1.4142, spread=ends.high - ends.low)
    phi = run(Job(vi, steps=80, seed=0))[60].state.phi[0]
    drawn = page.evaluate("""() => [...document.querySelector("[data-name=picture]").data]
        .filter((trace) => trace.mode === "lines" && trace.x?.length > 100)
        .map(({ x, y }) => [[...x], [...y]])""")
    misses = [
        np.abs(np.array(y) - summaries.density(SinhArcsinh(), phi, np.array(x))).max() for x, y in drawn
    ]
    assert min(misses) < 0.003, "no curve is q"
    expect(page.locator(".lv-handle")).to_have_count(0)


def test_the_hand_takes_q_off_the_optimizers_path(visitor) -> None:
    page = opened(visitor, fitted="1", step="20")
    page.wait_for_function("document.querySelector('[data-name=picture]').dataset.frame === '20'")
    x, _ = drag(page, CENTRE, 60)
    held = at(page)
    assert held[0] == pytest.approx(x, abs=1)
    page.mouse.up()
    stays(page, CENTRE, held)
    settled(page, mean="")
    stands = link(page)
    assert "fitted" not in stands and "step" not in stands
    expect(page.locator("[data-name=iterations]")).to_have_count(0)
    tells(page, float(stands["mean"]), float(stands["sd"]))


# ---- formula and game ----


def test_a_typed_formula_shows_its_posterior_and_a_broken_one_a_sentence(visitor) -> None:
    page = opened(visitor, target="Formula")
    field = page.get_by_label("log p(x, z) =")
    field.fill("-(z - 2)**2 / 2")
    field.press("Enter")
    settled(page, **{"target\\.expression": ""})
    expect(page.locator("[data-name=picture]")).to_have_attribute("aria-label", re.compile("Own formula"))
    page.wait_for_function("""() => {
        const { x, y } = document.querySelector("[data-name=picture]").data[0];
        const top = [...y].reduce((best, v, i, all) => (v > all[best] ? i : best), 0);
        return Math.abs(x[top] - 2) < 0.05 && Math.abs(y[top] - 0.3989) < 0.002;
    }""")
    no_fault(page)
    held = link(page)["target.expression"]
    field.fill("import os")
    field.press("Enter")
    expect(page.get_by_test_id("stAlertContentError")).to_have_count(1)
    expect(page.locator("[data-name=picture] .lv-handle")).to_have_count(2)
    assert link(page)["target.expression"] == held
    expect(page.get_by_test_id("stException")).to_have_count(0)


def test_a_guess_hides_the_kl_until_it_is_revealed(visitor) -> None:
    page = opened(visitor, guess="1", mean="1", sd="1.3")
    kl = decompose(Skewed(), Gaussian(), [1.0, math.log(1.3)]).kl
    best = summaries.best(Skewed(), Gaussian())[1]
    shown = page.locator("body").inner_text() + " ".join(page.locator("svg text").all_text_contents())
    assert f"{kl:.3f}" not in shown and f"{kl:.2f}"[1:] not in re.sub(r"[A-Z][^ ]*scene.*", "", shown)
    expect(page.locator("[data-name=thermometer]")).to_have_count(0)
    page.get_by_role("button", name="Reveal").first.click()
    expect(page.get_by_text(f"Your KL: {kl:.3f} nats")).to_be_visible()
    expect(page.get_by_text(f"The best: {best:.3f} nats")).to_be_visible()


# ---- every posterior and family ----


def fits_both_screens(page: Page) -> None:
    """Opened once: light on the wide screen, then dark on the narrow one."""
    for width, height, scheme in ((1440, 900, "light"), (1024, 768, "dark")):
        page.set_viewport_size({"width": width, "height": height})
        page.emulate_media(color_scheme=scheme)
        page.wait_for_function("document.documentElement.scrollWidth <= innerWidth")
        paper = "rgb(18, 20, 26)" if scheme == "dark" else "rgb(255, 255, 255)"
        expect(page.get_by_test_id("stApp")).to_have_css("background-color", paper)
        quiet(page)
        no_fault(page)


@pytest.mark.parametrize("target", [type(t).__name__ for t in each(Target) if t.dim == 1])
def test_every_posterior_opens(target, visitor) -> None:
    fits_both_screens(opened(visitor, target=target))


@pytest.mark.parametrize("family", [type(f).__name__ for f in each(Line)])
def test_every_family_opens_and_is_fitted(family, visitor) -> None:
    fits_both_screens(opened(visitor, family=family, target="TwoModes", fitted="1", step="10"))


@pytest.mark.parametrize("name", ["TwoModes", "Cauchy", "Spike"])
def test_choosing_another_posterior_puts_q_on_it(name, visitor) -> None:
    page = opened(visitor)
    page.get_by_role("combobox", name=re.compile("Posterior")).click()
    (made,) = [t for t in each(Target) if type(t).__name__ == name]
    page.get_by_role("option", name=made.name(), exact=True).click()
    expect(page).to_have_url(re.compile(f"target={name}"))
    quiet(page)
    no_fault(page)
    ends, handle = fit.range_of(made), page.locator(CENTRE)
    assert ends.low < float(handle.get_attribute("aria-valuenow")) < ends.high
    place = Place(float(link(page).get("mean", fit.first_place(made).mean)),
                  float(link(page).get("sd", fit.first_place(made).sd)))  # fmt: skip
    assert place.sd > ends.least
