"""Fixtures, the hypothesis profile, and what happens to GPU tests where there is no GPU."""

import hypothesis
import jax
import pytest

jax.config.update("jax_numpy_rank_promotion", "raise")  # users may set it, and a promotion may hide a wrong shape

hypothesis.settings.register_profile(
    "jaxtbe",
    max_examples=15,
    deadline=None,  # examples compile
    derandomize=True,
    database=None,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("jaxtbe")

_skipped_gpu_tests = pytest.StashKey[int]()


@pytest.fixture(scope="session", params=["xla", "native"])
def implementation(request) -> str:
    return request.param


def pytest_collection_modifyitems(config, items):
    gpu_tests = [item for item in items if item.get_closest_marker("gpu")]
    if gpu_tests and jax.default_backend() != "gpu":
        config.stash[_skipped_gpu_tests] = len(gpu_tests)
        for item in gpu_tests:
            item.add_marker(pytest.mark.skip(reason="needs an NVIDIA GPU"))


def pytest_terminal_summary(terminalreporter, config):
    skipped = config.stash.get(_skipped_gpu_tests, 0)
    if skipped:
        terminalreporter.write_line(f"GPU tests skipped: {skipped} (this JAX has no NVIDIA GPU)", yellow=True)
