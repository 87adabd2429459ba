"""`jaxtbe.value_and_grad`: the sparse gradient against the oracle and against plain `jax.grad`.

A table of zeros after one step of `sgd(1.0)` is minus the gradient of each row: that is how a gradient is looked into.
"""

import hypothesis
import jax
import jax.numpy as jnp
import numpy as np
import optax
import oracle
import pytest
from cases import Case, cases, every_pooling, feature, quick_jit, random_batch, to_bags
from compare import assert_same_bits, assert_within

import jaxtbe
from jaxtbe.autodiff import logged_lookup

F32 = (jnp.float32,)


def loss(emb, params, bags, d_acts):
    acts = emb(params, bags)
    return sum(jnp.vdot(acts[name], d_acts[name]) for name in acts)


def stepped_from_zeros(params, grads) -> dict[str, jax.Array]:
    """Each table's gradient as an array of the table's shape, zero where no row was touched."""
    zeros = jax.tree.map(jnp.zeros_like, params)
    tx = jaxtbe.optim.sgd(1.0)
    updates, _ = tx.update(grads, tx.init(zeros), zeros)
    return {name: -table for name, table in optax.apply_updates(zeros, updates).tables.items()}


row_gradients = quick_jit(stepped_from_zeros)


def assert_gradient_matches(got, case, lookups):
    rows = oracle.row_gradients(case.tables, case.features, lookups)
    for table in case.tables:
        want = oracle.replace_rows(np.zeros((table.rows, table.dim)), rows[table.name])
        # Sums of a few dozen numbers of size one: 1e-5 of the largest term that may have cancelled.
        assert_within(got[table.name], want, 1e-5 * np.maximum(np.abs(want), 1), f"gradient of {table.name!r}")


@hypothesis.given(case=cases(accesses=("read_write", "read_only"), duplicates=("sum", "first", "last"), dtypes=F32))
def test_random_specs_and_batches(implementation, case):
    emb = case.module(implementation)
    batch, d_acts = case.batch(faults=True, mask=True), case.d_acts()

    @quick_jit
    def sparse(params, bags, d_acts):
        value, grads = jaxtbe.value_and_grad(lambda p: loss(emb, p, bags, d_acts))(params)
        return value, stepped_from_zeros(params, grads)

    params, bags = case.params(), to_bags(emb, batch)
    value, got = sparse(params, bags, d_acts)
    assert_gradient_matches(got, case, [(batch, d_acts)])
    acts = oracle.lookup(case.tables, case.features, case.values(), batch)
    assert_within(value, sum(np.vdot(acts[name], d_acts[name]) for name in acts), 1e-4, "value")


def test_agrees_with_plain_jax_grad_on_a_nonlinear_loss(implementation):
    tables = (jaxtbe.Table("a", rows=5, dim=3), jaxtbe.Table("b", rows=6, dim=8))
    features = (feature("f", "b"), feature("g", "a", "none"), feature("h", "b", "mean"), feature("i", "a"))
    case = Case(tables, features)
    emb = case.module(implementation)

    def fun(params, scale, bags):
        return sum(jnp.sum(jnp.tanh(scale * a)) for a in emb(params, bags).values())

    params, scale, bags = case.params(), jnp.float32(0.7), to_bags(emb, case.batch())
    value, (sparse, d_scale) = quick_jit(jaxtbe.value_and_grad(fun, argnums=(0, 1)))(params, scale, bags)
    want, (dense, d_scale_want) = quick_jit(jax.value_and_grad(fun, argnums=(0, 1)))(params, scale, bags)
    assert_within(value, want, 1e-5 * max(1, abs(want)), "value")
    assert_within(d_scale, d_scale_want, 1e-5 * max(1, abs(d_scale_want)), "gradient of a dense argument")
    for name, got in row_gradients(params, sparse).items():
        assert_within(got, dense.tables[name], 1e-5, f"gradient of {name!r}")


