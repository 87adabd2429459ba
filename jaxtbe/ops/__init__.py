"""The functional core: one function for each FFI target."""

from jaxtbe.lazy import lazy_names
from jaxtbe.ops.assign import assign as assign
from jaxtbe.ops.count_faults import count_faults as count_faults
from jaxtbe.ops.id_weights_grad import id_weights_grad as id_weights_grad
from jaxtbe.ops.layout import FeatureLayout as FeatureLayout
from jaxtbe.ops.layout import SourceLayout as SourceLayout
from jaxtbe.ops.lookup import lookup as lookup
from jaxtbe.ops.reset_rows import reset_rows as reset_rows
from jaxtbe.ops.row_gradients import row_gradients as row_gradients
from jaxtbe.ops.row_gradients import square_norms as square_norms
from jaxtbe.ops.rows import gather_rows as gather_rows
from jaxtbe.ops.rows import store_rows as store_rows
from jaxtbe.ops.update import UpdateLookup as UpdateLookup
from jaxtbe.ops.update import update as update
from jaxtbe.ops.zch_codes import ZchStatus as ZchStatus
from jaxtbe.ops.zch_find import zch_find as zch_find
from jaxtbe.ops.zch_insert import ZchBatch as ZchBatch
from jaxtbe.ops.zch_insert import ZchInserted as ZchInserted
from jaxtbe.ops.zch_insert import ZchSlots as ZchSlots
from jaxtbe.ops.zch_insert import zch_insert as zch_insert

__getattr__, __dir__ = lazy_names(__name__, {})
