"""Zero, false, not-a-number and missing are four different things, and other rules of writing values."""

from __future__ import annotations

import doctest
import math

import pytest

from luml_widgets import figures, theme
from luml_widgets.figures import MISSING, aligned, number, plain


def test_the_examples_in_the_docstrings() -> None:
    assert doctest.testmod(figures).failed == 0


def test_zero_false_nan_and_missing_differ() -> None:
    shown = [str(plain(value)) for value in (0, False, math.nan, None, "")]
    assert len(set(shown)) == 5
    assert plain(None) is MISSING


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (1.0, "1"),
        (-3, "\u22123"),
        (0.00002, "2e-05"),
        (1e18, "1e+18"),
        (-math.inf, "\u2212∞"),
        (99.5, "99.5000"),
    ],
)
def test_numbers(value: float, text: str) -> None:
    assert number(value) == text


def test_a_tiny_number_in_a_column_does_not_look_like_zero() -> None:
    assert aligned(0.00001, 4)["text"] != aligned(0, 4)["text"]


def test_a_truth_value_in_a_column_of_numbers_stays_one() -> None:
    assert aligned(True, 4) == "true"


@pytest.mark.parametrize("palette", [theme.LIGHT, theme.DARK], ids=["light", "dark"])
def test_text_can_be_read_on_every_ground(palette: theme.Palette) -> None:
    texts = {name: getattr(palette, name) for name in ("ink", "soft", "accent", "good", "warn", "bad", "info", "idle")}
    for name, colour in texts.items():
        for ground in (palette.ground, palette.surface):
            assert contrast(colour, ground) >= 4.5, f"{name} on {ground}"
    assert contrast(palette.on_accent, palette.accent) >= 4.5


def contrast(one: str, other: str) -> float:
    """The contrast ratio of WCAG 2."""
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