@pytest.mark.parametrize("duplicates", ["sum", "first", "last"])
def test_two_lookups_of_one_table(implementation, duplicates):
    case = every_pooling(rows=5, duplicates=duplicates)
    emb = case.module(implementation)
    lookups = []
    for batch_size in (4, 2):
        rng = np.random.default_rng(batch_size)
        batch = random_batch(case.tables, case.features, rng, batch_size=batch_size)
        lookups.append((batch, case.d_acts(batch_size, batch_size)))

    def both(params):
        return sum(loss(emb, params, to_bags(emb, batch), d_acts) for batch, d_acts in lookups)

    params = case.params()
    assert_gradient_matches(row_gradients(params, quick_jit(jaxtbe.grad(both))(params)), case, lookups)


def test_lookups_with_and_without_weights_and_masks_in_one_loss(implementation):
    case = every_pooling(rows=5)
    emb = case.module(implementation)
    options = [{"weights": False}, {"weights": True}, {"weights": False, "mask": True}]
    lookups = [(case.batch(i, **o), case.d_acts(i)) for i, o in enumerate(options)]

    def all_three(params):
        return sum(loss(emb, params, to_bags(emb, batch), d_acts) for batch, d_acts in lookups)

    params = case.params()
    assert_gradient_matches(row_gradients(params, quick_jit(jaxtbe.grad(all_three))(params)), case, lookups)


def test_a_row_with_thousands_of_occurrences(implementation):
    case = Case((jaxtbe.Table("t", rows=3, dim=2),), (feature("f", "t"), feature("g", "t", "mean")))
    emb = case.module(implementation)
    batch = random_batch(case.tables, case.features, np.random.default_rng(0), batch_size=500, longest=20)
    d_acts = case.d_acts(batch_size=500)
    got = row_gradients(case.params(), emb.gradient(to_bags(emb, batch, capacity=None), d_acts))["t"]
    want = oracle.row_gradients(case.tables, case.features, [(batch, d_acts)])["t"]
    count = sum(len(bag) for bags in batch.ids.values() for bag in bags)
    for row, g in want.items():
        # Weights and gradients are of size one: a sum of `count` terms, each at most about ten.
        assert_within(got[row], g, count * 2.0**-24 * 10, f"gradient of row {row}")


@pytest.mark.parametrize("duplicates", ["sum", "first", "last"])
def test_a_large_batch_over_many_rows(implementation, duplicates):
    """Enough ids and rows for every pass of a sort and several threads."""
    tables = (
        jaxtbe.Table("large", rows=70_001, dim=2, duplicates=duplicates),
        jaxtbe.Table("small", rows=300, dim=3, duplicates=duplicates),
    )
    case = Case(tables, (feature("f", "large"), feature("g", "small"), feature("h", "large", "mean")))
    emb = case.module(implementation)
    rng = np.random.default_rng(0)
    batch = random_batch(case.tables, case.features, rng, batch_size=1000, longest=12, weights=False, faults=True)
    d_acts = case.d_acts(batch_size=1000)
    got = row_gradients(case.params(), emb.gradient(to_bags(emb, batch, capacity=20_000), d_acts))
    assert_gradient_matches(got, case, [(batch, d_acts)])


def test_two_modules_in_one_loss(implementation):
    one, two = every_pooling(dim=3), Case((jaxtbe.Table("t", rows=4, dim=2),), (feature("f", "t"),), seed=1)
    emb1, emb2 = one.module(implementation), two.module(implementation)

    def fun(params, bags, d_acts):
        return loss(emb1, params["one"], bags["one"], d_acts["one"]) + loss(
            emb2, params["two"], bags["two"], d_acts["two"]
        )

    batches = {"one": one.batch(), "two": two.batch()}
    d_acts = {"one": one.d_acts(), "two": two.d_acts()}
    params = {"one": one.params(), "two": two.params()}
    bags = {"one": to_bags(emb1, batches["one"]), "two": to_bags(emb2, batches["two"])}
    grads = quick_jit(jaxtbe.grad(fun))(params, bags, d_acts)
    for name, case in (("one", one), ("two", two)):
        assert_gradient_matches(row_gradients(params[name], grads[name]), case, [(batches[name], d_acts[name])])


