"""Rows of several tables put together."""

import jax
import numpy as np

from jaxtbe import pack_ids, zch


def test_hashed_and_plain_tables_in_one_batch():
    """Features a and c have raw ids in tables A and C, feature b has row numbers."""
    ids = np.asarray([10**12, -5, 10**12, 3, -1, 7, 2**40, 2**31, 99, 10**12])
    offsets = np.asarray([0, 2, 3, 6, 8, 8, 9], np.int32)  # two samples; the last position is padding
    config = zch.Zch()

    @jax.jit
    def remap_all(a, c, ids):
        a, rows_a, _ = zch.remap(a, ids, offsets, zch=config, access=("read_write", None, None))
        c, rows_c, _ = zch.remap(c, ids, offsets, zch=config, access=(None, None, "read_write"))
        return zch.merge_rows(zch.row_numbers(ids, offsets, (False, True, False)), rows_a, rows_c), a, c

    rows, a, c = remap_all(zch.init_zch(config, 8), zch.init_zch(config, 8), pack_ids(ids))
    assert rows[0] == rows[2] >= 0 and rows[1] >= 0 and rows[1] != rows[0]
    assert rows[3:8].tolist() == [3, -1, 7, 2**31 - 1, 2**31 - 1]
    assert rows[8] >= 0 and rows[9] == -1
    assert int(a.occupancy) == 2 and int(c.occupancy) == 1
