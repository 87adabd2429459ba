"""The numbers of the Adam family: decay rates, eps and bias corrections."""


def moment_hypers(b1, b2, eps):
    """The own hyperparameters of the Adam family, in the order of `Moments` in
    csrc/common/optim/adam.h.
    """
    return {
        "b1": b1,
        "b2": b2,
        "eps": eps,
        "c1": lambda step, values: 1 - values["b1"] ** step,
        "c2": lambda step, values: 1 - values["b2"] ** step,
    }
