"""`torch.nn.EmbeddingBag` (`Embedding` where bags are not pooled) with sparse gradients and torch's optimizers."""

import time

import numpy as np
import torch

from benchmarks.cases import EPS, Case
from benchmarks.data import Data
from benchmarks.implementations.torch_tables import fill


class Implementation:
    """See `benchmarks.implementations.base`."""

    def __init__(self, case: Case, data: Data):
        w = case.workload
        torch.set_num_threads(w.threads)
        self.case = case
        self.modules = [_module(case, fill(torch.empty(w.rows, w.dim), data.period(t))) for t in range(w.tables)]
        self.optimizer = _optimizer(case, [m.weight for m in self.modules])
        self.ids = [[torch.from_numpy(of_table.astype(np.int64)) for of_table in ids] for ids in data.ids]
        self.d_acts = [torch.from_numpy(d) for d in data.d_acts]
        self.acts = None

    def run(self, batch: int) -> float:
        ids, d_acts = self.ids[batch], self.d_acts[batch]
        if self.case.op == "forward":
            with torch.no_grad():
                start = time.perf_counter()
                self.acts = self._forward(ids)
                return time.perf_counter() - start
        if self.case.op == "assign":
            return self._assign(ids, d_acts)
        if self.case.is_step:
            start = time.perf_counter()
            (0.5 * torch.sum(torch.square(self._forward(ids) - d_acts))).backward()
        else:
            acts = self._forward(ids)
            start = time.perf_counter()
            acts.backward(d_acts)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return time.perf_counter() - start

    def _forward(self, ids) -> torch.Tensor:
        batch = self.case.workload.batch
        return torch.cat([m(i).reshape(batch, -1) for m, i in zip(self.modules, ids, strict=True)], dim=1)

    def _assign(self, ids, values) -> float:
        w = self.case.workload
        parts = [v.reshape(-1, w.dim) for v in torch.split(values, w.columns // w.tables, dim=1)]
        start = time.perf_counter()
        with torch.no_grad():
            for module, of_table, part in zip(self.modules, ids, parts, strict=True):
                module.weight[of_table.reshape(-1)] = part
        return time.perf_counter() - start

    def output(self) -> np.ndarray:
        return self.acts.numpy()

    def rows(self, table: int, rows: np.ndarray) -> np.ndarray:
        return self.modules[table].weight.detach()[torch.from_numpy(rows)].numpy()


def _module(case: Case, table: torch.Tensor) -> torch.nn.Module:
    if case.workload.pooled:
        return torch.nn.EmbeddingBag.from_pretrained(table, freeze=False, mode="sum", sparse=True)
    return torch.nn.Embedding.from_pretrained(table, freeze=False, sparse=True)


def _optimizer(case: Case, weights):
    if case.optimizer == "adagrad":
        return torch.optim.Adagrad(weights, lr=case.learning_rate, eps=EPS)
    return torch.optim.SGD(weights, lr=case.learning_rate)
