"""Every public transformation of optax and of `optax.contrib`, made with arguments under which it does something to the model."""

import inspect

import jax
import optax

from composition import contrib

SCHEDULE = optax.linear_schedule(1.0, 0.1, 4)

# What takes a gradient and gives one of the same shape, or a whole optimizer.
PLAIN = {
    "adabelief": lambda: optax.adabelief(0.1),
    "adadelta": lambda: optax.adadelta(0.1),
    "adafactor": lambda: optax.adafactor(0.1),
    "adagrad": lambda: optax.adagrad(0.1),
    "adam": lambda: optax.adam(0.1),
    "adamax": lambda: optax.adamax(0.1),
    "adamaxw": lambda: optax.adamaxw(0.1),
    "adamw": lambda: optax.adamw(0.1),
    "adan": lambda: optax.adan(0.1),
    "adaptive_grad_clip": lambda: optax.adaptive_grad_clip(0.01),
    "add_decayed_weights": lambda: optax.add_decayed_weights(0.1),
    "add_noise": lambda: optax.add_noise(0.1, 0.5, 0),
    "amsgrad": lambda: optax.amsgrad(0.1),
    "apply_every": lambda: optax.apply_every(2),
    "centralize": lambda: optax.centralize(),
    "clip": lambda: optax.clip(0.01),
    "clip_by_block_rms": lambda: optax.clip_by_block_rms(0.01),
    "clip_by_global_norm": lambda: optax.clip_by_global_norm(0.05),
    "ema": lambda: optax.ema(0.5),
    "fromage": lambda: optax.fromage(0.1),
    "identity": lambda: optax.identity(),
    "keep_params_nonnegative": lambda: optax.keep_params_nonnegative(),
    "lamb": lambda: optax.lamb(0.1),
    "lars": lambda: optax.lars(0.1),
    "lion": lambda: optax.lion(0.1),
    "nadam": lambda: optax.nadam(0.1),
    "nadamw": lambda: optax.nadamw(0.1),
    "noisy_sgd": lambda: optax.noisy_sgd(0.1, 0.1),
    "normalize_by_update_norm": lambda: optax.normalize_by_update_norm(),
    "novograd": lambda: optax.novograd(0.1),
    "optimistic_adam": lambda: optax.optimistic_adam(0.1),
    "optimistic_adam_v2": lambda: optax.optimistic_adam_v2(0.1),
    "optimistic_gradient_descent": lambda: optax.optimistic_gradient_descent(0.1),
    "polyak_sgd": lambda: optax.polyak_sgd(0.1),
    "radam": lambda: optax.radam(0.1),
    "rmsprop": lambda: optax.rmsprop(0.1),
    "rprop": lambda: optax.rprop(0.1),
    "scale": lambda: optax.scale(0.5),
    "scale_by_adadelta": lambda: optax.scale_by_adadelta(),
    "scale_by_adam": lambda: optax.scale_by_adam(),
    "scale_by_adamax": lambda: optax.scale_by_adamax(),
    "scale_by_adan": lambda: optax.scale_by_adan(),
    "scale_by_amsgrad": lambda: optax.scale_by_amsgrad(),
    "scale_by_belief": lambda: optax.scale_by_belief(),
    "scale_by_distance_over_gradients": lambda: optax.scale_by_distance_over_gradients(),
    "scale_by_learning_rate": lambda: optax.scale_by_learning_rate(0.1),
    "scale_by_lion": lambda: optax.scale_by_lion(),
    "scale_by_novograd": lambda: optax.scale_by_novograd(),
    "scale_by_optimistic_gradient": lambda: optax.scale_by_optimistic_gradient(),
    "scale_by_param_block_norm": lambda: optax.scale_by_param_block_norm(),
    "scale_by_param_block_rms": lambda: optax.scale_by_param_block_rms(),
    "scale_by_polyak": lambda: optax.scale_by_polyak(),
    "scale_by_radam": lambda: optax.scale_by_radam(),
    "scale_by_rms": lambda: optax.scale_by_rms(),
    "scale_by_rprop": lambda: optax.scale_by_rprop(0.1),
    "scale_by_rss": lambda: optax.scale_by_rss(),
    "scale_by_schedule": lambda: optax.scale_by_schedule(SCHEDULE),
    "scale_by_sign": lambda: optax.scale_by_sign(),
    "scale_by_sm3": lambda: optax.scale_by_sm3(),
    "scale_by_stddev": lambda: optax.scale_by_stddev(),
    "scale_by_trust_ratio": lambda: optax.scale_by_trust_ratio(),
    "scale_by_yogi": lambda: optax.scale_by_yogi(),
    "set_to_zero": lambda: optax.set_to_zero(),
    "sgd": lambda: optax.sgd(0.5),
    "sign_sgd": lambda: optax.sign_sgd(0.1),
    "signum": lambda: optax.signum(0.1),
    "sm3": lambda: optax.sm3(0.1),
    "stateless": lambda: optax.stateless(lambda g, p: jax.tree.map(lambda x: 0.5 * x, g)),
    "stateless_with_tree_map": lambda: optax.stateless_with_tree_map(lambda g, p: 0.5 * g),
    "trace": lambda: optax.trace(0.9),
    "yogi": lambda: optax.yogi(0.1),
    "zero_nans": lambda: optax.zero_nans(),
    **contrib.PLAIN,
}

