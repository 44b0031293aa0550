"""The look in one place: colours, spacing and type, light and dark.

From these tokens come the style sheet of our own parts and the Material theme of the dashboard, so that nothing on a
screen ever has a colour of its own.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Palette:
    """Colours of one mode. Every text colour reaches a contrast of 4.5 (WCAG AA) on `ground` and on `surface`."""

    ground: str
    surface: str
    raised: str
    ink: str
    soft: str
    line: str
    hover: str
    accent: str
    on_accent: str
    good: str
    warn: str
    bad: str
    info: str
    idle: str


LIGHT = Palette(
    ground="#f8f9fb",
    surface="#ffffff",
    raised="#ffffff",
    ink="#1c1f27",
    soft="#5c6372",
    line="#e4e7ec",
    hover="#f2f4f8",
    accent="#4a45d1",
    on_accent="#ffffff",
    good="#17693a",
    warn="#875000",
    bad="#b3261e",
    info="#1c5fa6",
    idle="#5c6372",
)
DARK = Palette(
    ground="#101218",
    surface="#15181f",
    raised="#1c2029",
    ink="#e6e8ee",
    soft="#a2a9b8",
    line="#272c37",
    hover="#1c2029",
    accent="#9d97ff",
    on_accent="#12131a",
    good="#74d19c",
    warn="#efb560",
    bad="#ff958c",
    info="#82b9f6",
    idle="#a2a9b8",
)
SERIES = ("#4a45d1", "#0e8a7d", "#c2571a", "#b0307a", "#5a7d1e", "#1c5fa6", "#8a6d00", "#7a4fb5")
"""Colours of the lines of a plot, in their order; they are told apart on both grounds."""

FONT = 'Roboto, "Segoe UI", system-ui, -apple-system, "Helvetica Neue", Arial, sans-serif'
MONO = 'ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace'
TEXT_PX, SMALL_PX, TITLE_PX, ROW_PX, RADIUS_PX = 13, 12, 20, 30, 6


def css_variables() -> str:
    """The tokens as custom properties of ``.luml``; the class ``dark`` beside it chooses the dark ones."""
    sizes = {"font": FONT, "mono": MONO, "text": f"{TEXT_PX}px", "small": f"{SMALL_PX}px", "title": f"{TITLE_PX}px"}
    sizes |= {"row": f"{ROW_PX}px", "radius": f"{RADIUS_PX}px"}
    light, dark = _declarations(asdict(LIGHT) | sizes), _declarations(asdict(DARK))
    return f".luml{{color-scheme:light;{light}}}\n.luml.dark{{color-scheme:dark;{dark}}}\n"


def _declarations(values: dict[str, str]) -> str:
    return "".join(f"--{name.replace('_', '-')}:{value};" for name, value in values.items())


def mui_theme() -> dict[str, Any]:
    """`theme_config` of panel-material-ui for both modes."""
    return {"light": _mui(LIGHT), "dark": _mui(DARK)}


def _mui(palette: Palette) -> dict[str, Any]:
    return {
        "palette": {
            "primary": {"main": palette.accent, "contrastText": palette.on_accent},
            "success": {"main": palette.good},
            "warning": {"main": palette.warn},
            "error": {"main": palette.bad},
            "info": {"main": palette.info},
            "background": {"default": palette.ground, "paper": palette.surface},
            "text": {"primary": palette.ink, "secondary": palette.soft},
            "divider": palette.line,
        },
        "typography": {"fontFamily": FONT, "fontSize": TEXT_PX, "button": {"textTransform": "none"}},
        "shape": {"borderRadius": RADIUS_PX},
        "components": _mui_components(palette),
    }


def _mui_components(palette: Palette) -> dict[str, Any]:
    bar = {"backgroundColor": palette.ground, "color": palette.ink, "boxShadow": "none", "backgroundImage": "none"}
    drawer = {"backgroundColor": palette.ground, "borderRight": "none", "backgroundImage": "none"}
    return {
        "MuiAppBar": {"styleOverrides": {"root": {**bar, "borderBottom": f"1px solid {palette.line}"}}},
        "MuiToolbar": {"styleOverrides": {"root": {"minHeight": "48px !important", "padding": "0 16px !important"}}},
        "MuiDrawer": {"styleOverrides": {"paper": drawer}},
        "MuiIconButton": {"styleOverrides": {"root": {"padding": "6px", "color": palette.soft}}},
        "MuiSvgIcon": {"styleOverrides": {"root": {"fontSize": "20px"}}},
    }
