"""The ops, one file for each FFI target."""
