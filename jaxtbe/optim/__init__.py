"""Optimizers of embedding tables: optax transformations that update the touched rows, in place."""

from jaxtbe.ops.rule import Rule as Rule
from jaxtbe.ops.rule import State as State
from jaxtbe.optim.adagrad import adagrad as adagrad
from jaxtbe.optim.adam import adam as adam
from jaxtbe.optim.base import TableOptimizer as TableOptimizer
from jaxtbe.optim.base import TableOptimizerState as TableOptimizerState
from jaxtbe.optim.lamb import lamb as lamb
from jaxtbe.optim.lars_sgd import lars_sgd as lars_sgd
from jaxtbe.optim.options import Options as Options
from jaxtbe.optim.partial_rowwise_adam import partial_rowwise_adam as partial_rowwise_adam
from jaxtbe.optim.partial_rowwise_lamb import partial_rowwise_lamb as partial_rowwise_lamb
from jaxtbe.optim.rowwise_adagrad import rowwise_adagrad as rowwise_adagrad
from jaxtbe.optim.sgd import sgd as sgd
