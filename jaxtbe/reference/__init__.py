"""Every op in plain jax.numpy: the implementation for platforms without kernels, and a readable second opinion."""
