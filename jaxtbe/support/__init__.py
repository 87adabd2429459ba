"""What knows nothing of embeddings: errors, text, names."""
