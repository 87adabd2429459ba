"""FBGEMM's table-batched embeddings on CPU, with its default settings but for stochastic rounding, which is off."""

import time

import numpy as np
import torch
from fbgemm_gpu.split_embedding_configs import EmbOptimType, SparseType
from fbgemm_gpu.split_table_batched_embeddings_ops_common import EmbeddingLocation, PoolingMode
from fbgemm_gpu.split_table_batched_embeddings_ops_training import (
    ComputeDevice,
    SplitTableBatchedEmbeddingBagsCodegen,
    UserEnabledConfigDefinition,
)

from benchmarks.cases import EPS, Case
from benchmarks.data import Data
from benchmarks.implementations.torch_tables import fill

_OPTIMIZERS = {
    "sgd": EmbOptimType.EXACT_SGD,
    "adagrad": EmbOptimType.EXACT_ADAGRAD,
    "rowwise_adagrad": EmbOptimType.EXACT_ROWWISE_ADAGRAD,
    "": EmbOptimType.EXACT_SGD,
}


class Implementation:
    """See `benchmarks.implementations.base`."""

    def __init__(self, case: Case, data: Data):
        w = case.workload
        torch.set_num_threads(w.threads)
        self.case = case
        self.emb = SplitTableBatchedEmbeddingBagsCodegen(
            [(w.rows, w.dim, EmbeddingLocation.HOST, ComputeDevice.CPU)] * w.tables,
            optimizer=_OPTIMIZERS[case.optimizer],
            learning_rate=case.learning_rate,
            eps=EPS,
            weights_precision=SparseType.FP16 if w.dtype == "float16" else SparseType.FP32,
            output_dtype=SparseType.FP32,
            stochastic_rounding=False,
            pooling_mode=PoolingMode.SUM if w.pooled else PoolingMode.NONE,
            extra_optimizer_config=UserEnabledConfigDefinition(use_writeback_bwd_prehook=case.op == "writeback"),
        )
        for t, table in enumerate(self.emb.split_embedding_weights()):
            fill(table, data.period(t))
        self.ids = [torch.from_numpy(ids.reshape(-1).astype(np.int64)) for ids in data.ids]
        self.offsets = torch.arange(0, w.tables * w.batch * w.hotness + 1, w.hotness)
        self.d_acts = [torch.from_numpy(_in_its_order(data, d)) for d in data.d_acts]
        self.acts = None

    def run(self, batch: int) -> float:
        ids, d_acts = self.ids[batch], self.d_acts[batch]
        if self.case.op == "forward":
            with torch.no_grad():
                start = time.perf_counter()
                self.acts = self.emb(ids, self.offsets)
                return time.perf_counter() - start
        if self.case.is_step:
            start = time.perf_counter()
            acts = self.emb(ids, self.offsets)
            (0.5 * torch.sum(torch.square(acts - d_acts))).backward()
            return time.perf_counter() - start
        acts = self.emb(ids, self.offsets)
        start = time.perf_counter()
        acts.backward(d_acts)
        return time.perf_counter() - start

    def output(self) -> np.ndarray:
        w, acts = self.case.workload, self.acts.numpy()
        if w.pooled:
            return acts
        return acts.reshape(w.tables, w.batch, -1).transpose(1, 0, 2).reshape(w.batch, -1)

    def rows(self, table: int, rows: np.ndarray) -> np.ndarray:
        return self.emb.split_embedding_weights()[table][torch.from_numpy(rows)].float().numpy()


def _in_its_order(data: Data, d_acts: np.ndarray) -> np.ndarray:
    """Without pooling, its activations are [ids, D], all of the first table first."""
    w = data.workload
    if w.pooled:
        return d_acts
    return np.concatenate([d.reshape(-1, w.dim) for d in data.by_table(d_acts)])
