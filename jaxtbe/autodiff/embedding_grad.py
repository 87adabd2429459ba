"""`EmbeddingGrad`: the sparse gradient of `EmbeddingParams`."""

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp

from jaxtbe.autodiff.digest import digest, is_altered, is_made_of, remember, spoiled
from jaxtbe.autodiff.opaque import is_sealed, seal, unseal
from jaxtbe.batch.bags import Bags
from jaxtbe.model.spec import Spec
from jaxtbe.support.arguments import check_array, check_type
from jaxtbe.support.errors import type_error, value_error
from jaxtbe.support.text import tree_text

API = "jaxtbe.EmbeddingGrad"
_DTYPES = {
    "ids": jnp.int32,
    "offsets": jnp.int32,
    "id_weights": jnp.float32,
    "update_mask": jnp.bool_,
    "faults": jnp.int32,
    "digest": jnp.uint32,
}
_BATCH = ("ids", "offsets", "id_weights", "update_mask")
ALTERED = -1  # in the place of the first faulty id: the gradient's arrays are not those that the loss made


@jax.tree_util.register_dataclass
@dataclasses.dataclass(repr=False)
class LookupGrad:
    """One lookup's share of a gradient, made by `LookupGrad.of`.

    Args:
      d_acts: writing feature to the gradient of its activations, f32[B, dim] or f32[B, max_length,
        dim]: the linear part.
      sealed: what is not linear, in a dtype that refuses arithmetic: see `bags` and `faults`.
      spec: static.
    """

    d_acts: dict[str, Any]
    sealed: dict[str, Any]
    spec: Spec = dataclasses.field(metadata={"static": True})

    @classmethod
    def of(cls, d_acts: Mapping[str, Any], bags: Bags, faults: Any, spec: Spec) -> "LookupGrad":
        """The share of a lookup of `bags`, with the faults i32[F, 2] that it counted."""
        plain = {"faults": faults, **{n: getattr(bags, n) for n in _BATCH}}
        sealed = {name: seal(x, name == "ids") for name, x in plain.items() if x is not None}
        return cls(dict(d_acts), sealed, spec)._with_digest()

    def _with_digest(self, words: Any = None) -> "LookupGrad":
        """The share with its digest, or with `words` in its place."""
        recorded = seal(self._digest() if words is None else words)
        share = dataclasses.replace(self, sealed={**self.sealed, "digest": recorded})
        remember(recorded, share._arrays())
        return share

    def _arrays(self) -> list[Any]:
        return [*self.d_acts.values(), *(x for n, x in sorted(self.sealed.items()) if n != "digest")]

    def _digest(self) -> jax.Array:
        words = {n: jax.random.key_data(x)[..., 0] for n, x in self.sealed.items() if n != "digest"}
        return digest(self.d_acts, words, self.spec.feature_names)

    @property
    def altered(self) -> jax.Array | None:
        """bool[], or of the stacked shape: whether elements moved, or non-finite ones were
        replaced. None: surely not.
        """
        recorded = self._plain("digest")
        if is_made_of(self.sealed["digest"], self._arrays()):
            return None
        now = self._digest()
        if recorded.shape != now.shape:
            raise value_error(
                API,
                f"lookup of features {self.spec.feature_names}",
                f"a digest of shape {now.shape}",
                str(recorded.shape),
                "Pass the gradient as it was taken",
            )
        return is_altered(recorded, now)

    def split(self) -> "list[LookupGrad]":
        """The shares that were stacked, each by itself."""
        if not self.stacked:
            return [self]
        axes, altered = len(self.stacked), self.altered
        sealed = {**self.sealed, "ids": seal(self._bags(altered).ids, True), "faults": seal(self._faults(altered))}
        arrays = self.d_acts, {n: x for n, x in sealed.items() if n != "digest"}
        flat = jax.tree.map(lambda x: x.reshape(math.prod(self.stacked), *x.shape[axes:]), arrays)
        none = jnp.zeros(1 + len(self.spec.features), jnp.uint32)  # what was just compared needs no digest
        shares = []
        for i in range(math.prod(self.stacked)):
            d_acts, sealed = jax.tree.map(lambda x, i=i: x[i], flat)
            shares.append(dataclasses.replace(self, d_acts=d_acts, sealed=sealed)._with_digest(none))
        return shares

    def _plain(self, name: str) -> jax.Array:
        array: Any = self.sealed.get(name)
        if not is_sealed(array):
            raise type_error(
                API,
                f"lookup of features {self.spec.feature_names}",
                f"its {name} as the lookup had them",
                str(getattr(array, "dtype", type(array).__name__)),
                "Compute with gradients by the tools of jaxtbe.optim, which leave them alone",
            )
        return unseal(array, _DTYPES[name], name == "ids")

    @property
    def bags(self) -> Bags:
        """What was looked up; where the share was altered, no id."""
        return self._bags(self.altered)

    def _bags(self, altered: jax.Array | None) -> Bags:
        leaves = {n: self._plain(n) for n in _BATCH if n in self.sealed or n in ("ids", "offsets")}
        if altered is not None:
            leaves["ids"] = jnp.where(altered[..., None], -1, leaves["ids"])
        batch_size = (leaves["offsets"].shape[-1] - 1) // len(self.spec.features)
        fields = (leaves.get(n) for n in _BATCH)
        return Bags.tree_unflatten((self.spec.feature_names, batch_size, 1), tuple(fields))

    @property
    def faults(self) -> jax.Array:
        """i32[F, 2], the lookup's count of faulty ids and the first of them, for each feature; 1
        and `ALTERED` where it was.
        """
        return self._faults(self.altered)

    def _faults(self, altered: jax.Array | None) -> jax.Array:
        faults = self._plain("faults")
        if altered is None:
            return faults
        code = jnp.broadcast_to(jnp.asarray([1, ALTERED], jnp.int32), faults.shape)
        return jnp.where(altered[..., None, None], code, faults)

    @property
    def stacked(self) -> tuple[int, ...]:
        """The leading axes that `jax.lax.scan` or `jax.vmap` gave to every array; () without any."""
        offsets: Any = self.sealed.get("offsets") if isinstance(self.sealed, Mapping) else None
        return jnp.shape(offsets)[:-1] if is_sealed(offsets) else ()

    def map_gradients(self, change: Callable[[Any], Any]) -> "LookupGrad":
        """The share with `change` of each gradient; what write_only features store is no gradient
        and stays.
        """
        stores = {f.name for f in self.spec.features if f.access == "write_only"}
        new = dataclasses.replace(
            self, d_acts={name: d if name in stores else change(d) for name, d in self.d_acts.items()}
        )
        altered = self.altered
        if altered is None:
            return new._with_digest()
        return dataclasses.replace(new, sealed={**self.sealed, "digest": seal(spoiled(altered, new._digest()))})

    def __repr__(self) -> str:
        opaque = {name: jax.ShapeDtypeStruct(x.shape, _DTYPES[name]) for name, x in self.sealed.items() if is_sealed(x)}
        return f"LookupGrad({tree_text(self.d_acts)}, {tree_text(opaque)})"

    def check(self) -> None:
        """Raises unless its arrays are there, and of as many dimensions as a lookup's."""
        remedy = "Pass the gradient as it was taken"
        check_type(API, "lookups", self.spec, Spec, "those of jaxtbe.value_and_grad", remedy)
        obj = f"lookup of features {self.spec.feature_names}"
        for name, held in (("d_acts", self.d_acts), ("sealed", self.sealed)):
            check_type(API, f"{obj}, {name}", held, Mapping, "a dict of arrays", remedy)
        stacked = self.stacked
        for name, x in self.sealed.items():
            if name not in _DTYPES:
                continue
            if not is_sealed(x):
                self._plain(name)  # raises
            shape = jnp.shape(x)
            own = (len(self.spec.features), 2) if name == "faults" else shape[len(stacked) :]
            if shape != (*stacked, *own) or (name != "faults" and len(own) != 1):
                expected = f"its {name} as the lookup had them"
                raise value_error(API, obj, expected, f"shape {shape}", remedy)
        for name, d in self.d_acts.items():
            check_array(API, f"gradient of feature {name!r}", d, "an array of floats")
            if jnp.shape(d)[: len(stacked)] != stacked or jnp.ndim(d) < len(stacked) + 2:
                expected = f"one for each of the {stacked} stacked lookups"
                raise value_error(API, f"gradient of feature {name!r}", expected, f"shape {jnp.shape(d)}", remedy)


