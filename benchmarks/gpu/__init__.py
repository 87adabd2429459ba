"""Benchmarks on a GPU: `python -m benchmarks.gpu`. See `benchmarks.gpu.__main__`."""
