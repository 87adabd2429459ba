"""Every op in plain jax.numpy: the implementation for platforms without kernels, and a readable
second opinion.
"""

from typing import TYPE_CHECKING

from jaxtbe.support.lazy_names import lazy_names

if TYPE_CHECKING:
    from jaxtbe.reference import count_faults as count_faults
    from jaxtbe.reference import id_weights_grad as id_weights_grad
    from jaxtbe.reference import lookup as lookup
    from jaxtbe.reference import reset_rows as reset_rows
    from jaxtbe.reference import row_gradients as row_gradients
    from jaxtbe.reference import update as update
    from jaxtbe.reference import zch as zch
    from jaxtbe.reference import zch_find as zch_find

_MODULES = ("count_faults", "id_weights_grad", "lookup", "reset_rows", "row_gradients", "update", "zch", "zch_find")
__getattr__, __dir__ = lazy_names(__name__, {name: f"{__name__}.{name}" for name in _MODULES})
