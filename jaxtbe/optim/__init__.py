"""Optimizers of embedding tables: optax transformations that update the touched rows, in place."""

from jaxtbe.ops.rule import Rule as Rule
from jaxtbe.ops.rule import State as State
from jaxtbe.optim.adagrad import adagrad as adagrad
from jaxtbe.optim.adam import adam as adam
from jaxtbe.optim.base import TableOptimizer as TableOptimizer
from jaxtbe.optim.base import TableOptimizerState as TableOptimizerState
from jaxtbe.optim.base import table_optimizer as table_optimizer
from jaxtbe.optim.freeze import freeze as freeze
from jaxtbe.optim.gradient_tools import add_gradients as add_gradients
from jaxtbe.optim.gradient_tools import all_finite as all_finite
from jaxtbe.optim.gradient_tools import clip_by_global_norm as clip_by_global_norm
from jaxtbe.optim.gradient_tools import global_norm as global_norm
from jaxtbe.optim.gradient_tools import scale_gradients as scale_gradients
from jaxtbe.optim.gradient_tools import skip_nonfinite as skip_nonfinite
from jaxtbe.optim.lamb import lamb as lamb
from jaxtbe.optim.lars_sgd import lars_sgd as lars_sgd
from jaxtbe.optim.lazy import lazy as lazy
from jaxtbe.optim.options import Options as Options
from jaxtbe.optim.partial_rowwise_adam import partial_rowwise_adam as partial_rowwise_adam
from jaxtbe.optim.partial_rowwise_lamb import partial_rowwise_lamb as partial_rowwise_lamb
from jaxtbe.optim.per_table import per_table as per_table
from jaxtbe.optim.rowwise_adagrad import rowwise_adagrad as rowwise_adagrad
from jaxtbe.optim.sgd import sgd as sgd
