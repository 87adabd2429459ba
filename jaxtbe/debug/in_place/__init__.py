"""`check_in_place`, and the reading of compiled programs behind it."""