def test_explicit_gradient_is_the_same(implementation):
    case = every_pooling()
    emb = case.module(implementation)
    params, bags, d_acts = case.params(), to_bags(emb, case.batch()), case.d_acts()
    implicit = row_gradients(params, jaxtbe.grad(lambda p: loss(emb, p, bags, d_acts))(params))
    value, d_value = jax.value_and_grad(lambda acts: sum(jnp.vdot(acts[k], d_acts[k]) for k in acts))(emb(params, bags))
    explicit = row_gradients(params, emb.gradient(bags, d_value, after=value))
    assert_same_bits(explicit["t"], implicit["t"], "explicit gradient")


def test_aux_and_other_arguments_pass_through(implementation):
    case = every_pooling()
    emb = case.module(implementation)
    params, bags, d_acts = case.params(), to_bags(emb, case.batch()), case.d_acts()

    def fun(scale, params, *, offset):
        acts = emb(params, bags)
        return scale * sum(jnp.vdot(acts[k], d_acts[k]) for k in acts) + offset, {"acts": acts}

    (value, aux), grads = jaxtbe.value_and_grad(fun, argnums=1, has_aux=True)(2.0, params, offset=3.0)
    assert_within(value, 2.0 * loss(emb, params, bags, d_acts) + 3.0, 1e-4, "value")
    for name, acts in emb(params, bags).items():
        assert_same_bits(aux["acts"][name], acts, f"aux activations {name!r}")
    doubled = {name: 2.0 * d for name, d in d_acts.items()}
    assert_gradient_matches(row_gradients(params, grads), case, [(case.batch(), doubled)])

    grads_of_grad, aux_of_grad = jaxtbe.grad(fun, argnums=1, has_aux=True)(2.0, params, offset=3.0)
    assert_same_bits(
        row_gradients(params, grads_of_grad)["t"], row_gradients(params, grads)["t"], "grad and value_and_grad"
    )
    assert_same_bits(aux_of_grad["acts"]["sum"], aux["acts"]["sum"], "aux of grad")


def test_dense_arguments_alone_are_as_with_jax(implementation):
    del implementation
    value, grads = jaxtbe.value_and_grad(lambda x: jnp.sum(x**2))(jnp.arange(3.0))
    assert_within(value, 5.0, 0, "value")
    assert_within(grads, [0, 2, 4], 0, "gradient")


def test_a_module_that_is_not_looked_up_is_left_alone(implementation):
    case = every_pooling()
    params = {"emb": case.params(), "w": jnp.ones(3)}
    grads = jaxtbe.grad(lambda p: jnp.sum(p["w"] ** 2))(params)
    assert_within(grads["w"], [2, 2, 2], 0, "gradient of the dense parameter")
    assert_within(row_gradients(params["emb"], grads["emb"])["t"], np.zeros((7, 5)), 0, "gradient without a lookup")
    del implementation


def test_an_output_that_the_loss_ignores_has_zero_gradient(implementation):
    case = every_pooling()
    emb = case.module(implementation)
    params, bags = case.params(), to_bags(emb, case.batch())
    d_acts = {name: np.zeros_like(d) if name != "sum" else d for name, d in case.d_acts().items()}
    grads = jaxtbe.grad(lambda p: jnp.vdot(emb(p, bags)["sum"], d_acts["sum"]))(params)
    assert_gradient_matches(row_gradients(params, grads), case, [(case.batch(), d_acts)])


def test_gradient_is_the_size_of_the_batch(implementation):
    case = every_pooling(rows=100_000)
    emb = case.module(implementation)
    bags, d_acts = to_bags(emb, case.batch()), case.d_acts()
    grads = jax.eval_shape(jaxtbe.grad(lambda p: loss(emb, p, bags, d_acts)), case.params())
    largest = max(leaf.size for leaf in jax.tree.leaves(grads))
    assert largest < 1_000, f"a leaf of the sparse gradient has {largest} numbers"


