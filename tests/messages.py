"""Every error message of the package, read from its sources: literal text, and a mark where something is filled in."""

import ast
import dataclasses
import pathlib
import re

PACKAGE = pathlib.Path(__file__).resolve().parent.parent / "jaxtbe"
HELPERS = {"value_error", "type_error", "runtime_error", "import_error"}
MARK = "\0"


@dataclasses.dataclass(frozen=True)
class Message:
    """One call of a helper of `jaxtbe.support.errors`.

    Args:
      pattern: `<api>: <object>: expected <what>, got <what>` with `MARK` for whatever is filled in.
      remedy: the sentence after it, likewise.
      where: file and line.
    """

    pattern: str
    remedy: str
    where: str


def package_files() -> list[pathlib.Path]:
    return sorted(PACKAGE.rglob("*.py"))


def messages_of(source: str, name: str) -> list[Message]:
    """The messages of a module, in the order of its text."""
    found = []
    tree = ast.parse(source)
    for scope in (tree, *(node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))):
        texts = _constants(tree.body) | (_constants(scope.body) if scope is not tree else {})
        for call in _own_calls(scope):
            if isinstance(call.func, ast.Name) and call.func.id in HELPERS:
                api, obj, expected, got, remedy = (_text(argument, texts) for argument in call.args)
                pattern = _collapse(f"{api}: {obj}: expected {expected}, got {got}")
                found.append(Message(pattern, _collapse(remedy), f"{name}:{call.lineno}"))
    return sorted(found, key=lambda m: int(m.where.rpartition(":")[2]))


def other_raises(source: str, name: str) -> list[str]:
    """Raises that do not go through a helper of `jaxtbe.support.errors`: each would be a message of another form."""
    tree = ast.parse(source)
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    makers = {f.name for f in functions if any(_is_call_of(c, HELPERS) for c in _own_calls(f))}
    found = []
    for scope in (tree, *functions):
        for node in _own_nodes(scope):
            if not isinstance(node, ast.Raise) or node.exc is None or _is_call_of(node.exc, HELPERS | makers):
                continue
            if _is_call_of(node.exc, {"AttributeError"}) and getattr(scope, "name", "").strip("_") == "getattr":
                continue  # what Python asks of a module's __getattr__
            found.append(f"{name}:{node.lineno}: {ast.unparse(node.exc)}")
    return found


def page_pattern(entry: str) -> str:
    """The pattern of an entry of the page, in which `<words>` stand for what is filled in."""
    return _collapse(re.sub(r"<[a-z][a-z0-9 -]*>", MARK, entry))


def _own_nodes(scope):
    """The nodes of a module or function without those of the functions inside it."""
    stack = list(ast.iter_child_nodes(scope))
    while stack:
        node = stack.pop()
        if not isinstance(node, ast.FunctionDef):
            yield node
            stack.extend(ast.iter_child_nodes(node))


def _own_calls(scope):
    return [node for node in _own_nodes(scope) if isinstance(node, ast.Call)]


def _is_call_of(node, names) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in names


def _constants(body) -> dict[str, ast.expr]:
    """Names that are assigned once, to a string or a number that is written there."""
    values: dict[str, ast.expr] = {}
    again = set()
    for node in (n for statement in body for n in (statement, *ast.walk(statement))):
        if not isinstance(node, ast.Assign) or len(node.targets) != 1:
            continue
        target, value = node.targets[0], node.value
        pairs = [(target, value)]
        if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
            pairs = list(zip(target.elts, value.elts, strict=True))
        for name, expression in pairs:
            if isinstance(name, ast.Name) and isinstance(expression, ast.Constant | ast.JoinedStr):
                if values.get(name.id, expression) is not expression:
                    again.add(name.id)
                values[name.id] = expression
            elif isinstance(name, ast.Name):
                again.add(name.id)
    return {name: value for name, value in values.items() if name not in again}


def _text(node: ast.expr, texts: dict[str, ast.expr]) -> str:
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(_text(part, texts) for part in node.values)
    if isinstance(node, ast.FormattedValue) and node.conversion == -1:
        return _text(node.value, texts)
    if isinstance(node, ast.FormattedValue) and isinstance(node.value, ast.Name) and node.value.id in texts:
        known = texts[node.value.id]
        return repr(known.value) if isinstance(known, ast.Constant) else MARK
    if isinstance(node, ast.Name) and node.id in texts:
        known = texts[node.id]
        return MARK if isinstance(known, ast.Constant) and not isinstance(known.value, str) else _text(known, {})
    return MARK


def _collapse(text: str) -> str:
    """Marks that touch are one, and quotes around a mark belong to it."""
    return re.sub(rf"'?{MARK}(?:'?{MARK})*'?", MARK, text)