@jax.tree_util.register_dataclass
@dataclasses.dataclass
class EmbeddingGrad:
    """The sparse gradient of an `EmbeddingParams`: batches and the gradients of their activations,
    never table-sized.

    It takes the place of a dense gradient; pass it to a table optimizer's `update`. Gradients of
    several lookups or micro-batches add up by `+` and `sum`, which concatenate; `-`, and `*` and
    `/` by scalars, are exact as well. What write_only features store is no gradient: scalars leave
    it as it is, and it cannot be subtracted. Any other arithmetic on its arrays is a TypeError that
    names `jaxtbe row ids`.

    Args:
      lookups: the shares of the lookups.
      tokens: arrays that were computed from the old tables. The update takes and ignores them, and
        so runs after every read.
    """

    lookups: tuple[LookupGrad, ...]
    tokens: tuple[Any, ...] = ()

    @property
    def shares(self) -> tuple[LookupGrad, ...]:
        """The lookups, checked. In the hands of JAX, and of a `tree.map`, they can be anything."""
        remedy = "Pass the gradient as it was taken"
        for name, held in (("lookups", self.lookups), ("tokens", self.tokens)):
            check_type(API, name, held, (tuple, list), "a tuple", remedy)
        for share in self.lookups:
            check_type(API, "lookups", share, LookupGrad, "those of jaxtbe.value_and_grad", remedy)
            share.check()
        return tuple(self.lookups)

    def after(self, *values) -> "EmbeddingGrad":
        """The same gradient, whose update runs after `values` (pytrees of arrays) are computed.

        Use it for anything else that reads a table within the step, a metric for instance: on CPU,
        XLA copies a table that is read after it was updated in place.
        """
        leaves = [jnp.asarray(x) for x in jax.tree.leaves(values)]
        return dataclasses.replace(self, tokens=(*self.tokens, *leaves))

    def __add__(self, other: Any) -> "EmbeddingGrad":
        if _is_zero(other):
            return self
        if not isinstance(other, EmbeddingGrad):
            return NotImplemented
        return EmbeddingGrad((*self.shares, *other.shares), (*self.tokens, *other.tokens))

    __radd__ = __add__  # sum([...]) begins with 0

    def __neg__(self) -> "EmbeddingGrad":
        return self._without_stores().__mul__(-1.0)

    def __sub__(self, other: Any) -> "EmbeddingGrad":
        if _is_zero(other):
            return self
        if not isinstance(other, EmbeddingGrad):
            return NotImplemented
        return self + -other

    def __rsub__(self, other: Any) -> "EmbeddingGrad":
        return -self if _is_zero(other) else NotImplemented

    def __mul__(self, scale: Any) -> "EmbeddingGrad":
        """Every gradient times a number or scalar array."""
        return self._scaled(_scalar(scale, "factor"))

    __rmul__ = __mul__

    def __truediv__(self, divisor: Any) -> "EmbeddingGrad":
        """Every gradient divided by a number or scalar array."""
        divisor = _scalar(divisor, "divisor")
        return dataclasses.replace(
            self, lookups=tuple(l.map_gradients(lambda d: (d / divisor).astype(d.dtype)) for l in self.shares)
        )

    __array_ufunc__ = None  # a NumPy number times this is __rmul__
    __array_priority__ = 1000

    def _scaled(self, scale: Any) -> "EmbeddingGrad":
        return dataclasses.replace(
            self, lookups=tuple(l.map_gradients(lambda d: (d * scale).astype(d.dtype)) for l in self.shares)
        )

    def _without_stores(self) -> "EmbeddingGrad":
        for share in self.shares:
            for feature in share.spec.features:
                if feature.access == "write_only":
                    raise value_error(
                        API,
                        f"subtraction, feature {feature.name!r}",
                        "a gradient, which can be subtracted",
                        "values that a write_only feature stores",
                        "Subtract the losses of the other features, and keep the store out of it",
                    )
        return self

    def __repr__(self) -> str:
        parts = []
        lookups = self.lookups if isinstance(self.lookups, tuple) else ()
        for share in lookups:
            if not isinstance(share, LookupGrad) or not isinstance(share.sealed, Mapping):
                parts.append(f"a {type(share).__name__}")  # JAX, or a tree.map, has put something else there
                continue
            stack = "".join(f"{n} x " for n in share.stacked)
            samples = (getattr(share.sealed.get("offsets"), "shape", ()) or (1,))[-1] - 1
            parts.append(f"{stack}{len(share.d_acts)} features x {samples // len(share.spec.features)} samples")
        return f"EmbeddingGrad({', '.join(parts) or 'no lookups'})"


def _is_zero(x: Any) -> bool:
    return isinstance(x, (int, float)) and not isinstance(x, bool) and x == 0


def _scalar(x: Any, what: str) -> Any:
    if isinstance(x, (EmbeddingGrad, str)) or (not hasattr(x, "__array__") and not isinstance(x, (int, float))):
        raise type_error(API, what, "a number or scalar array", type(x).__name__, "Multiply by numbers alone")
    if jnp.ndim(x) != 0:
        raise type_error(API, what, "a scalar", f"shape {jnp.shape(x)}", "Scale activations in the loss instead")
    return float(x) if isinstance(x, int) else x  # one past int32 too


def is_grad(x: Any) -> bool:
    """Whether this is an `EmbeddingGrad`: the leaf of a tree of gradients."""
    return isinstance(x, EmbeddingGrad)
