"""docs/errors.md lists every message of the package, and nothing else."""

import pathlib
import re

import messages
import pytest

PAGE = pathlib.Path(__file__).resolve().parent.parent / "docs" / "errors.md"
FILES = messages.package_files()


def entries() -> list[tuple[str, str]]:
    """(message, explanation) of each row of the page's tables."""
    return re.findall(r"^\| `([^`]*)` \| (.*) \|$", PAGE.read_text(), re.MULTILINE)


def in_package() -> dict[str, messages.Message]:
    found = {}
    for file in FILES:
        for message in messages.messages_of(file.read_text(), str(file.relative_to(messages.PACKAGE))):
            found[message.pattern] = message
    return found


def readable(pattern: str) -> str:
    return pattern.replace(messages.MARK, "<...>")


def test_every_message_is_on_the_page():
    listed = {messages.page_pattern(entry) for entry, _ in entries()}
    missing = [f"{m.where}: {readable(p)}" for p, m in in_package().items() if p not in listed]
    assert not missing, "add to docs/errors.md, with words in place of the dots:\n" + "\n".join(missing)


def test_every_entry_is_a_message():
    known = in_package()
    stale = [entry for entry, _ in entries() if messages.page_pattern(entry) not in known]
    assert not stale, "no longer raised, take out of docs/errors.md:\n" + "\n".join(stale)


def test_entries_are_unique_and_explained():
    patterns = [messages.page_pattern(entry) for entry, _ in entries()]
    assert len(patterns) == len(set(patterns)) > 100
    assert all(len(why) > 10 and why.endswith(".") for _, why in entries())


@pytest.mark.parametrize("file", FILES, ids=lambda f: str(f.relative_to(messages.PACKAGE)))
def test_raises_go_through_the_helpers(file):
    assert not messages.other_raises(file.read_text(), file.name), "raise through jaxtbe.support.errors"


SAMPLE = """
API = "jaxtbe.thing"
LIMIT = 7

def f(x, api):
    obj = f"table {x.name!r}"
    if x:
        raise value_error(API, obj, f"at most {LIMIT} of {x!r}", str(x), "Take less")
    raise type_error(api, "x", "a number", x.kind, f"Pass {x}")

def make(x):
    return runtime_error(API, "device", "one", "none", "Plug it in")

def g(x):
    if x:
        raise make(x)
    raise KeyError(x)
"""


def test_the_sources_are_read_as_meant():
    found = [(readable(m.pattern), readable(m.remedy)) for m in messages.messages_of(SAMPLE, "sample")]
    assert found == [
        ("jaxtbe.thing: table <...>: expected at most <...> of <...>, got <...>", "Take less"),
        ("<...>: x: expected a number, got <...>", "Pass <...>"),
        ("jaxtbe.thing: device: expected one, got none", "Plug it in"),
    ]
    assert messages.other_raises(SAMPLE, "sample") == ["sample:17: KeyError(x)"]


def test_entries_are_read_as_meant():
    sample = messages.messages_of(SAMPLE, "sample")[0].pattern
    assert (
        messages.page_pattern("jaxtbe.thing: table <name>: expected at most <number> of <kind>, got <value>") == sample
    )
    assert messages.page_pattern("jaxtbe.thing: table <name>: expected at most <number>, got <value>") != sample
    assert "2**31" in messages.page_pattern("x: y: expected <least> <= <field> < 2**31, got <value>")
