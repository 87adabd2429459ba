"""The optimizers, one short file each."""
