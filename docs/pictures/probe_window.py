"""Draws probe_window.svg from a real table: one bucket, its ids, and the window of an id that is new to it.

python docs/pictures/probe_window.py
"""

import dataclasses
from pathlib import Path

import numpy as np

import jaxtbe
from jaxtbe import zch

SLOTS, NOW, NEW_ID = 14, 9, 53
CONFIG = jaxtbe.Zch(policy="lru", ttl=2, max_probe=6)
SIZE, LEFT, TOP = 52, 14, 66
FREE, HELD, EXPIRED = "#ffffff", "#d4dce6", "#f4d9a6"


def insert(
    state: zch.ZchState, ids: list[int], now: int, config: jaxtbe.Zch = CONFIG
) -> tuple[zch.ZchState, np.ndarray]:
    packed, offsets = jaxtbe.pack_ids(np.asarray(ids)), np.asarray([0, len(ids)], np.int32)
    state, rows, _ = zch.remap(state, packed, offsets, zch=config, access=("read_write",), now=now)
    return state, np.asarray(rows)


def main() -> None:
    state = zch.init_zch(CONFIG, SLOTS)
    home = int(insert(state, [NEW_ID], NOW)[1][0])  # in an empty table an id lives at home
    for now, ids in ((2, [11, 12, 13, 14, 22]), (4, [21, 23, 24, 25, 26]), (8, [31, 32, 33, 12, 14])):
        state, _ = insert(state, ids, now)
    held, scores = zch.to_fbgemm(state)
    by_policy = {"lru": ("#c53030", ""), "ttl": ("#2f855a", "stroke-dasharray='5 3'")}
    taken = {
        int(insert(state, [NEW_ID], NOW, dataclasses.replace(CONFIG, policy=policy))[1][0]): style
        for policy, style in by_policy.items()
    }

    middle = "text-anchor='middle'"
    shapes = []
    for slot, (identity, score) in enumerate(zip(held[:, 0], scores[:, 0], strict=True)):
        x = LEFT + slot * SIZE
        fill = FREE if identity == -1 else EXPIRED if score < NOW else HELD
        distance = (slot - home) % SLOTS
        shapes.append(f"<rect x='{x}' y='{TOP}' width='{SIZE}' height='44' fill='{fill}' stroke='#445'/>")
        shapes.append(f"<text x='{x + 26}' y='{TOP + 60}' {middle} fill='#889' font-size='11'>{slot}</text>")
        if identity != -1:
            shapes.append(f"<text x='{x + 26}' y='{TOP + 19}' {middle}>{identity}</text>")
            seen = score - CONFIG.ttl
            shapes.append(f"<text x='{x + 26}' y='{TOP + 36}' {middle} font-size='11'>seen {seen}</text>")
        if distance < CONFIG.max_probe:
            shapes.append(f"<rect x='{x + 1}' y='{TOP - 7}' width='{SIZE - 2}' height='5' fill='#2b6cb0'/>")
            note = "home" if distance == 0 else f"+{distance}"
            shapes.append(f"<text x='{x + 26}' y='{TOP - 13}' {middle} fill='#2b6cb0'>{note}</text>")
        if slot in taken:
            color, dashes = taken[slot]
            frame = f"x='{x + 2}' y='{TOP + 2}' width='{SIZE - 4}' height='40'"
            shapes.append(f"<rect {frame} fill='none' stroke='{color}' stroke-width='3' {dashes}/>")
    title = f"The window of the new id {NEW_ID}: max_probe={CONFIG.max_probe} slots from its home, wrapping round"
    legend = (
        f"now = {NOW}, ttl = {CONFIG.ttl}. Grey: held. Ochre: expired. White: empty. "
        "Red frame: what policy='lru' takes; dashed green: 'ttl'."
    )
    width, height = 2 * LEFT + SLOTS * SIZE, TOP + 96
    svg = [
        f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {width} {height}' font-family='sans-serif' font-size='13'>",
        f"<rect width='{width}' height='{height}' fill='#ffffff'/>",
        f"<text x='{LEFT}' y='24' font-weight='bold'>{title}</text>",
        *shapes,
        f"<text x='{LEFT}' y='{height - 10}' fill='#445' font-size='12'>{legend}</text>",
        "</svg>",
    ]
    Path(__file__).with_suffix(".svg").write_text("\n".join(svg) + "\n")


if __name__ == "__main__":
    main()
