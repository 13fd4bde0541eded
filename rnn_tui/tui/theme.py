"""Colours: two calm themes of our own, and what the built-in ones lack."""

from textual.theme import Theme

DARK, LIGHT = "rnn-dark", "rnn-light"

_CHART_DARK = ("#6cb0e8", "#e5a650", "#85c47c", "#c792d4", "#55c2ba", "#e07a6f", "#a9a4ec", "#b9b784")
_CHART_LIGHT = ("#1f6fb2", "#b3690b", "#3c7f35", "#8a4599", "#0f7f79", "#b8433a", "#5c55b8", "#6f6c2c")
_CHART_ANSI = (
    "ansi_blue", "ansi_yellow", "ansi_green", "ansi_magenta",
    "ansi_cyan", "ansi_red", "ansi_bright_blue", "ansi_bright_green",
)  # fmt: skip


def chart_variables(*, dark: bool, ansi: bool) -> dict[str, str]:
    """Return `chart-1` … `chart-8`, the colours of series, which every theme gets."""
    colours = _CHART_ANSI if ansi else _CHART_DARK if dark else _CHART_LIGHT
    return {f"chart-{i}": colour for i, colour in enumerate(colours, 1)}


THEMES = (
    Theme(
        name=DARK,
        primary="#6cb0e8",
        secondary="#557a9c",
        accent="#e5a650",
        success="#85c47c",
        warning="#e0b95c",
        error="#e0697a",
        foreground="#d5dae3",
        background="#14171c",
        surface="#1a1e25",
        panel="#222832",
        dark=True,
        variables={
            "footer-key-foreground": "#e5a650",
            "input-selection-background": "#6cb0e8 35%",
            "scrollbar": "#3a4452",
            "scrollbar-hover": "#557a9c",
            "scrollbar-active": "#6cb0e8",
            "scrollbar-background": "#14171c",
            "scrollbar-background-hover": "#1a1e25",
            "scrollbar-background-active": "#1a1e25",
        },
    ),
    Theme(
        name=LIGHT,
        primary="#1f6fb2",
        secondary="#5a7fa3",
        accent="#b3690b",
        success="#3c7f35",
        warning="#9a6b00",
        error="#b3243c",
        foreground="#23272e",
        background="#fbfaf7",
        surface="#f3f1ec",
        panel="#e7e4dc",
        dark=False,
        variables={
            "footer-key-foreground": "#b3690b",
            "input-selection-background": "#1f6fb2 30%",
            "scrollbar": "#c9c5ba",
            "scrollbar-hover": "#5a7fa3",
            "scrollbar-active": "#1f6fb2",
            "scrollbar-background": "#fbfaf7",
            "scrollbar-background-hover": "#f3f1ec",
            "scrollbar-background-active": "#f3f1ec",
        },
    ),
)


def rich_colours(theme: Theme) -> dict[str, str]:
    """Return good, warn, bad and `chart-1` … `chart-8` as rich knows them, for tables, whose cells are rich texts."""
    named = {
        "good": theme.success or "green",
        "warn": theme.warning or "yellow",
        "bad": theme.error or "red",
        "accent": theme.accent or "cyan",
    }
    colours = named | chart_variables(dark=theme.dark, ansi=theme.ansi)
    return {name: colour.removeprefix("ansi_") for name, colour in colours.items()}
