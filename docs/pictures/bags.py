"""Draws bags.svg from a real batch: the bags of two features, and how they lie in memory.

python docs/pictures/bags.py
"""

from pathlib import Path

import numpy as np
from drawing import BLUE, GREY, OCHRE, QUIET, SKY, WHITE, Drawing

import jaxtbe

HISTORY, ITEM = [[5, 7, 9], [], [5]], [3, 8, 4]
CELL, LEFT, COLORS = 40, 130, {"history": SKY, "item_id": OCHRE}


def draw_samples(picture: Drawing, top: int) -> None:
    """A row a feature, a column a sample."""
    for b in range(3):
        picture.text(LEFT + b * 150 + 65, top - 12, f"sample {b}", color=QUIET, size=12)
    for f, (name, bags) in enumerate({"history": HISTORY, "item_id": [[i] for i in ITEM]}.items()):
        y = top + f * 50
        picture.text(LEFT - 14, y + 24, name, anchor="end")
        for b, bag in enumerate(bags):
            x = LEFT + b * 150
            picture.rect(x, y, 132, 38, WHITE, QUIET, dashes="3 3")
            if not bag:
                picture.text(x + 66, y + 24, "empty", size=12, color=QUIET)
            for i, row in enumerate(bag):
                picture.rect(x + 6 + i * CELL, y + 4, CELL - 4, 30, COLORS[name])
                picture.text(x + 4 + i * CELL + CELL / 2, y + 24, row)


def draw_memory(picture: Drawing, bags: jaxtbe.Bags, top: int) -> None:
    """The ids one after another, and above them where each bag begins."""
    first_item = int(bags.offsets[bags.batch_size])
    count = int(bags.offsets[-1])
    picture.text(LEFT - 14, top + 25, "ids", anchor="end")
    for n, row in enumerate(np.asarray(bags.ids)):
        fill = GREY if n >= count else COLORS["history" if n < first_item else "item_id"]
        picture.rect(LEFT + n * CELL, top, CELL, 38, fill, round_=0)
        picture.text(LEFT + n * CELL + CELL / 2, top + 24, row, color=QUIET if n >= count else "#1f2733")
    picture.text(LEFT - 14, top + 76, "offsets", anchor="end")
    seen: dict[int, int] = {}
    for offset in np.asarray(bags.offsets).tolist():
        seen[offset] = seen.get(offset, 0) + 1
    for offset, times in seen.items():
        x = LEFT + offset * CELL
        picture.arrow((x, top + 60), (x, top + 42), color=BLUE, marker="quiet")
        picture.text(x, top + 76, ", ".join([str(offset)] * times), color=BLUE)
    middle = LEFT + (count + bags.capacity) * CELL / 2
    picture.text(middle, top + 76, "padding up to the capacity", size=12, color=QUIET)


def main() -> None:
    emb = jaxtbe.EmbeddingBags(
        [jaxtbe.Table("item", rows=100, dim=4)], [jaxtbe.Feature("history", "item"), jaxtbe.Feature("item_id", "item")]
    )
    bags = emb.bags({"history": HISTORY, "item_id": np.array(ITEM)})
    picture = Drawing(LEFT + bags.capacity * CELL + 20, 300)
    picture.text(20, 26, "A batch: 2 features, 3 samples, 6 bags", size=14, anchor="start", weight="bold")
    draw_samples(picture, 66)
    draw_memory(picture, bags, 196)
    picture.save(Path(__file__).with_suffix(".svg"))


if __name__ == "__main__":
    main()
