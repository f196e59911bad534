"""A small SVG writer: a drawing with a title, a description, and styles for light and dark mode.

Coordinates are in px from the upper left corner. They are rounded to 0.1 px, so that rounding
errors of another machine do not change the file.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from xml.sax.saxutils import escape

WIDTH = 700
SIZE = 15  # font size in px
Point = tuple[float, float]

COLOURS = ("#1f86c8", "#d97b00", "#00936b", "#b85c97")
"""Blue, orange, green, purple. Their contrast with both backgrounds is at least 3 : 1."""

STYLE = """
svg{font-family:Arial,Helvetica,"DejaVu Sans",sans-serif;
--back:#ffffff;--ink:#1f2328;--dim:#59636e;--axis:#8c959f;--soft:#eef1f5}
@media (prefers-color-scheme:dark){svg{
--back:#0d1117;--ink:#e6edf3;--dim:#a3adb8;--axis:#6e7681;--soft:#1c232c}}
.back{fill:var(--back)}.soft{fill:var(--soft)}.ink{fill:var(--ink)}.dim{fill:var(--dim)}
text{paint-order:stroke;stroke:var(--back);stroke-width:3px;stroke-linejoin:round}
text.over{fill:#ffffff}text.flat{stroke:none}.bold{font-weight:bold}
.line{fill:none;stroke:var(--ink)}.axis{fill:none;stroke:var(--axis)}
.box{fill:var(--soft);stroke:var(--axis);stroke-width:1.5}
.mark{stroke:var(--ink);stroke-width:1}.hollow{fill:var(--back)}
.dash{stroke-dasharray:7 5}.dot{stroke-dasharray:2 4}
"""
STYLE += "".join(f".f{i}{{fill:{c}}}.s{i}{{stroke:{c}}}\n" for i, c in enumerate(COLOURS, 1))
SCRIPT = re.compile(r"([\^_])\{(.*?)\}")


class Drawing:
    """A picture of 700 px width. Methods append shapes; later shapes cover earlier shapes."""

    def __init__(self, height: int, title: str, description: str) -> None:
        self.height, self.title, self.description = height, title, description
        self.parts: list[str] = []

    def render(self) -> str:
        """Return the text of the SVG file."""
        size = f'viewBox="0 0 {WIDTH} {self.height}" width="{WIDTH}" height="{self.height}"'
        head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img"'
        lines = [
            f'{head} aria-labelledby="title desc">',
            f'<title id="title">{escape(self.title)}</title>',
            f'<desc id="desc">{escape(self.description)}</desc>',
            f"<style>{STYLE}</style>",
            f'<rect class="back" width="{WIDTH}" height="{self.height}"/>',
            *self.parts,
            "</svg>",
        ]
        return "\n".join(lines) + "\n"

    def text(
        self,
        point: Point,
        words: str,
        css: str = "ink",
        *,
        size: float = SIZE,
        anchor: str = "start",
        turn: float = 0,
    ) -> None:
        """Add a line of text with its baseline at a point; ^{..} and _{..} shift a part."""
        x, y = map(format_number, point)
        turned = f' transform="rotate({format_number(turn)} {x} {y})"' if turn else ""
        shape = f'x="{x}" y="{y}" font-size="{format_number(size)}" text-anchor="{anchor}"{turned}'
        self.parts.append(f'<text class="{css}" {shape}>{shift_scripts(escape(words))}</text>')

    def heading(self, words: str) -> None:
        """Add the heading of the picture."""
        self.text((14, 27), words, "ink bold", size=17)

    def rect(self, corner: Point, size: Point, css: str, *, radius: float = 0) -> None:
        """Add a rectangle with an upper left corner."""
        (x, y), (w, h) = map(format_number, corner), map(format_number, size)
        shape = f'x="{x}" y="{y}" width="{w}" height="{h}"'
        rounded = f' rx="{format_number(radius)}"' if radius else ""
        self.parts.append(f'<rect class="{css}" {shape}{rounded}/>')

    def line(self, points: Iterable[Point], css: str = "line", *, width: float = 1.5) -> None:
        """Add a line through points."""
        path = " ".join(f"{format_number(x)},{format_number(y)}" for x, y in points)
        self.parts.append(f'<polyline class="{css}" points="{path}" stroke-width="{width}"/>')

    def arrow(self, points: Sequence[Point], css: str, head: str, *, width: float = 1.5) -> None:
        """Add a line through points with a triangle of the class `head` at its end."""
        (x0, y0), (x1, y1) = points[-2:]
        length = ((x1 - x0) ** 2 + (y1 - y0) ** 2) ** 0.5
        dx, dy = ((x1 - x0) / length, (y1 - y0) / length) if length else (0.0, 0.0)
        tip = 5 + 2 * width
        bx, by, half = x1 - tip * dx, y1 - tip * dy, tip / 2
        self.line([*points[:-1], (bx, by)], css, width=width)
        corners = [(bx - half * dy, by + half * dx), (bx + half * dy, by - half * dx)]
        self.polygon([(x1, y1), *corners], head)

    def polygon(self, points: Iterable[Point], css: str, *, fill: str = "") -> None:
        """Add a closed shape; `fill` is a colour that replaces the colour of the class."""
        path = " ".join(f"{format_number(x)},{format_number(y)}" for x, y in points)
        colour = f' fill="{fill}"' if fill else ""
        self.parts.append(f'<polygon class="{css}" points="{path}"{colour}/>')

    def marker(self, kind: int, centre: Point, css: str, *, r: float = 6, fill: str = "") -> None:
        """Add a circle (1), square (2), triangle (3) or diamond (4)."""
        x, y = centre
        if kind == 1:
            colour = f' fill="{fill}"' if fill else ""
            shape = f'cx="{format_number(x)}" cy="{format_number(y)}" r="{format_number(r)}"'
            self.parts.append(f'<circle class="{css}" {shape}{colour}/>')
            return
        s, t = 0.9 * r, 1.25 * r
        corners = {
            2: [(x - s, y - s), (x + s, y - s), (x + s, y + s), (x - s, y + s)],
            3: [(x, y - t), (x + t, y + 0.8 * t), (x - t, y + 0.8 * t)],
            4: [(x, y - t), (x + t, y), (x, y + t), (x - t, y)],
        }
        self.polygon(corners[kind], css, fill=fill)


def format_number(value: float) -> str:
    """Return a coordinate rounded to 0.1. First, 1e-6 removes rounding errors beside a tie."""
    return f"{round(round(float(value), 6), 1) + 0.0:g}"


def shift_scripts(words: str) -> str:
    """Return a text with ^{..} raised and _{..} lowered, both smaller."""

    def replace(match: re.Match[str]) -> str:
        up = match[1] == "^"
        first, back = ("-0.5", "0.38") if up else ("0.3", "-0.23")
        small = f'<tspan dy="{first}em" font-size="75%">{match[2]}</tspan>'
        return f'{small}<tspan dy="{back}em">\u200b</tspan>'

    return SCRIPT.sub(replace, words)


def mix_colours(weights: Iterable[float]) -> str:
    """Return the mean of the colours with weights of sum 1."""
    channels = [[int(c[i : i + 2], 16) for i in (1, 3, 5)] for c in COLOURS]
    pairs = list(zip(weights, channels, strict=False))
    mean = [round(sum(w * rgb[i] for w, rgb in pairs)) for i in range(3)]
    return "#" + "".join(f"{min(255, max(0, channel)):02x}" for channel in mean)
