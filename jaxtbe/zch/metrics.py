"""`ZchMetrics`: what remaps did, added up over steps."""

from collections import deque
from collections.abc import Mapping

import numpy as np

from jaxtbe.ops.zch_codes import COUNTERS
from jaxtbe.support.arguments import check_array, check_shape, check_type
from jaxtbe.support.errors import type_error, value_error
from jaxtbe.zch.mapping import ZchReport

_AS_RETURNED = "Pass the report as remap returned it"
_LATEST = ("occupancy",)  # not a sum: the last value counts


class ZchMetrics:
    """Adds up the reports of remaps, for each table, without waiting for the device.

    Reports are kept as device scalars and added on the host later: when they are read, or when they
    are so old that their step is long done. Sums are exact Python integers.

    Args:
      rows: table name to its rows, for the load. Other tables show none.
      pending: how many steps of a table may wait on the device.

    Example:
      >>> import jax.numpy as jnp, numpy as np, jaxtbe
      >>> from jaxtbe import zch
      >>> config = zch.Zch()
      >>> state, metrics = zch.init_zch(config, 8), zch.ZchMetrics({"user": 8})
      >>> ids, offsets = jaxtbe.pack_ids(np.array([7, 7, 9])), np.array([0, 3], np.int32)
      >>> state, rows, report = zch.remap(state, ids, offsets, zch=config, access=("read_write",))
      >>> metrics.update({"user": report})
      >>> metrics.scalars()["zch/user/inserts"], metrics.scalars()["zch/user/load"]
      (2, 0.25)
    """

    def __init__(self, rows: Mapping[str, int] | None = None, pending: int = 64):
        cls = "jaxtbe.zch.ZchMetrics"
        check_type(cls, "rows", {} if rows is None else rows, Mapping, "a dict from table name to rows", "Pass a dict")
        if isinstance(pending, bool) or not isinstance(pending, int) or pending < 0:
            raise value_error(cls, "pending", "a whole number of at least 0", repr(pending), "Pass an int")
        for name, count in (rows or {}).items():
            check_type(cls, f"rows of table {name!r}", count, (int, np.integer), "a whole number", "Pass an int")
        self._rows = dict(rows or {})
        self._pending_limit = pending
        self.reset()

    def reset(self) -> None:
        """Forgets all."""
        self._tables: dict[str, _TableMetrics] = {}

    def update(self, reports: Mapping[str, ZchReport]) -> None:
        """Adds one step.

        Args:
          reports: table name to what `remap` returned; or, from `lax.scan`, to reports with the
            steps as leading axes.
        """
        api = "jaxtbe.zch.ZchMetrics.update"
        check_type(api, "reports", reports, Mapping, "a dict from table name to report", "Pass what remap returned")
        for name, report in reports.items():
            check_type(api, f"report of table {name!r}", report, ZchReport, "a jaxtbe.zch.ZchReport", _AS_RETURNED)
            _check_report(name, report)
            table = self._tables.setdefault(name, _TableMetrics())
            table.pending.append((report.counters, report.evicted_age, report.now_fell))
            while len(table.pending) > self._pending_limit:
                table.add_oldest()

    def scalars(self) -> dict[str, int | float]:
        """`zch/<table>/<name>` to a number. Waits for the steps that were added.

        Counters are sums over all steps, `occupancy` is the last value, `now_falls` how often `now`
        was before an earlier one; `hit_rate` (of positions that write), `read_hit_rate`, `load` and
        `mean_evicted_age` (in the unit of `now`) are left out where they have no meaning.
        """
        scalars: dict[str, int | float] = {}
        for name, table in self._tables.items():
            while table.pending:
                table.add_oldest()
            scalars.update({f"zch/{name}/{key}": value for key, value in table.scalars(self._rows.get(name)).items()})
        return scalars

    def __str__(self) -> str:
        lines = []
        scalars = self.scalars()
        for name in self._tables:
            prefix = f"zch/{name}/"
            own = {k.removeprefix(prefix): v for k, v in scalars.items() if k.startswith(prefix)}
            shown = ", ".join(f"{k} {v:.4g}" if isinstance(v, float) else f"{k} {v:,}" for k, v in own.items())
            lines.append(f"{name}: {shown}")
        return "\n".join(lines)


def _check_report(name: str, report: ZchReport) -> None:
    """Numbers of one step, or of as many as `lax.scan` stacked."""
    api = "jaxtbe.zch.ZchMetrics.update"
    check_array(api, f"counters of table {name!r}", report.counters, f"an array i32[{len(COUNTERS)}]")
    shape = tuple(report.counters.shape)
    if shape[-1:] != (len(COUNTERS),) or 0 in shape:
        wanted = f"an array i32[{len(COUNTERS)}]"
        raise value_error(api, f"counters of table {name!r}", wanted, f"shape {shape}", _AS_RETURNED)
    for field, array in (("evicted_age", report.evicted_age), ("now_fell", report.now_fell)):
        if array is not None or field == "evicted_age":
            check_shape(api, f"{field} of table {name!r}", array, shape[:-1])
    for array in (report.counters, report.evicted_age, report.now_fell):
        if array is not None and not np.issubdtype(np.dtype(array.dtype), np.number):
            raise type_error(api, f"report of table {name!r}", "arrays of numbers", str(array.dtype), _AS_RETURNED)


class _TableMetrics:
    def __init__(self):
        self.pending: deque = deque()
        self.totals = dict.fromkeys((*COUNTERS, "now_falls"), 0)
        self.evicted_age = 0.0

    def add_oldest(self) -> None:
        counters, age, fell = self.pending.popleft()
        steps = np.asarray(counters, np.int64).reshape(-1, len(COUNTERS))
        for name, sum_, last in zip(COUNTERS, steps.sum(axis=0).tolist(), steps[-1].tolist(), strict=True):
            self.totals[name] = last if name in _LATEST else self.totals[name] + sum_
        self.totals["now_falls"] += 0 if fell is None else int(np.sum(np.asarray(fell)))
        self.evicted_age += float(np.sum(np.asarray(age, np.float64)))

    def scalars(self, rows: int | None) -> dict[str, int | float]:
        total = self.totals
        reads = total["read_hits"] + total["read_misses"]
        ratios = {
            "hit_rate": (total["hits"], total["positions"] - reads),
            "read_hit_rate": (total["read_hits"], reads),
            "load": (total["occupancy"], rows),
            "mean_evicted_age": (self.evicted_age, total["evictions"]),
        }
        return {**total, **{name: part / of for name, (part, of) in ratios.items() if of}}