# What takes an optimizer and gives one.
AROUND = {
    "MultiSteps": lambda tx: optax.MultiSteps(tx, 2).gradient_transformation(),
    "apply_if_finite": lambda tx: optax.apply_if_finite(tx, 3),
    "chain": lambda tx: optax.chain(tx),
    "conditionally_mask": lambda tx: optax.conditionally_mask(tx, lambda step: step < 2),
    "conditionally_transform": lambda tx: optax.conditionally_transform(tx, lambda step: step < 2),
    "flatten": lambda tx: optax.flatten(tx),
    "masked": lambda tx: optax.masked(tx, {"emb": True, "w": True}),
    "named_chain": lambda tx: optax.named_chain(("only", tx)),
    "partition": lambda tx: optax.partition({"all": tx}, {"emb": "all", "w": "all"}),
    "multi_transform": lambda tx: optax.multi_transform({"all": tx}, {"emb": "all", "w": "all"}),
    "with_extra_args_support": lambda tx: optax.with_extra_args_support(tx),
    **contrib.AROUND,
}

# What has no place in a step of one gradient, and why.
ELSEWHERE = {
    "MultiStepsState": "a state",
    "freeze": "makes a mask of parameters: `jaxtbe.optim.freeze` is for tables",
    "selective_transform": "masks parameters leaf by leaf: `optax.partition` with `jaxtbe.optim.labels`",
    "inject_hyperparams": "takes a factory: tested by itself",
    "inject_stateful_hyperparams": "deprecated for inject_hyperparams",
    "lbfgs": "needs the loss as a function of dense parameters",
    "scale_by_lbfgs": "needs the loss as a function of dense parameters",
    "scale_by_backtracking_linesearch": "evaluates the loss at other parameters: needs dense gradients",
    "scale_by_zoom_linesearch": "evaluates the loss at other parameters: needs dense gradients",
    "lookahead": "trains pairs of fast and slow parameters",
    "measure_with_ema": "measures, and takes a function of the user's",
    "snapshot": "measures, and takes a function of the user's",
    **contrib.ELSEWHERE,
}


def of_optax() -> list[str]:
    """The names of the installed optax's public transformations, and of those contributed."""
    names = []
    for name in dir(optax):
        value = getattr(optax, name)
        if name.startswith("_") or not callable(value):
            continue
        try:
            returned = str(inspect.signature(value).return_annotation)
        except (TypeError, ValueError):
            continue
        if "GradientTransformation" in returned or name == "MultiSteps":
            names.append(name)
    return names + contrib.of_contrib()
