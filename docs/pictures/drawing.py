"""A few shapes as SVG, for the scripts beside this one."""

from pathlib import Path

INK, QUIET, BLUE, RED = "#1f2733", "#667085", "#2b6cb0", "#c53030"
WHITE, GREY, OCHRE, GREEN, SKY = "#ffffff", "#e9edf2", "#f4d9a6", "#cfe8d5", "#cfe0f3"


class Drawing:
    """Shapes on a white ground, in the order in which they are added."""

    def __init__(self, width: int, height: int):
        self._shapes = [
            f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {width} {height}' font-family='sans-serif'>",
            "<defs>",
            *(
                f"<marker id='{name}' viewBox='0 0 8 8' refX='7' refY='4' markerWidth='7' markerHeight='7' orient='auto'>"
                f"<path d='M0,0 L8,4 L0,8 z' fill='{color}'/></marker>"
                for name, color in (("ink", INK), ("red", RED), ("quiet", QUIET))
            ),
            "</defs>",
            f"<rect width='{width}' height='{height}' fill='{WHITE}'/>",
        ]

    def rect(self, x, y, width, height, fill=WHITE, stroke=INK, thick=1.0, dashes="", round_=4):
        self._shapes.append(
            f"<rect x='{x}' y='{y}' width='{width}' height='{height}' rx='{round_}' fill='{fill}' stroke='{stroke}' "
            f"stroke-width='{thick}' stroke-dasharray='{dashes}'/>"
        )

    def text(self, x, y, words, size=13, color=INK, anchor="middle", weight="normal"):
        words = str(words).replace("&", "&amp;").replace("<", "&lt;")
        self._shapes.append(
            f"<text x='{x}' y='{y}' font-size='{size}' fill='{color}' text-anchor='{anchor}' "
            f"font-weight='{weight}'>{words}</text>"
        )

    def arrow(self, *points, color=INK, marker="ink", thick=1.4, dashes=""):
        path = " L".join(f"{x},{y}" for x, y in points)
        self._shapes.append(
            f"<path d='M{path}' fill='none' stroke='{color}' stroke-width='{thick}' stroke-dasharray='{dashes}' "
            f"marker-end='url(#{marker})'/>"
        )

    def box(self, x, y, width, height, title, lines=(), fill=WHITE):
        """A box with a bold title and smaller lines under it, all centred."""
        self.rect(x, y, width, height, fill)
        middle, step = x + width / 2, 17
        top = y + height / 2 - step * len(lines) / 2 + 5
        self.text(middle, top, title, weight="bold")
        for i, line in enumerate(lines):
            self.text(middle, top + step * (i + 1), line, size=12, color=QUIET)

    def save(self, path: Path) -> None:
        path.write_text("\n".join([*self._shapes, "</svg>"]) + "\n")
