"""Tools around an optimizer: scaling, accumulation, skipping, labels."""
