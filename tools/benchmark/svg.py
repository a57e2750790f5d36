"""Line charts as SVG, without a library: light, both axes named, logarithmic where asked for."""

import math
from dataclasses import dataclass
from xml.sax.saxutils import escape

WIDTH, HEIGHT = 720, 420
LEFT, RIGHT, TOP, BOTTOM = 78, 24, 88, 58
INK, GRID, PAPER = "#333333", "#e4e4e4", "#ffffff"
COLOURS = ("#1f6fb4", "#d1660a", "#2b8a4b", "#8a3fa0")


@dataclass
class Line:
    label: str
    points: list  # (x, y)
    colour: int = 0  # of COLOURS
    dashed: bool = False


class Axis:
    """Values to pixels. `ticks`: where they are known; they may end before the values do."""

    def __init__(self, values, is_log, begin, end, ticks=None):
        self.is_log = is_log
        self.begin, self.end = begin, end
        low, high = (min(values), max(values)) if is_log or ticks else (0, max(values))
        self.ticks = ticks or (log_ticks(low, high) if is_log else even_ticks(high))
        self.low = min(low, self.ticks[0])
        self.high = max(high, self.ticks[-1])

    def scale(self, value):
        return math.log10(value) if self.is_log else value

    def place(self, value):
        low, high = self.scale(self.low), self.scale(self.high)
        share = (self.scale(value) - low) / ((high - low) or 1)
        return round(self.begin + share * (self.end - self.begin), 1)


def log_ticks(low, high):
    """1, 10, 100 ..., with 2 and 5 where that leaves few."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    steps = (1,) if last - first > 3 else (1, 2, 5)
    ticks = [step * 10.0 ** power for power in range(first, last + 1) for step in steps]
    below = [tick for tick in ticks if tick <= low]
    above = [tick for tick in ticks if tick >= high]
    return [tick for tick in ticks if (below[-1] if below else low) <= tick <= above[0]]


def even_ticks(high):
    high = high or 1
    step = 10.0 ** math.floor(math.log10(high))
    step = next(step * part for part in (0.1, 0.2, 0.5, 1, 2) if high / (step * part) <= 6)
    return [i * step for i in range(math.ceil(high / step) + 1)]


def short(value):
    for size, letter in ((1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:g}{letter}"
    return f"{value:g}"


def text(x, y, words, anchor="middle", size=12, extra=""):
    return (f'<text x="{x}" y="{y}" text-anchor="{anchor}" font-size="{size}" fill="{INK}" {extra}>'
            f"{escape(words)}</text>")


def stroke(x1, y1, x2, y2, colour, width=1, extra=""):
    return (f'<line x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}" stroke="{colour}" '
            f'stroke-width="{width}" {extra}/>')


def dashes(line):
    return 'stroke-dasharray="5 4"' if line.dashed else ""


def legend(lines):
    """Three to a row, below the title."""
    out = []
    for index, line in enumerate(lines):
        x = LEFT + index % 3 * 212
        y = 46 + index // 3 * 17
        out.append(stroke(x, y - 4, x + 26, y - 4, COLOURS[line.colour], 2.2, dashes(line)))
        out.append(text(x + 32, y, line.label, "start"))
    return out


def grid(x, y):
    out = []
    for tick in x.ticks:
        out.append(stroke(x.place(tick), TOP, x.place(tick), HEIGHT - BOTTOM, GRID))
        out.append(text(x.place(tick), HEIGHT - BOTTOM + 18, short(tick)))
    for tick in y.ticks:
        out.append(stroke(LEFT, y.place(tick), WIDTH - RIGHT, y.place(tick), GRID))
        out.append(text(LEFT - 8, y.place(tick) + 4, short(tick), "end"))
    out.append(stroke(LEFT, TOP, LEFT, HEIGHT - BOTTOM, INK))
    out.append(stroke(LEFT, HEIGHT - BOTTOM, WIDTH - RIGHT, HEIGHT - BOTTOM, INK))
    return out


def curve(line, x, y):
    places = [(x.place(a), y.place(b)) for a, b in sorted(line.points)]
    joined = " ".join(f"{a},{b}" for a, b in places)
    colour = COLOURS[line.colour]
    out = [f'<polyline points="{joined}" fill="none" stroke="{colour}" stroke-width="2.2" '
           f"{dashes(line)}/>"]
    return out + [f'<circle cx="{a}" cy="{b}" r="3" fill="{PAPER if line.dashed else colour}" '
                  f'stroke="{colour}" stroke-width="1.5"/>' for a, b in places]


def chart(title, x_label, y_label, lines, x_ticks=None, x_log=True, y_log=False):
    """The text of an SVG file."""
    x = Axis([a for line in lines for a, _ in line.points], x_log, LEFT, WIDTH - RIGHT, x_ticks)
    y = Axis([b for line in lines for _, b in line.points], y_log, HEIGHT - BOTTOM, TOP)
    middle = (TOP + HEIGHT - BOTTOM) / 2
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
             f'width="{WIDTH}" height="{HEIGHT}" font-family="Helvetica, Arial, sans-serif">',
             f'<rect width="{WIDTH}" height="{HEIGHT}" fill="{PAPER}"/>',
             text(LEFT, 24, title, "start", 15, 'font-weight="bold"'), *legend(lines),
             *grid(x, y), text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 16, x_label, size=13),
             text(20, middle, y_label, size=13, extra=f'transform="rotate(-90 20 {middle})"')]
    for line in lines:
        parts += curve(line, x, y)
    return "\n".join([*parts, "</svg>", ""])
