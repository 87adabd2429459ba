"""The functional core: one function for each FFI target."""

from jaxtbe.ops.layout import FeatureLayout as FeatureLayout
from jaxtbe.ops.layout import SourceLayout as SourceLayout
from jaxtbe.ops.targets.assign import assign as assign
from jaxtbe.ops.targets.count_faults import count_faults as count_faults
from jaxtbe.ops.targets.id_weights_grad import id_weights_grad as id_weights_grad
from jaxtbe.ops.targets.lookup import lookup as lookup
from jaxtbe.ops.targets.reset_rows import reset_rows as reset_rows
from jaxtbe.ops.targets.row_gradients import row_gradients as row_gradients
from jaxtbe.ops.targets.row_gradients import square_norms as square_norms
from jaxtbe.ops.targets.rows import gather_rows as gather_rows
from jaxtbe.ops.targets.rows import store_rows as store_rows
from jaxtbe.ops.targets.update import UpdateLookup as UpdateLookup
from jaxtbe.ops.targets.update import update as update
from jaxtbe.ops.targets.zch_find import zch_find as zch_find
from jaxtbe.ops.targets.zch_insert import ZchBatch as ZchBatch
from jaxtbe.ops.targets.zch_insert import ZchInserted as ZchInserted
from jaxtbe.ops.targets.zch_insert import ZchSlots as ZchSlots
from jaxtbe.ops.targets.zch_insert import zch_insert as zch_insert
from jaxtbe.ops.zch_codes import ZchStatus as ZchStatus
from jaxtbe.support.lazy_names import lazy_names

__getattr__, __dir__ = lazy_names(__name__, {})
