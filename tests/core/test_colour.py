"""The colours derived from one accent colour."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from referral.core import colour, oklch
from referral.core.colour import DEFAULT, Colours, Palette, TooLightError
from referral.http import pages

PAGES_CSS = (Path(pages.__file__).parent / "pages.css").read_text()

colours = st.integers(0, 0xFFFFFF).map("#{:06x}".format)
# Green counts most for the lightness, so none of these can be read on white
light_colours = st.tuples(st.integers(0, 0xFF), st.integers(0xA0, 0xFF), st.integers(0, 0xFF)).map(
    lambda parts: "#{:02x}{:02x}{:02x}".format(*parts)
)


def accepted(text: str) -> Palette | None:
    try:
        return colour.palette(text)
    except TooLightError:
        return None


def is_readable(text: str) -> bool:
    """Return whether links of this colour have enough contrast in light mode."""
    return all(colour.contrast(text, each) >= 4.5 for each in colour.LIGHT_BACKGROUNDS)


@pytest.mark.parametrize(
    ("text", "parsed"),
    [
        ("#0a7", "#00aa77"),
        ("#0A7", "#00aa77"),
        ("#3454d1", "#3454d1"),
        ("#3454D1", "#3454d1"),
        ("#000", "#000000"),
    ],
)
def test_a_colour_is_parsed(text: str, parsed: str) -> None:
    assert colour.parse(text) == parsed


@pytest.mark.parametrize(
    "text",
    ["", "#", "0a7", "#0a", "#0a7f", "#0a7f00ff", "#0a7f0", "#gg0000", "red", "#٠٠٠", "#0a7\n"],
)
def test_another_text_is_no_colour(text: str) -> None:
    with pytest.raises(ValueError, match="not a colour"):
        colour.parse(text)


@pytest.mark.parametrize(
    ("one", "other", "ratio"),
    [
        # Figures of https://webaim.org/resources/contrastchecker
        ("#000000", "#ffffff", 21.0),
        ("#ffffff", "#ffffff", 1.0),
        ("#777777", "#ffffff", 4.48),
        ("#767676", "#ffffff", 4.54),
        ("#0000ff", "#ffffff", 8.59),
        ("#ff0000", "#ffffff", 4.0),
        ("#00ff00", "#000000", 15.3),
    ],
)
def test_contrast_is_that_of_wcag(one: str, other: str, ratio: float) -> None:
    assert colour.contrast(one, other) == pytest.approx(ratio, abs=0.005)
    assert colour.contrast(one, other) == colour.contrast(other, one)


def test_the_default_accent_has_the_default_colours() -> None:
    assert colour.palette(DEFAULT.light.accent) == DEFAULT


def test_the_defaults_are_what_would_be_derived() -> None:
    """They were chosen first; the derivation differs from them by less than the eye sees."""
    derived = colour.palette("#3454d0")
    for mine, chosen in ((derived.light, DEFAULT.light), (derived.dark, DEFAULT.dark)):
        for name in ("accent", "on_accent", "tint", "bars"):
            assert distance(getattr(mine, name), getattr(chosen, name)) <= 8, name


def test_backgrounds_are_those_of_the_style_sheet() -> None:
    blocks = re.findall(r"--paper:(#\w+);--card:(#\w+);", PAGES_CSS)
    assert [tuple(map(colour.parse, block)) for block in blocks] == [
        colour.LIGHT_BACKGROUNDS,
        colour.DARK_BACKGROUNDS,
    ]


@settings(max_examples=40)
@given(colours)
@example("#000000")
@example("#717171")
@example("#3454d1")
def test_every_accepted_colour_is_readable_everywhere(accent: str) -> None:
    """Links on every background, text on buttons of both kinds, and charts, in both modes."""
    palette = accepted(accent) or colour.palette(colour.nearest(accent))
    for name, modes in colour.pairs(palette).items():
        for pair in modes:
            assert pair.contrast >= (3 if name == "bars" else 4.5), (name, pair)
    for each, backgrounds in (
        (palette.light, colour.LIGHT_BACKGROUNDS),
        (palette.dark, colour.DARK_BACKGROUNDS),
    ):
        for background in (*backgrounds, each.tint):
            assert colour.contrast(each.accent, background) >= 4.5


@given(colours)
def test_a_colour_is_used_as_it_is_or_refused(accent: str) -> None:
    palette = accepted(accent)
    assert (palette is not None) == is_readable(accent)
    if palette is not None:
        assert palette.light.accent == accent


@settings(max_examples=40)
@given(light_colours)
@example("#ffcc00")
@example("#ffffff")
def test_the_nearest_colour_is_the_lightest_that_is_accepted(accent: str) -> None:
    """Its hue is the same, and no colour between the two is accepted."""
    assert not is_readable(accent)
    with pytest.raises(TooLightError) as error:
        colour.palette(accent)
    found = error.value.nearest
    assert is_readable(found)
    lightness, chroma, hue = oklch.of(accent)
    reached, *_ = oklch.of(found)
    assert reached < lightness
    # A step of one in each component is up to 0.004
    for number in range(1, 20):
        between = reached + 0.004 + (lightness - reached) * number / 20
        assert not is_readable(oklch.to_hex(between, chroma, hue)), between


@pytest.mark.parametrize(
    ("accent", "nearest"),
    [("#ffcc00", "#8c6e00"), ("#ffffff", "#717171"), ("#ff5a00", "#c94500")],
)
def test_nearest(accent: str, nearest: str) -> None:
    assert colour.nearest(accent) == nearest


def test_a_very_dark_accent_is_light_in_dark_mode() -> None:
    palette = colour.palette("#0b0b2a")
    assert palette.light == Colours(
        accent="#0b0b2a", on_accent="#ffffff", tint=palette.light.tint, bars=palette.light.bars
    )
    assert colour.contrast(palette.dark.accent, colour.DARK_BACKGROUNDS[0]) > 7


def distance(one: str, other: str) -> int:
    """Return the largest difference of a component."""
    return max(abs(int(one[at : at + 2], 16) - int(other[at : at + 2], 16)) for at in (1, 3, 5))
