"""A recording of the app as one animated SVG, which a README can show: no video, no player, no font from the network.

Each row that was ever on the screen stands once; a frame is a list of them, and a style sheet shows one after another.
"""

from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Any

from rich.cells import cell_len
from rich.style import Style

WIDTH, HEIGHT, SIZE = 8.4, 18.0, 14
MARGIN, BAR = 10, 30
FONT = "ui-monospace, Menlo, Consolas, 'DejaVu Sans Mono', monospace"


def _row(strip: Any, foreground: str, background: str) -> str:
    """Return one row of the screen: backgrounds that differ, then the text, each stretch in its own place."""
    under: list[str] = []
    over: list[str] = []
    at = 0
    for segment in strip:
        cells = cell_len(segment.text)
        style = segment.style or Style()
        ink = style.color.get_truecolor().hex if style.color and not style.color.is_default else foreground
        paper = (
            style.bgcolor.get_truecolor().hex
            if style.bgcolor and not style.bgcolor.is_default
            else background
        )
        if style.reverse:
            ink, paper = paper, ink
        x = at * WIDTH
        if paper != background:
            under.append(
                f'<rect x="{x:.1f}" width="{cells * WIDTH + 0.3:.1f}" height="{HEIGHT + 0.3}" fill="{paper}"/>'
            )
        text = segment.text.rstrip() if not style.underline else segment.text
        if text.strip():
            more = ' font-weight="bold"' if style.bold else ""
            more += ' text-decoration="underline"' if style.underline else ""
            length = cell_len(text) * WIDTH
            over.append(
                f'<text x="{x:.1f}" y="{HEIGHT * 0.75:.1f}" fill="{ink}" textLength="{length:.1f}"{more}>'
                f"{escape(text, quote=False)}</text>"
            )
        at += cells
    return "".join(under + over)


@dataclass
class Recording:
    """Frames of an app, each with the seconds that it is shown for."""

    title: str
    rows: dict[str, int] = field(default_factory=dict)
    frames: list[tuple[float, list[int]]] = field(default_factory=list)
    size: tuple[int, int] = (0, 0)
    colours: tuple[str, str] = ("", "")

    def take(self, app: Any, seconds: float) -> None:
        """Add the screen as it is now; where it is that of the frame before, show that one longer."""
        colours = app.current_theme
        self.colours = (colours.foreground, colours.background)
        self.size = (app.size.width, app.size.height)
        strips = app.screen._compositor.render_strips()
        frame = [self.rows.setdefault(_row(strip, *self.colours), len(self.rows)) for strip in strips]
        if self.frames and self.frames[-1][1] == frame:
            self.frames[-1] = (self.frames[-1][0] + seconds, frame)
        else:
            self.frames.append((seconds, frame))

    def save(self, path: Path) -> None:
        """Write the SVG."""
        foreground, background = self.colours
        width = self.size[0] * WIDTH + 2 * MARGIN
        height = self.size[1] * HEIGHT + BAR + MARGIN
        total = sum(seconds for seconds, _ in self.frames)
        rules, groups, begun = [], [], 0.0
        for number, (seconds, frame) in enumerate(self.frames):
            begin, end = 100 * begun / total, 100 * (begun + seconds) / total
            begun += seconds
            hidden = "0%{visibility:hidden}" if begin > 0 else ""
            rules.append(
                f"@keyframes f{number}{{{hidden}{begin:.3f}%{{visibility:visible}}{end:.3f}%{{visibility:hidden}}}}"
                f"#f{number}{{animation:f{number} {total:.2f}s step-end infinite}}"
            )
            uses = "".join(f'<use href="#r{row}" y="{y * HEIGHT:.0f}"/>' for y, row in enumerate(frame))
            first = "" if number else ' style="visibility:visible"'
            groups.append(f'<g id="f{number}" class="f"{first}>{uses}</g>')
        dots = "".join(
            f'<circle cx="{MARGIN + 8 + 18 * i}" cy="{BAR / 2}" r="5.5" fill="{colour}"/>'
            for i, colour in enumerate(("#e0697a", "#e0b95c", "#85c47c"))
        )
        rows = "".join(f'<g id="r{number}">{row}</g>' for row, number in self.rows.items())
        path.write_text(
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" font-family="{FONT}" '
            f'font-size="{SIZE}" xml:space="preserve"><title>{escape(self.title)}</title>'
            f"<style>text{{white-space:pre}}.f{{visibility:hidden}}{''.join(rules)}</style>"
            f'<rect width="100%" height="100%" rx="8" fill="{background}" stroke="#3a4452"/>{dots}'
            f'<text x="{width / 2:.0f}" y="{BAR / 2 + 5}" text-anchor="middle" fill="{foreground}">'
            f"{escape(self.title)}</text><defs>{rows}</defs>"
            f'<g transform="translate({MARGIN} {BAR})">{"".join(groups)}</g></svg>\n',
            "utf-8",
        )
