"""Random specs and batches: small enough to read in a failure, ragged enough to find one."""

import functools
from dataclasses import dataclass

import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import optax
from oracle import Batch, zeros_like_acts

import jaxtbe

DTYPES = (jnp.float32, jnp.bfloat16, jnp.float16)
POOLINGS = ("sum", "mean", "none")
DIMS = (1, 3, 63, 64, 65, 300)
BATCH_SIZE = 4
CAPACITY = 128
MAX_LENGTH = 3


@dataclass(frozen=True)
class Case:
    """A spec, the values of its tables, and the seed that its batches come from."""

    tables: tuple[jaxtbe.Table, ...]
    features: tuple[jaxtbe.Feature, ...]
    seed: int = 0

    def module(self, implementation: str) -> jaxtbe.EmbeddingBags:
        return jaxtbe.EmbeddingBags(self.tables, self.features, implementation=implementation)

    def values(self) -> dict[str, np.ndarray]:
        """Random tables, in their own dtypes."""
        rng = np.random.default_rng(self.seed)
        return {t.name: rng.normal(size=(t.rows, t.dim)).astype(t.dtype) for t in self.tables}

    def params(self, values=None) -> jaxtbe.EmbeddingParams:
        values = self.values() if values is None else values
        return jaxtbe.EmbeddingParams(tables={name: jnp.array(value) for name, value in values.items()})

    def batch(self, seed: int = 0, **options) -> Batch:
        return random_batch(self.tables, self.features, np.random.default_rng((self.seed, seed)), **options)

    def d_acts(self, seed: int = 0, batch_size: int = BATCH_SIZE) -> dict[str, np.ndarray]:
        """A random gradient of the activations."""
        rng = np.random.default_rng((self.seed, seed, 1))
        shapes = zeros_like_acts(self.tables, self.features, batch_size)
        return {name: rng.normal(size=a.shape).astype(np.float32) for name, a in shapes.items()}


def random_batch(
    tables,
    features,
    rng: np.random.Generator,
    *,
    batch_size: int = BATCH_SIZE,
    longest: int = 6,
    weights: bool = True,
    mask: bool = False,
    negatives: bool = True,
    faults: bool = False,
) -> Batch:
    """Ragged bags over few rows, so that rows repeat; about a quarter of the bags are empty."""
    rows = {t.name: t.rows for t in tables}
    ids = {}
    for feature in features:
        lengths = rng.integers(0, longest + 1, batch_size) * (rng.random(batch_size) > 0.15)
        bags = [rng.integers(0, rows[feature.table], n).tolist() for n in lengths]
        for bag in bags:
            for position in range(len(bag) if feature.max_length is None else min(len(bag), feature.max_length)):
                chance = rng.random()
                if negatives and chance < 0.1:
                    bag[position] = -1
                elif faults and chance > 0.85:
                    bag[position] = rows[feature.table] + int(rng.integers(0, 9))
        ids[feature.name] = bags

    def like_ids(draw):
        return {name: [draw(len(bag)).tolist() for bag in bags] for name, bags in ids.items()}

    return Batch(
        ids,
        like_ids(lambda n: rng.normal(size=n).astype(np.float32)) if weights else None,
        like_ids(lambda n: rng.random(n) < 0.6) if mask else None,
    )


# Tests run each program once or twice: without LLVM's optimizations it compiles in half of the time.
quick_jit = functools.partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})


@functools.partial(quick_jit, static_argnums=0)
def lookup(emb: jaxtbe.EmbeddingBags, params: jaxtbe.EmbeddingParams, bags: jaxtbe.Bags) -> dict[str, jax.Array]:
    return emb(params, bags)


@functools.partial(quick_jit, static_argnums=(0, 1))
def train_step(emb: jaxtbe.EmbeddingBags, tx, params: jaxtbe.EmbeddingParams, state, bags: jaxtbe.Bags, d_acts):
    """One step of a table optimizer from the gradient of the activations: the new parameters and state."""
    updates, state = tx.update(emb.gradient(bags, d_acts), state, params)
    return optax.apply_updates(params, updates), state


def to_bags(emb: jaxtbe.EmbeddingBags, batch: Batch, capacity: int | None = CAPACITY) -> jaxtbe.Bags:
    return emb.bags(batch.ids, id_weights=batch.id_weights, update_mask=batch.update_mask, capacity=capacity)


def feature(name: str, table: str, pooling: str = "sum", access: str = "read_write") -> jaxtbe.Feature:
    max_length = MAX_LENGTH if pooling == "none" else None
    return jaxtbe.Feature(name, table=table, pooling=pooling, access=access, max_length=max_length)


def every_pooling(dim: int = 5, rows: int = 7, duplicates: str = "sum") -> Case:
    """A float32 table read by a feature of each pooling."""
    table = jaxtbe.Table("t", rows=rows, dim=dim, duplicates=duplicates)
    return Case((table,), tuple(feature(pooling, "t", pooling) for pooling in POOLINGS))


def every_dtype_and_pooling(dim: int) -> Case:
    """A table of each dtype, each read by a feature of each pooling, the tables interleaved."""
    tables = tuple(jaxtbe.Table(jnp.dtype(dtype).name, rows=7, dim=dim, dtype=dtype) for dtype in DTYPES)
    return Case(tables, tuple(feature(f"{t.name}_{p}", t.name, p) for p in POOLINGS for t in tables))


@st.composite
def cases(draw, accesses=("read_write",), duplicates=("sum",), dtypes=DTYPES) -> Case:
    """One to three tables, shared by one to five features in any order."""
    tables = tuple(
        jaxtbe.Table(
            f"t{i}",
            rows=draw(st.sampled_from((1, 2, 9))),
            dim=draw(st.sampled_from((1, 3, 8))),
            dtype=draw(st.sampled_from(dtypes)),
            duplicates=draw(st.sampled_from(duplicates)),
        )
        for i in range(draw(st.integers(1, 3)))
    )
    features = tuple(
        feature(
            f"f{i}",
            draw(st.sampled_from(tables)).name,
            draw(st.sampled_from(POOLINGS)),
            draw(st.sampled_from(accesses)),
        )
        for i in range(draw(st.integers(1, 5)))
    )
    return Case(tables, features, seed=draw(st.integers(0, 1000)))
