"""The colours say what they should, and can be told from the page; numbers are written one way."""

import math

import numpy as np
import plotly.graph_objects as go
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lvmviz.figures import theme

BOTH = pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])


def linear(byte):
    """One sRGB byte as light, written from the standard and not from the code under test."""
    value = byte / 255
    return value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4


def luminance(colour):
    red, green, blue = (linear(int(colour[i : i + 2], 16)) for i in (1, 3, 5))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one, other):
    """WCAG 2.1's contrast ratio."""
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


# ---- colours ----


@pytest.mark.parametrize(
    ("name", "light", "dark"),
    [
        ("text", 16.9, 15.4),
        ("muted", 6.1, 7.7),
        ("posterior", 6.0, 7.6),
        ("gap", 5.7, 5.8),
        ("q_mark", 3.6, 9.1),
        ("q_text", 5.3, 9.1),
        ("prior", 3.8, 5.0),
        ("theta_mark", 4.65, 8.8),
    ],
)
def test_contrast_on_the_page_is_as_measured(name, light, dark):
    assert contrast(getattr(theme.LIGHT, name), theme.LIGHT.bg) == pytest.approx(light, abs=0.06)
    assert contrast(getattr(theme.DARK, name), theme.DARK.bg) == pytest.approx(dark, abs=0.06)


@BOTH
def test_words_can_be_read_also_on_inputs(dark):
    colours = theme.tokens(dark)
    for ground in (colours.bg, colours.surface):
        for name in ("text", "muted", "q_text", "theta_text", "posterior", "gap"):
            assert contrast(getattr(colours, name), ground) >= 4.5, (name, ground)


@BOTH
def test_twenty_categories_stand_out_from_the_page_and_differ(dark):
    colours = theme.tokens(dark)
    assert len(set(colours.categories)) == 20
    assert min(contrast(colour, colours.bg) for colour in colours.categories) >= (4.1 if dark else 3.05)


@BOTH
def test_every_colour_is_six_hex_digits(dark):
    colours = theme.tokens(dark)
    plain = [value for value in colours if isinstance(value, str)] + list(colours.categories)
    for colour in plain + [colour for _, colour in colours.landscape]:
        assert theme.rgb(colour) == tuple(bytes.fromhex(colour[1:]))
    places = [place for place, _ in colours.landscape]
    assert places == sorted(places) and (places[0], places[-1]) == (0, 1)


def test_fill_keeps_the_colour():
    assert theme.fill("#1D5FC4", 0.13) == "rgba(29,95,196,0.13)"


# ---- mixing ----


@BOTH
def test_a_certain_point_has_its_category_colour(dark):
    expected = [theme.rgb(colour) for colour in theme.tokens(dark).categories]
    assert theme.mix(np.eye(20), dark).tolist() == [list(colour) for colour in expected]


@BOTH
def test_light_is_mixed_and_not_bytes(dark):
    resp = np.random.default_rng(0).dirichlet(np.ones(7), (4, 5))
    made = theme.mix(resp, dark)
    assert made.shape == (4, 5, 3) and made.dtype == np.uint8
    categories = theme.tokens(dark).categories[:7]
    for channel in range(3):
        light = [linear(theme.rgb(colour)[channel]) for colour in categories]
        back = np.vectorize(linear)(made[..., channel].astype(float))
        half_a_byte = 0.5 / 255 * 2.4  # the steepest part of the sRGB curve
        assert np.abs(back - resp @ light).max() < half_a_byte


def test_more_components_than_colours_are_refused():
    with pytest.raises(ValueError, match="use fewer components"):
        theme.mix(np.ones((2, 21)) / 21, dark=False)


# ---- numbers ----


@pytest.mark.parametrize(
    ("x", "decimals", "signed", "text"),
    [
        (-2.02814, 4, False, "−2.0281"),
        (0.047, 4, True, "+0.0470"),
        (-0.00001, 2, True, "0.00"),
        (-0.0, 1, False, "0.0"),
        (math.inf, 3, False, "∞"),
        (math.inf, 3, True, "+∞"),
        (-math.inf, 3, False, "−∞"),
        (math.nan, 3, True, "undefined"),
        (12.5, 0, False, "12"),
    ],
)
def test_numbers_are_written_one_way(x, decimals, signed, text):
    assert theme.number(x, decimals, signed=signed) == text


@given(st.floats(-1e4, 1e4), st.floats(1e-4, 1e4))
def test_ticks_are_inside_and_told_apart_by_the_fewest_decimals(low, width):
    made = theme.ticks(low, low + width)
    values, texts = made["tickvals"], made["ticktext"]
    assert 3 <= len(values) <= 7
    assert low - 1e-6 * width <= values[0] and values[-1] <= low + width * (1 + 1e-6)
    assert len(set(texts)) == len(texts)
    numbers = [float(text.replace("−", "-")) for text in texts]
    assert numbers == pytest.approx(values, abs=1e-6 * width + 1e-9)
    decimals = {len(text.partition(".")[2]) for text in texts}
    assert len(decimals) == 1
    if (digits := decimals.pop()) > 0:
        fewer = [f"{value:.{digits - 1}f}" for value in values]
        exact = [float(text) for text in fewer] == pytest.approx(values, abs=1e-6 * width)
        assert not exact, "one decimal fewer says the same"


@given(st.floats(1e-9, 1e9))
def test_at_least_is_the_next_one_two_or_five(size):
    step = theme.at_least(size)
    lead = step / 10 ** math.floor(math.log10(step * (1 + 1e-9)))
    assert min(abs(lead - one) for one in (1, 2, 5)) < 1e-6
    assert size * (1 - 1e-9) <= step <= size * 2.5 * (1 + 1e-9)


# ---- the layout ----


@BOTH
def test_a_figure_brings_a_small_template_of_its_own(dark):
    made = theme.figure(theme.tokens(dark), height=146)
    assert len(made.checked().to_json()) < 2000
    style = made.layout.template.layout
    assert style.paper_bgcolor == style.plot_bgcolor == "rgba(0,0,0,0)"
    assert style.dragmode is False and style.showlegend is False
    for axis in (style.xaxis, style.yaxis):
        assert axis.fixedrange and axis.ticklen == 4 and axis.tickfont.size == 11 and axis.title.standoff == 6
        assert not axis.showgrid and not axis.zeroline
    assert made.layout.margin.to_plotly_json() == {"l": 44, "r": 12, "t": 8, "b": 34}
    assert isinstance(made.checked(), go.Figure) and made.layout.height == 146
