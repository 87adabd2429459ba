"""The configuration of hashed tables as JSON, to be stored with a checkpoint and compared before it
is used.
"""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from jaxtbe.support.errors import value_error
from jaxtbe.zch.config import Zch

_FORMAT = "jaxtbe.zch"
_VERSION = 1
_HASH = "murmur3_x64_128_xor"


class TableLayout(NamedTuple):
    """What must agree for a table's arrays to mean the same."""

    rows: int
    zch: Zch


Tables = Mapping[str, TableLayout | tuple[int, Zch]] | Sequence[Any]


def to_json(tables: Tables) -> str:
    """JSON text that says how the tables are laid out.

    Args:
      tables: `EmbeddingBags.tables`, or other `jaxtbe.Table`s, of which those with a ZCH count; or
        table name to (rows, Zch).

    Example:
      >>> import jaxtbe
      >>> emb = jaxtbe.EmbeddingBags(
      ...     [jaxtbe.Table("user", rows=64, dim=8, zch=jaxtbe.Zch())], [jaxtbe.Feature("user_id", table="user")])
      >>> text = jaxtbe.zch.to_json(emb.tables)
      >>> jaxtbe.zch.from_json(text, expected=emb.tables)["user"].rows
      64
    """
    layouts = {
        name: {"rows": int(rows), "zch": dataclasses.asdict(zch)} for name, (rows, zch) in _layouts(tables).items()
    }
    text = {"format": _FORMAT, "version": _VERSION, "hash": _HASH, "tables": layouts}
    return json.dumps(text, indent=2, sort_keys=True)


def from_json(text: str, expected: Tables | None = None) -> dict[str, TableLayout]:
    """Reads what `to_json` wrote.

    Args:
      text: the JSON.
      expected: what the arrays will be used with, in the form that `to_json` takes; or None: not
        compared.

    Returns:
      Table name to `TableLayout`.

    Raises:
      ValueError: no such text, another version, or something that differs from what is expected:
        names the table, the option, and both values.
    """
    api = "jaxtbe.zch.from_json"
    try:
        spec = json.loads(text, object_pairs_hook=_unique)
    except (ValueError, TypeError, RecursionError):
        spec = None
    known = {"format": _FORMAT, "version": _VERSION, "hash": _HASH}
    if not isinstance(spec, dict) or {k: spec.get(k) for k in known} != known or type(spec["version"]) is not int:
        raise value_error(
            api,
            "text",
            f"format {_FORMAT!r}, version {_VERSION}",
            repr(text)[:60],
            "Pass what to_json of this version wrote",
        )
    written = spec.get("tables")
    if not isinstance(written, dict):
        raise value_error(
            api, "tables", "an object of tables", type(written).__name__, "Pass what to_json wrote, unchanged"
        )
    tables = {name: _layout(api, name, table) for name, table in written.items()}
    if expected is not None:
        _compare(api, tables, _layouts(expected))
    return tables


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object. One with a key twice is none of ours."""
    return dict(pairs) if len(dict(pairs)) == len(pairs) else {"": None}


def _layout(api: str, name: str, table: Any) -> TableLayout:
    """One table of a text, which may hold anything in its place."""
    options = {f.name for f in dataclasses.fields(Zch)}
    remedy = "Pass what to_json wrote, unchanged"
    if not isinstance(table, dict) or set(table) != {"rows", "zch"} or not isinstance(table["zch"], dict):
        raise value_error(api, f"table {name!r}", "rows and zch", repr(table)[:60], remedy)
    rows = table["rows"]
    if type(rows) is not int or not 1 <= rows < 2**31:
        raise value_error(api, f"table {name!r}", "1 <= rows < 2**31", repr(rows)[:60], remedy)
    if set(table["zch"]) != options:
        odd = sorted(options ^ set(table["zch"]))
        raise value_error(api, f"table {name!r}", f"the options {sorted(options)}", f"others in {odd}"[:60], remedy)
    try:
        zch = Zch(**table["zch"])
        zch.check(name, rows)
    except (TypeError, ValueError) as e:
        raise value_error(api, f"table {name!r}", "options of a jaxtbe.Zch", str(e).rstrip("."), remedy) from e
    return TableLayout(rows, zch)


def _layouts(tables: Tables) -> Mapping[str, TableLayout | tuple[int, Zch]]:
    if isinstance(tables, Mapping):
        return tables
    return {t.name: TableLayout(t.rows, t.zch) for t in tables if t.zch is not None}


def _compare(api: str, saved: Mapping[str, TableLayout], expected: Mapping[str, TableLayout | tuple[int, Zch]]) -> None:
    if set(saved) != set(expected):
        raise value_error(
            api, "tables", str(sorted(expected)), str(sorted(saved)), "Restore with the tables of the checkpoint"
        )
    for name, (rows, zch) in expected.items():
        wanted = {"rows": rows, **dataclasses.asdict(zch)}
        found = {"rows": saved[name].rows, **dataclasses.asdict(saved[name].zch)}
        for option in wanted:
            if wanted[option] != found[option]:
                raise value_error(
                    api,
                    f"table {name!r}",
                    f"{option}={wanted[option]!r}",
                    f"{option}={found[option]!r} in the checkpoint",
                    "Restore with the configuration that it was saved with",
                )
