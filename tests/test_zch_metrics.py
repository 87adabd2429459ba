"""Counters of remaps, added up over steps."""

import jax
import numpy as np
import pytest
from zch_cases import assert_same

import jaxtbe
from jaxtbe import pack_ids, zch

CONFIG = zch.Zch(policy="ttl", ttl=1, max_probe=4)
ROWS, COUNT = 16, 20
ACCESS = ("read_write", "read_only")


def batch(now):
    ids = np.random.default_rng(now).integers(0, 40, COUNT)
    return pack_ids(ids), np.asarray([0, 12, COUNT], np.int32), np.int32(now)


def step(state, ids, offsets, now):
    state, _, report = zch.remap(state, ids, offsets, zch=CONFIG, access=ACCESS, now=now)
    return state, report


def test_sums_ratios_and_latest_values():
    metrics, state = zch.ZchMetrics({"user": ROWS}, pending=3), zch.init_zch(CONFIG, ROWS)
    reports = []
    for now in range(10):
        state, report = jax.jit(step)(state, *batch(now))
        metrics.update({"user": report})
        reports.append(jax.tree.map(np.asarray, report))
    got = {k.removeprefix("zch/user/"): v for k, v in metrics.scalars().items()}
    counters = dict(zip(zch.COUNTERS, sum(r.counters.astype(np.int64) for r in reports).tolist(), strict=True))
    for name in set(zch.COUNTERS) - {"occupancy"}:
        assert got[name] == counters[name], name
    assert got["occupancy"] == int(state.occupancy) and got["load"] == int(state.occupancy) / ROWS
    assert got["positions"] == 10 * COUNT == sum((r.status != zch.ZchStatus.NO_ID).sum() for r in reports)
    assert got["inserts"] - got["evictions"] == got["occupancy"]
    assert got["evictions"] == sum((r.evicted >= 0).sum() for r in reports) > 0
    assert got["hit_rate"] == got["hits"] / (10 * 12)
    assert got["read_hit_rate"] == got["read_hits"] / (10 * 8)
    assert got["mean_evicted_age"] == sum(float(r.evicted_age) for r in reports) / got["evictions"] >= 2
    assert str(metrics).startswith("user: positions 200, hits ")
    metrics.reset()
    assert metrics.scalars() == {}


def test_reports_stacked_by_scan():
    stacked, single = zch.ZchMetrics({"a": ROWS}), zch.ZchMetrics({"a": ROWS})
    batches = jax.tree.map(lambda *x: np.stack(x), *(batch(now) for now in range(4)))
    _, reports = jax.lax.scan(lambda s, b: step(s, *b), zch.init_zch(CONFIG, ROWS), batches)
    stacked.update({"a": reports})
    state = zch.init_zch(CONFIG, ROWS)
    for now in range(4):
        state, report = step(state, *batch(now))
        single.update({"a": report})
    assert stacked.scalars() == single.scalars()


def test_json_round_trip_and_resuming_bit_for_bit(tmp_path):
    tables = {"user": zch.TableLayout(ROWS, CONFIG), "item": zch.TableLayout(8, zch.Zch(buckets=2))}
    text = zch.to_json(tables)
    assert zch.from_json(text) == tables
    assert zch.from_json(text, expected=tables) == tables
    state = zch.init_zch(CONFIG, ROWS)
    for now in range(3):
        state, _ = step(state, *batch(now))
    np.savez(tmp_path / "state.npz", *jax.tree.leaves(state))
    with np.load(tmp_path / "state.npz") as saved:
        restored = jax.tree.unflatten(jax.tree.structure(state), [saved[name] for name in saved.files])
    for now in range(3, 6):
        state, report = step(state, *batch(now))
        restored, restored_report = step(restored, *batch(now))
        assert_same((restored, restored_report), (state, report), "resumed")


@pytest.mark.parametrize(
    "expected, message",
    [
        ({"user": (32, CONFIG)}, r"from_json: table 'user': expected rows=32, got rows=16 in the checkpoint\. Restore"),
        (
            {"user": (16, zch.Zch(policy="ttl", ttl=2, max_probe=4))},
            "table 'user': expected ttl=2, got ttl=1 in the checkpoint",
        ),
        ({"user": (16, zch.Zch())}, "table 'user': expected max_probe=128, got max_probe=4"),
        ({"item": (16, CONFIG)}, r"from_json: tables: expected \['item'\], got \['user'\]\. Restore with the tables"),
    ],
)
def test_a_checkpoint_of_another_configuration_is_refused(expected, message):
    with pytest.raises(ValueError, match=message):
        zch.from_json(zch.to_json({"user": (ROWS, CONFIG)}), expected=expected)


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", '{"format": "jaxtbe.zch", "version": 99, "hash": "murmur3_x64_128_xor"}']
)
def test_other_texts_are_refused(text):
    with pytest.raises(
        ValueError, match=r"from_json: text: expected format 'jaxtbe.zch', version 1, got .*\. Pass what"
    ):
        zch.from_json(text)


def test_tables_tell_their_layout_themselves():
    emb = jaxtbe.EmbeddingBags(
        [jaxtbe.Table("user", rows=16, dim=2, zch=zch.Zch(buckets=4)), jaxtbe.Table("plain", rows=3, dim=2)],
        [jaxtbe.Feature("user_id", table="user")],
    )
    text = zch.to_json(emb.tables)
    assert text == zch.to_json({"user": (16, zch.Zch(buckets=4))})
    assert zch.from_json(text, expected=emb.tables) == {"user": (16, zch.Zch(buckets=4))}
    other = [jaxtbe.Table("user", rows=32, dim=2, zch=zch.Zch(buckets=4))]
    with pytest.raises(ValueError, match=r"table 'user': expected rows=32, got rows=16 in the checkpoint"):
        zch.from_json(text, expected=other)