def test_same_gradient_twice_gives_the_same_bits(implementation):
    case = every_pooling(rows=2, dim=64)
    emb = case.module(implementation)
    params, bags, d_acts = case.params(), to_bags(emb, case.batch()), case.d_acts()
    first, second = (row_gradients(params, jaxtbe.grad(lambda p: loss(emb, p, bags, d_acts))(params)) for _ in "12")
    assert_same_bits(second["t"], first["t"], "gradient again")


def nested_in_scan(f, bags):
    return jnp.sum(jax.lax.scan(lambda c, _: (c, f(bags)), 0.0, None, length=2)[1])


def nested_in_checkpoint(f, bags):
    return jax.checkpoint(f)(bags)


def nested_in_jit(f, bags):
    return jax.jit(f)(bags)


def nested_in_grad(f, bags):
    return jax.grad(lambda s: s * f(bags))(1.0)


def nested_in_vmap(f, bags):
    return jnp.sum(jax.vmap(lambda s: jnp.sin(s * f(bags)))(jnp.arange(3.0)))


def nested_in_vmap_of_scan(f, bags):
    return jnp.sum(jax.vmap(lambda s: s * nested_in_scan(f, bags))(jnp.arange(3.0)))


def nested_in_cond(f, bags):
    return jax.lax.cond(jnp.max(bags.ids) > 0, f, lambda bags: 0.0, bags)


def nested_in_vmap_over_bags(f, bags):
    return jnp.sum(jax.vmap(f)(jax.tree.map(lambda x: jnp.stack([x, x]), bags)))


NESTED = [nested_in_scan, nested_in_checkpoint, nested_in_jit, nested_in_grad, nested_in_vmap, nested_in_vmap_of_scan]
REFUSED = [nested_in_cond, nested_in_vmap_over_bags]


@pytest.mark.parametrize("nest", NESTED + REFUSED)
def test_nested_lookup_works_or_names_the_remedy(implementation, nest):
    case = every_pooling()
    emb = case.module(implementation)
    bags = to_bags(emb, case.batch())

    def fun(params):
        return nest(lambda bags: jnp.sum(emb(params, bags)["sum"]), bags)

    if logged_lookup.SUPPORTED and nest not in REFUSED:
        params, tx = case.params(), jaxtbe.optim.sgd(1.0)
        updates, _ = tx.update(jax.jit(jaxtbe.grad(fun))(params), tx.init(params), params)
        stepped = params.tables["t"] - updates.tables["t"].value
        np.testing.assert_allclose(stepped, jax.grad(fun)(params).tables["t"], rtol=1e-4, atol=1e-5)
        return
    with pytest.raises((RuntimeError, ValueError), match=r"jaxtbe\..*lookup.*expected .*, got .*\. .*"):
        jaxtbe.grad(fun)(case.params())


@pytest.mark.skipif(not logged_lookup.SUPPORTED, reason="needs jax.custom_vjp.defvjp_with_logs")
def test_a_scan_over_batches_within_the_loss(implementation):
    case = every_pooling()
    emb, params, tx = case.module(implementation), case.params(), jaxtbe.optim.sgd(1.0)
    batches = [to_bags(emb, case.batch(seed, faults=True)) for seed in range(3)]
    stacked = jax.tree.map(lambda *x: jnp.stack([jnp.asarray(a) for a in x]), *batches)

    def fun(params):
        return jnp.sum(jax.lax.scan(lambda c, bags: (c, jnp.sum(jnp.sin(emb.concat(params, bags)))), 0.0, stacked)[1])

    grads = jax.jit(jaxtbe.grad(fun))(params)
    updates, state = tx.update(grads, tx.init(params), params)
    stepped = params.tables["t"] - updates.tables["t"].value
    np.testing.assert_allclose(stepped, jax.grad(fun)(params).tables["t"], rtol=1e-4, atol=1e-5)
    with pytest.raises(ValueError, match="past it"):
        jaxtbe.check(state)
