"""Activations and sparse gradients: from a loss to what an optimizer takes."""
