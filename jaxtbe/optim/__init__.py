"""Optimizers of embedding tables: optax transformations that update the touched rows, in place."""

from jaxtbe.ops.rule import Rule as Rule
from jaxtbe.ops.rule import State as State
from jaxtbe.optim.base import TableOptimizer as TableOptimizer
from jaxtbe.optim.base import table_optimizer as table_optimizer
from jaxtbe.optim.options import Options as Options
from jaxtbe.optim.rules.adagrad import adagrad as adagrad
from jaxtbe.optim.rules.adam import adam as adam
from jaxtbe.optim.rules.lamb import lamb as lamb
from jaxtbe.optim.rules.lars_sgd import lars_sgd as lars_sgd
from jaxtbe.optim.rules.partial_rowwise_adam import partial_rowwise_adam as partial_rowwise_adam
from jaxtbe.optim.rules.partial_rowwise_lamb import partial_rowwise_lamb as partial_rowwise_lamb
from jaxtbe.optim.rules.rowwise_adagrad import rowwise_adagrad as rowwise_adagrad
from jaxtbe.optim.rules.sgd import sgd as sgd
from jaxtbe.optim.tools.across_devices import pmean as pmean
from jaxtbe.optim.tools.across_devices import psum as psum
from jaxtbe.optim.tools.freeze import freeze as freeze
from jaxtbe.optim.tools.gradient_tools import add_gradients as add_gradients
from jaxtbe.optim.tools.gradient_tools import all_finite as all_finite
from jaxtbe.optim.tools.gradient_tools import global_norm as global_norm
from jaxtbe.optim.tools.gradient_tools import scale_gradients as scale_gradients
from jaxtbe.optim.tools.gradient_tools import sum_stacked as sum_stacked
from jaxtbe.optim.tools.in_front import clip_by_global_norm as clip_by_global_norm
from jaxtbe.optim.tools.in_front import scale as scale
from jaxtbe.optim.tools.in_front import scale_by_schedule as scale_by_schedule
from jaxtbe.optim.tools.inject_hyperparams import inject_hyperparams as inject_hyperparams
from jaxtbe.optim.tools.labels import labels as labels
from jaxtbe.optim.tools.lazy import lazy as lazy
from jaxtbe.optim.tools.multi_steps import multi_steps as multi_steps
from jaxtbe.optim.tools.per_table import per_table as per_table
from jaxtbe.optim.tools.skip import apply_if_finite as apply_if_finite
from jaxtbe.optim.tools.skip import skip_nonfinite as skip_nonfinite
from jaxtbe.support.lazy_names import lazy_names
from jaxtbe.writes.optimizer_state import TableOptimizerState as TableOptimizerState

__getattr__, __dir__ = lazy_names(__name__, {})
