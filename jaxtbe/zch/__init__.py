"""Hashed ZCH: tables that are keyed by raw 64-bit ids. One table at a time; `EmbeddingBags` does it
for all of its tables.
"""

from typing import TYPE_CHECKING

from jaxtbe.ops.zch_codes import COUNTERS as COUNTERS
from jaxtbe.ops.zch_codes import ZchStatus as ZchStatus
from jaxtbe.support.lazy_names import lazy_names
from jaxtbe.zch.config import Zch as Zch
from jaxtbe.zch.mapping import ZchReport as ZchReport
from jaxtbe.zch.mapping import find as find
from jaxtbe.zch.mapping import find_report as find_report
from jaxtbe.zch.mapping import remap as remap
from jaxtbe.zch.rows import merge_rows as merge_rows
from jaxtbe.zch.rows import row_numbers as row_numbers
from jaxtbe.zch.shards import reshard as reshard
from jaxtbe.zch.shards import shard_config as shard_config
from jaxtbe.zch.shards import shard_of as shard_of
from jaxtbe.zch.state import ZchState as ZchState
from jaxtbe.zch.state import init_zch as init_zch
from jaxtbe.zch.state import serving_state as serving_state

if TYPE_CHECKING:
    from jaxtbe.zch.interchange import from_fbgemm as from_fbgemm
    from jaxtbe.zch.interchange import to_fbgemm as to_fbgemm
    from jaxtbe.zch.metrics import ZchMetrics as ZchMetrics
    from jaxtbe.zch.spec_json import TableLayout as TableLayout
    from jaxtbe.zch.spec_json import from_json as from_json
    from jaxtbe.zch.spec_json import to_json as to_json

_MODULES = {
    "from_fbgemm": "interchange",
    "to_fbgemm": "interchange",
    "ZchMetrics": "metrics",
    "TableLayout": "spec_json",
    "from_json": "spec_json",
    "to_json": "spec_json",
}
__getattr__, __dir__ = lazy_names(__name__, {name: f"{__name__}.{module}" for name, module in _MODULES.items()})
