"""Aids that look at a training step without running it."""

from jaxtbe.debug.check_in_place import check_in_place as check_in_place
from jaxtbe.debug.report import Finding as Finding
from jaxtbe.debug.report import InPlaceReport as InPlaceReport
from jaxtbe.lazy import lazy_names

__getattr__, __dir__ = lazy_names(__name__, {})
