"""Every way to combine jaxtbe with optax and JAX is equal to the dense computation, or refused with a cure that works."""

import functools
import re

import jax
import optax
import pytest
from composition import idioms, model, page
from composition.cells import AROUND_TOOLS, EQUAL, NOT_LAZY, PLACES, TOOLS, cure_of, sparse_partition
from composition.idioms import DENSE, IDIOMS, SPARSE
from composition.model import RATE, differs, loss, train
from composition.transformations import AROUND, ELSEWHERE, PLAIN, of_optax

import jaxtbe

# Of optax itself: deprecations, and a transformation that promotes ranks.
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:Specifying a key"),
]


@pytest.fixture(autouse=True)
def as_jax_is():
    with jax.numpy_rank_promotion("allow"):
        yield


NAMED = re.compile(r"jaxtbe|EmbeddingGrad|EmbeddingParams|Overwrite")
HAS = set(of_optax())


@functools.cache
def twin(name: str, place: str):
    return train(PLACES[place].dense(PLAIN[name]), sparse=False)


def assert_equal(got, want):
    assert not differs(got, want), differs(got, want)


def assert_refused(train_it, message=NAMED):
    """Raises, while tracing, an error that names jaxtbe; never another number."""
    with pytest.raises((TypeError, ValueError, AttributeError, RuntimeError, NotImplementedError)) as caught:
        train_it()
    assert re.search(message, str(caught.value)), f"{type(caught.value).__name__}: {caught.value}"
    assert NAMED.search(str(caught.value)) or "astype" in str(caught.value)


def test_every_transformation_of_the_installed_optax_has_an_entry():
    entries = {*PLAIN, *AROUND, *ELSEWHERE}
    assert entries >= HAS, f"add to tests/composition/transformations.py: {sorted(HAS - entries)}"
    assert all(names <= set(PLAIN) for names in (NOT_LAZY, set(TOOLS), *EQUAL.values()))


def with_optax(names):
    return [pytest.param(n, marks=[] if n in HAS else [pytest.mark.skip(reason="this optax has none")]) for n in names]


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name", with_optax(PLAIN))
def test_transformation_at_a_place(name, place):
    optimizer = PLACES[place].sparse
    if name in EQUAL[place]:
        assert_equal(train(optimizer(PLAIN[name]), sparse=True), twin(name, place))
    else:
        assert_refused(lambda: train(optimizer(PLAIN[name]), sparse=True))


CURED = [(n, p) for n in PLAIN for p in ("front", "behind", "behind tables") if n in HAS and n not in EQUAL[p]]


@pytest.mark.parametrize(("name", "place"), CURED)
def test_the_cure_is_equal(name, place):
    _, make = cure_of(name, place)
    if make is not None:
        return assert_equal(train(make(), sparse=True), twin(name, place))
    # Dense gradients through `EmbeddingBags`, beside those of `jnp.take`.
    assert_equal(dense_through_bags(PLACES[place].dense(PLAIN[name])), twin(name, place))


def dense_through_bags(tx):
    @functools.partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})
    def step(params, state, batch):
        value, grads = jax.value_and_grad(loss)(params, batch)
        extra = {"value": value} if isinstance(tx, optax.GradientTransformationExtraArgs) else {}
        updates, state = tx.update(grads, state, params, **extra)
        return optax.apply_updates(params, updates), state

    params = model.start()
    state = tx.init(params)
    for i in range(model.STEPS):
        params, state = step(params, state, model.BATCHES[i % 2])
    return params


@pytest.mark.parametrize("name", with_optax(AROUND))
def test_around_an_optimizer(name):
    want = train(AROUND[name](optax.sgd(RATE)), sparse=False)
    if name not in AROUND_TOOLS:
        return assert_equal(train(AROUND[name](sparse_partition()), sparse=True), want)
    assert_refused(lambda: train(AROUND[name](sparse_partition()), sparse=True))
    _, make = AROUND_TOOLS[name]
    got = train(make(), sparse=True) if make is not None else dense_through_bags(AROUND[name](optax.sgd(RATE)))
    assert_equal(got, want)


def test_the_parameters_that_schedule_free_evaluates():
    evaluate = optax.contrib.schedule_free_eval_params
    make = lambda: optax.contrib.schedule_free_sgd(RATE)  # noqa: E731
    params, state = train(sparse_partition(jaxtbe.optim.lazy(make()), make()), sparse=True, with_state=True)
    of_table = state.inner_states["tables"].inner_state.tables["emb"]["t"]["inner"]
    dense, dense_state = train(make(), sparse=False, with_state=True)
    want = evaluate(dense_state, dense)["emb"].tables["t"]
    assert_equal(evaluate(of_table, params["emb"].tables["t"]), want)
    assert differs(params["emb"].tables["t"], want)


@pytest.mark.parametrize("name", IDIOMS)
def test_idiom(name):
    idiom = IDIOMS[name]
    want = idiom.program(DENSE)
    if idiom.refused is None:
        return assert_equal(idiom.program(SPARSE), want)
    assert_refused(lambda: idiom.program(SPARSE), idiom.refused)
    assert_equal(idiom.instead(SPARSE), want)


@pytest.mark.parametrize("name", IDIOMS)
def test_idiom_with_the_reference_implementation(name, monkeypatch):
    emb = jaxtbe.EmbeddingBags(model.EMB.tables, model.EMB.features, implementation="xla")
    monkeypatch.setattr(model, "EMB", emb)
    monkeypatch.setattr(idioms, "EMB", emb)
    test_idiom(name)


def test_the_page_is_written_from_these_tables():
    assert page.PAGE.read_text() == page.text(), "run python tests/composition/page.py"
