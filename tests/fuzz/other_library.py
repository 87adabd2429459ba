"""Puts handlers and kernels of another build in the place of the installed ones, where JAXTBE_FUZZ_LIBRARY names one.

To be imported before jaxtbe: by a child process, or as a plugin of pytest (`-p other_library`).
"""

import importlib.util
import os
import sys

if "JAXTBE_FUZZ_LIBRARY" in os.environ:
    spec = importlib.util.spec_from_file_location("jaxtbe._cpu", os.environ["JAXTBE_FUZZ_LIBRARY"])
    assert spec is not None and spec.loader is not None
    library = importlib.util.module_from_spec(spec)
    sys.modules["jaxtbe._cpu"] = library
    spec.loader.exec_module(library)
    wanted = os.environ.get("JAXTBE_FUZZ_SIMD", library.simd_level())
    assert library.simd_level() == wanted, f"kernels of {library.simd_level()}, not of {wanted}"
