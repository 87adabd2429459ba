"""The functional core: one function for each FFI target."""

from jaxtbe.ops.zch_find import zch_find as zch_find
from jaxtbe.ops.zch_insert import ZchBatch as ZchBatch
from jaxtbe.ops.zch_insert import ZchSlots as ZchSlots
from jaxtbe.ops.zch_insert import zch_insert as zch_insert
