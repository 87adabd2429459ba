"""Texts of another program, edited or cut: a ValueError that says what is wrong, whatever the text."""

import copy
import json
import random

import pytest

from jaxtbe import zch

LAYOUT = {"user": (64, zch.Zch(buckets=4, policy="ttl", ttl=5)), "item": (32, zch.Zch())}
TEXT = zch.to_json(LAYOUT)


def edited(change):
    spec = json.loads(TEXT)
    return json.dumps(change(spec) or spec)


def of_user(key, value):
    return edited(lambda spec: spec["tables"]["user"].update({key: value}))


def of_zch(key, value):
    return edited(lambda spec: spec["tables"]["user"]["zch"].update({key: value}))


HOSTILE = {
    "nothing": "",
    "null": "null",
    "a number": "7",
    "a list": "[1]",
    "no text": None,
    "bytes": b"\xff",
    "another type": 3.5,
    "a dict": {},
    "deep lists": "[" * 100_000,
    "deep objects": '{"a":' * 100_000,
    "cut": TEXT[:100],
    "version": edited(lambda s: s.update(version="1")),
    "version true": edited(lambda s: s.update(version=True)),
    "no tables": edited(lambda s: s.pop("tables") and None),
    "tables list": edited(lambda s: s.update(tables=[])),
    "tables null": edited(lambda s: s.update(tables=None)),
    "table null": edited(lambda s: s["tables"].update(user=None)),
    "table list": edited(lambda s: s["tables"].update(user=[1, 2])),
    "rows text": of_user("rows", "64"),
    "rows -1": of_user("rows", -1),
    "rows 0": of_user("rows", 0),
    "rows NaN": of_user("rows", float("nan")),
    "rows Infinity": of_user("rows", float("inf")),
    "rows huge": of_user("rows", 2**70),
    "rows float": of_user("rows", 64.0),
    "rows true": of_user("rows", True),
    "rows odd": of_user("rows", 63),
    "no rows": edited(lambda s: s["tables"]["user"].pop("rows") and None),
    "zch null": of_user("zch", None),
    "zch list": of_user("zch", []),
    "an unknown option": of_zch("colour", 1),
    "more": of_user("more", 1),
    "a missing option": edited(lambda s: s["tables"]["user"]["zch"].pop("max_probe") and None),
    "probe text": of_zch("max_probe", "128"),
    "probe 0": of_zch("max_probe", 0),
    "buckets list": of_zch("buckets", [4]),
    "policy": of_zch("policy", "lfu"),
    "policy dict": of_zch("policy", {}),
    "ttl null": of_zch("ttl", None),
    "counts text": of_zch("track_counts", "yes"),
    "twice": TEXT.replace('"item"', '"user"'),
}


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("expected", [None, LAYOUT])
def test_hostile_texts(name, expected):
    with pytest.raises(ValueError, match=r"^jaxtbe\.zch\.from_json: .*: expected .*, got "):
        zch.from_json(HOSTILE[name], expected=expected)


def test_the_text_itself_is_read_back():
    assert zch.from_json(TEXT, expected=LAYOUT) == {name: zch.TableLayout(*layout) for name, layout in LAYOUT.items()}


def test_random_edits_are_read_or_refused():
    rng = random.Random(0)
    values = [None, True, -1, 0, 3, 2**40, 0.5, "x", "ttl", [], {}, [1], {"a": 1}]
    for _ in range(2000):
        spec = copy.deepcopy(json.loads(TEXT))
        for _ in range(rng.randint(1, 3)):
            at = spec
            while isinstance(at, dict) and at and rng.random() < 0.8:
                key = rng.choice(list(at))
                if not isinstance(at[key], dict) or rng.random() < 0.2:
                    at[key] = copy.deepcopy(rng.choice(values))
                    break
                at = at[key]
        try:
            zch.from_json(json.dumps(spec))
        except ValueError as e:
            assert str(e).startswith("jaxtbe.zch.from_json: ")
