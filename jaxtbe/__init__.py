"""Table-batched embeddings for JAX."""
