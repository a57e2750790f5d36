"""What is promised, beside what was measured."""

from dataclasses import dataclass


@dataclass
class Bar:
    """One line: `value` against `limit`; `low` and `high` are the range over blocks, if any."""
    label: str
    value: float
    limit: float
    at_least: bool
    unit: str = ""
    low: float | None = None
    high: float | None = None
    note: str = ""

    @property
    def met(self):
        return self.value >= self.limit if self.at_least else self.value <= self.limit

    @property
    def verdict(self):
        if not self.met:
            return "MISSED"
        if self.low is None:
            return "met"
        worst = self.low if self.at_least else self.high
        whole = worst >= self.limit if self.at_least else worst <= self.limit
        return "met" if whole else "met, not in every block"

    def row(self):
        measured = number(self.value) + self.unit
        if self.low is not None:
            measured += f" ({number(self.low)}-{number(self.high)})"
        if self.note:
            measured += f"; {self.note}"
        sign = ">=" if self.at_least else "<="
        return f"| {self.label} | {measured} | {sign} {number(self.limit)}{self.unit} " \
               f"| {self.verdict} |"


def number(value):
    """As many digits as matter."""
    if value == 0 or abs(value) >= 100 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}" if abs(value) >= 0.1 \
        else f"{value:.3f}"


def rows(bars):
    """Lines of markdown, one a bar."""
    if not bars:
        return []
    return ["| bar | measured | wanted | |", "|---|---:|---:|---|", *(bar.row() for bar in bars)]
