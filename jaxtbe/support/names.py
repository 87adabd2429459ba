"""Stable numbers for names, so that device code can speak of tables and features."""

import zlib

_names: dict[int, str] = {}


def stable_id(name: str) -> int:
    """A 31-bit number that depends on the name alone. `name_of` turns it back within this process."""
    number = zlib.crc32(name.encode()) & 0x7FFFFFFF
    _names[number] = name
    return number


def name_of(number: int) -> str:
    """The name behind a number of `stable_id`, or a text that says that it is not known here."""
    return _names.get(int(number), f"<unknown {int(number)}>")
