"""Every public function of `optax.contrib`, like those of optax itself: the names begin with `contrib.`"""

import inspect

import jax
import optax
from optax import contrib

SQUARES = optax.stateless_with_tree_map(lambda g, p: g * g)  # in place of a Hessian's diagonal


def _scale_by_muon():
    """Of matrices alone."""
    numbers = lambda updates: jax.tree.map(lambda _: contrib.MuonDimensionNumbers(), updates)  # noqa: E731
    muon = contrib.scale_by_muon(weight_dimension_numbers=numbers)
    return optax.masked(muon, lambda updates: jax.tree.map(lambda x: x.ndim == 2, updates))


PLAIN = {
    "contrib.acprop": lambda: contrib.acprop(0.1),
    "contrib.ademamix": lambda: contrib.ademamix(0.1),
    "contrib.adopt": lambda: contrib.adopt(0.1),
    "contrib.cocob": lambda: contrib.cocob(),
    "contrib.dadapt_adamw": lambda: contrib.dadapt_adamw(0.1, estim_lr0=0.1),
    "contrib.dog": lambda: contrib.dog(1.0, ("distance", 0.1)),
    "contrib.dowg": lambda: contrib.dowg(1.0),
    "contrib.galore": lambda: contrib.galore(0.1, rank=2),
    "contrib.madgrad": lambda: contrib.madgrad(0.1),
    "contrib.momo": lambda: contrib.momo(),
    "contrib.momo_adam": lambda: contrib.momo_adam(),
    "contrib.muon": lambda: contrib.muon(0.1),
    "contrib.normalize": lambda: contrib.normalize(),
    "contrib.prodigy": lambda: contrib.prodigy(0.1, estim_lr0=0.1),
    "contrib.reduce_on_plateau": lambda: contrib.reduce_on_plateau(0.5, patience=1, rtol=0.9),
    "contrib.scale_by_acprop": lambda: contrib.scale_by_acprop(),
    "contrib.scale_by_ademamix": lambda: contrib.scale_by_ademamix(),
    "contrib.scale_by_adopt": lambda: contrib.scale_by_adopt(),
    "contrib.scale_by_cocob": lambda: contrib.scale_by_cocob(),
    "contrib.scale_by_galore": lambda: contrib.scale_by_galore(rank=2),
    "contrib.scale_by_madgrad": lambda: contrib.scale_by_madgrad(0.1),
    "contrib.scale_by_muon": _scale_by_muon,
    "contrib.scale_by_simplified_ademamix": lambda: contrib.scale_by_simplified_ademamix(),
    "contrib.schedule_free_adamw": lambda: contrib.schedule_free_adamw(0.1),
    "contrib.schedule_free_sgd": lambda: contrib.schedule_free_sgd(0.1),
    "contrib.simplified_ademamix": lambda: contrib.simplified_ademamix(0.1),
    "contrib.sophia": lambda: contrib.sophia(0.1, hessian_diagonal_fn=SQUARES),
}


def _sam(tx):
    adversary = optax.chain(contrib.normalize(), optax.sgd(0.05))
    return optax.GradientTransformation(*contrib.sam(tx, adversary))  # it takes no value of the loss


AROUND = {
    "contrib.mechanize": lambda tx: contrib.mechanize(tx, s_init=0.1),
    "contrib.sam": _sam,
    "contrib.schedule_free": lambda tx: contrib.schedule_free(tx, 0.1),
    "contrib.split_real_and_imaginary": lambda tx: contrib.split_real_and_imaginary(tx),
}

ELSEWHERE = {
    "contrib.differentially_private_aggregate": "takes gradients per sample: above, among what people write around a step",
    "contrib.dpsgd": "takes gradients per sample: above, among what people write around a step",
    "contrib.hutchinson_estimator_diag_hessian": "differentiates the loss twice: needs dense gradients",
    "contrib.schedule_free_eval_params": "takes the state of `optax.contrib.schedule_free`, of a table that inside "
    "`jaxtbe.optim.lazy`: tested by itself",
}


def of_contrib() -> list[str]:
    """The names of the installed optax's contributed functions."""
    return [
        f"contrib.{name}" for name, _ in inspect.getmembers(contrib, inspect.isfunction) if not name.startswith("_")
    ]
