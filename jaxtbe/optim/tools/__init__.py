"""What stands around an optimizer: scaling, accumulation, skipping, labels."""
