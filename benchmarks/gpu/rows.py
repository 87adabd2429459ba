"""Results as a table."""

from typing import NamedTuple


class Row(NamedTuple):
    """One line of a result."""

    what: str
    who: str
    seconds: float
    note: str = ""


def print_rows(title: str, rows: list[Row]) -> None:
    print(f"\n{title}")
    for what, who, seconds, note in rows:
        print(f"  {what:20} {who:44} {seconds * 1e6:11.1f} us  {note}")
