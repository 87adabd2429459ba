"""Checks of a training step that do not run it."""

from jaxtbe.debug.in_place.check import check_in_place as check_in_place
from jaxtbe.debug.in_place.report import Finding as Finding
from jaxtbe.debug.in_place.report import InPlaceReport as InPlaceReport
from jaxtbe.support.lazy_names import lazy_names

__getattr__, __dir__ = lazy_names(__name__, {})
