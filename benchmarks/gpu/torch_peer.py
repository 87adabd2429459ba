"""`torch.nn.EmbeddingBag` on the same device, where torch is installed."""

import importlib.util
from collections.abc import Callable

import jax
import numpy as np

from benchmarks.gpu.workloads import SETS, Workload

AVAILABLE = importlib.util.find_spec("torch") is not None


class Bags:
    """The workload's tables as EmbeddingBags with sparse gradients."""

    def __init__(self, workload: Workload, tables: list[jax.Array]):
        import torch

        self.torch = torch
        self.workload = workload
        self.device = "cuda" if jax.default_backend() == "gpu" and torch.cuda.is_available() else "cpu"
        self.modules = [self._module(t) for t in tables]
        self.ids = [[torch.from_numpy(i).to(self.device) for i in of_tables] for of_tables in workload.ids]
        self.d_acts = torch.from_numpy(workload.d_acts).to(self.device)
        self.optimizer = torch.optim.SGD([m.weight for m in self.modules], lr=0.01)

    def _module(self, table: jax.Array):
        torch = self.torch
        dtype = {"float32": torch.float32, "float16": torch.float16}[table.dtype.name]
        weights = torch.empty(table.shape, dtype=dtype, device=self.device)
        for begin in range(0, table.shape[0], 1 << 20):
            weights[begin : begin + (1 << 20)] = torch.from_numpy(np.array(table[begin : begin + (1 << 20)]))
        return torch.nn.EmbeddingBag.from_pretrained(weights, freeze=False, mode="sum", sparse=True)

    def _acts(self, call: int):
        ids = self.ids[call % SETS]
        return self.torch.cat([m(i) for m, i in zip(self.modules, ids, strict=True)], dim=1)

    def forward(self, call: int):
        with self.torch.no_grad():
            return self._acts(call)

    def step(self, call: int):
        acts = self._acts(call)
        acts.backward(self.d_acts.to(acts.dtype))
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)

    def rows(self, table: int, rows: np.ndarray) -> np.ndarray:
        return self.modules[table].weight.detach()[self.torch.from_numpy(rows).to(self.device)].float().cpu().numpy()

    def waiting(self, run: Callable[[int], object]) -> Callable[[int], object]:
        """`run` with results that `jax.block_until_ready` waits for."""

        def call(i):
            return Pending(self, run(i))

        return call


class Pending:
    """Work on torch's stream."""

    def __init__(self, bags: Bags, result):
        self.bags, self.result = bags, result

    def block_until_ready(self) -> "Pending":
        if self.bags.device == "cuda":
            self.bags.torch.cuda.synchronize()
        return self
