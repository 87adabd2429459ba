"""Table-batched embeddings for JAX: fused lookups and in-place sparse updates of very large tables."""

from typing import TYPE_CHECKING

from jaxtbe import ops as ops
from jaxtbe import zch as zch
from jaxtbe.autodiff.embedding_grad import EmbeddingGrad as EmbeddingGrad
from jaxtbe.autodiff.faults import check as check
from jaxtbe.autodiff.filtered import filter_value_and_grad as filter_value_and_grad
from jaxtbe.autodiff.value_and_grad import grad as grad
from jaxtbe.autodiff.value_and_grad import value_and_grad as value_and_grad
from jaxtbe.autodiff.writeback_loss import writeback_loss as writeback_loss
from jaxtbe.batch.bags import Bags as Bags
from jaxtbe.batch.ids import pack_ids as pack_ids
from jaxtbe.batch.ids import unpack_ids as unpack_ids
from jaxtbe.model.feature import Feature as Feature
from jaxtbe.model.initializers import initializer as initializer
from jaxtbe.model.params import EmbeddingParams as EmbeddingParams
from jaxtbe.model.table import Table as Table
from jaxtbe.module import EmbeddingBags as EmbeddingBags
from jaxtbe.support.huge_pages import use_huge_pages as use_huge_pages
from jaxtbe.support.interrupts import hold_interrupts as hold_interrupts
from jaxtbe.support.lazy_names import lazy_names
from jaxtbe.writes.overwrite import Overwrite as Overwrite
from jaxtbe.zch.config import Zch as Zch

if TYPE_CHECKING:
    from jaxtbe import debug as debug
    from jaxtbe import migrate as migrate
    from jaxtbe import nnx as nnx
    from jaxtbe import optim as optim
    from jaxtbe import sharding as sharding

__version__ = "0.1.0"

# optax takes longer to import than all the rest, and a program of one device needs no sharding: what is used is imported.
_LAZY = {name: f"{__name__}.{name}" for name in ("debug", "migrate", "nnx", "optim", "sharding")}
__getattr__, __dir__ = lazy_names(__name__, _LAZY, ("ops", "zch"))
