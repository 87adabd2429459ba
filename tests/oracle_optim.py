"""The update rules in float64 NumPy: one function a rule, one row at a time.

A rule maps (row, gradient, state, step, hyperparameters) to the new row and the new state. `Optimizer` applies a rule
to the touched rows of one table, and to nothing else.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import SimpleNamespace

import numpy as np
from numpy.linalg import norm


def sgd(w, g, s, t, h):
    return w - h.lr * (g + h.wd * w), {}


def adagrad(w, g, s, t, h):
    total = s["sum"] + g * g
    return w - h.lr * (g / (np.sqrt(total) + h.eps) + h.wd * w), {"sum": total}


def rowwise_adagrad(w, g, s, t, h):
    total = s["sum"] + np.mean(g * g)
    return w - h.lr * (g / (np.sqrt(total) + h.eps) + h.wd * w), {"sum": total}


def _adam_direction(w, s, t, h):
    m_hat = s["mu"] / (1 - h.b1**t)
    v_hat = s["nu"] / (1 - h.b2**t)
    return m_hat / (np.sqrt(v_hat) + h.eps) + h.wd * w


def _moments(g, g_squared, s, h):
    return {"mu": h.b1 * s["mu"] + (1 - h.b1) * g, "nu": h.b2 * s["nu"] + (1 - h.b2) * g_squared}


def adam(w, g, s, t, h):
    s = _moments(g, g * g, s, h)
    return w - h.lr * _adam_direction(w, s, t, h), s


def partial_rowwise_adam(w, g, s, t, h):
    s = _moments(g, np.mean(g * g), s, h)
    return w - h.lr * _adam_direction(w, s, t, h), s


def _lamb(w, s, t, h):
    r = _adam_direction(w, s, t, h)
    ratio = norm(w) / norm(r) if norm(w) > 0 and norm(r) > 0 else 1.0
    return w - h.lr * ratio * r, s


def lamb(w, g, s, t, h):
    return _lamb(w, _moments(g, g * g, s, h), t, h)


def partial_rowwise_lamb(w, g, s, t, h):
    return _lamb(w, _moments(g, np.mean(g * g), s, h), t, h)


def lars_sgd(w, g, s, t, h):
    trust = h.eta * norm(w) / (norm(g) + h.wd * norm(w)) if norm(w) > 0 and norm(g) > 0 else 1.0
    rate = h.lr * trust
    m = h.momentum * s["trace"] + rate * (g + h.wd * w)
    return w - m, {"trace": m}


RULES: dict[str, Callable] = {
    rule.__name__: rule
    for rule in (sgd, adagrad, rowwise_adagrad, adam, partial_rowwise_adam, lamb, partial_rowwise_lamb, lars_sgd)
}


@dataclass
class Optimizer:
    """One rule, its hyperparameters, and the state of the rows it has touched so far (absent rows have zero state)."""

    rule: str
    learning_rate: float
    weight_decay: float = 0.0
    decay: str = "none"
    clip: float | None = None
    max_norm: float | None = None
    hyperparameters: Mapping[str, float] = field(default_factory=dict)
    step_count: int = 0
    state: dict[int, dict] = field(default_factory=dict)

    def step(self, values: np.ndarray, gradients: Mapping[int, np.ndarray]) -> np.ndarray:
        """The table in float64 after one step, from `values` in whatever dtype it is stored."""
        self.step_count += 1
        updated = values.astype(np.float64)
        for row, g in gradients.items():
            updated[row] = self._row(row, updated[row], g)
        return updated

    def _row(self, row: int, w: np.ndarray, g: np.ndarray) -> np.ndarray:
        if self.clip is not None:
            g = np.clip(g, -self.clip, self.clip)
        if self.decay == "l2":
            g = g + self.weight_decay * w
        h = SimpleNamespace(
            lr=self.learning_rate,
            wd=self.weight_decay if self.decay == "decoupled" else 0.0,
            **self.hyperparameters,
        )
        zero = dict.fromkeys(("sum", "mu", "nu", "trace"), 0.0)
        w, self.state[row] = RULES[self.rule](w, g, self.state.get(row, zero), self.step_count, h)
        if self.max_norm is not None and norm(w) > self.max_norm:
            w = w * (self.max_norm / norm(w))
        return w
