"""The ways to combine jaxtbe with optax and JAX: what each must equal, and what is refused with which cure."""
