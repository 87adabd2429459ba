"""Errors in one form: `<api>: <object>: expected <what>, got <what>. <one remedy>.`"""


def _message(api: str, obj: str, expected: str, got: str, remedy: str) -> str:
    return f"{api}: {obj}: expected {expected}, got {got}. {remedy}."


def value_error(api: str, obj: str, expected: str, got: str, remedy: str) -> ValueError:
    """The ValueError of a wrong value or shape."""
    return ValueError(_message(api, obj, expected, got, remedy))


def type_error(api: str, obj: str, expected: str, got: str, remedy: str) -> TypeError:
    """The TypeError of a wrong type or dtype."""
    return TypeError(_message(api, obj, expected, got, remedy))


def runtime_error(api: str, obj: str, expected: str, got: str, remedy: str) -> RuntimeError:
    """The RuntimeError of an installation or a device."""
    return RuntimeError(_message(api, obj, expected, got, remedy))


def import_error(api: str, obj: str, expected: str, got: str, remedy: str) -> ImportError:
    """The ImportError of a library that cannot be used."""
    return ImportError(_message(api, obj, expected, got, remedy))
