"""Renders the Helm chart without Helm: the few constructs that its templates keep to.

`{{ .Path }}`, `{{ (.Path).member }}` (nothing where there is no path), `{{ toJson X }}` (nested in parentheses too),
`{{ dir X }}`, `define` and `include`, `if`, `else`, `end` with a path, with `eq` or with `ne`; `{{-` takes the white
space before it. Anything else is an error. Where there is a Helm, a test holds it against this.
"""

from __future__ import annotations

import json
import os
import re
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

Json = dict[str, Any]

_ACTION = re.compile(r"(\s*\{\{-|\{\{)\s*(.*?)\s*\}\}")


def objects(chart: Path, values: Json, namespace: str) -> list[Json]:
    """What the chart installs, its definitions first."""
    scope = {
        "Values": merged(yaml.safe_load((chart / "values.yaml").read_text()), values),
        "Release": {"Namespace": namespace},
        "Chart": {"AppVersion": yaml.safe_load((chart / "Chart.yaml").read_text())["appVersion"]},
    }
    texts = [path.read_text() for path in sorted((chart / "crds").iterdir())]
    for path in sorted((chart / "templates").glob("*.tpl")):
        render(path.read_text(), scope)
    texts += [render(path.read_text(), scope) for path in sorted((chart / "templates").glob("*.yaml"))]
    return [found for text in texts for found in yaml.safe_load_all(text) if found]


def merged(base: Any, over: Any) -> Any:
    """Objects member by member, anything else replaced, as Helm does."""
    if isinstance(base, dict) and isinstance(over, dict):
        return {**base, **{key: merged(base.get(key), value) for key, value in over.items()}}
    return over


def render(text: str, scope: Json) -> str:
    """One template. What it defines is in `scope` afterwards, by its name."""
    out: list[str] = []
    shown = [True]
    defined: list[tuple[int, str, list[str]]] = []
    for literal, action in _parts(text):
        if all(shown):
            out.append(literal)
        word, _, rest = action.partition(" ")
        if word == "if":
            shown.append(bool(_value(rest, scope)))
        elif word == "define":
            defined.append((len(shown), json.loads(rest), out))
            out = []
        elif word == "else":
            shown[-1] = not shown[-1]
        elif word == "end" and defined and defined[-1][0] == len(shown):
            _, name, before = defined.pop()
            scope[name], out = "".join(out), before
        elif word == "end":
            shown.pop()
        elif action and all(shown):
            out.append(str(_value(action, scope)))
    assert shown == [True]
    return "".join(out)


def _parts(text: str) -> Iterator[tuple[str, str]]:
    position = 0
    for match in _ACTION.finditer(text):
        before = match.start() + (0 if match[1].endswith("-") else len(match[1]) - 2)
        yield text[position:before], match[2]
        position = match.end()
    yield text[position:], ""


def _value(expression: str, scope: Json) -> Any:
    if expression.startswith("(") and expression.endswith(")"):
        return _value(expression[1:-1], scope)
    word, _, rest = expression.partition(" ")
    if word == "toJson":
        return json.dumps(_value(rest, scope), sort_keys=True, separators=(",", ":"))
    if word == "dir":
        return os.path.dirname(_value(rest, scope))
    if word == "include":
        return scope[json.loads(rest.removesuffix(" ."))]
    if word in ("eq", "ne"):
        one, _, other = rest.partition(" ")
        same = _value(one, scope) == (json.loads(other) if other.startswith('"') else _value(other, scope))
        return same == (word == "eq")
    optional = re.fullmatch(r"\((\.[\w.]+)\)((?:\.\w+)+)", expression)
    if optional is not None:
        return _member(_value(optional[1], scope) or {}, optional[2])
    assert re.fullmatch(r"(\.\w+)+", expression), f"not a construct of ours: {expression}"
    return _member(scope, expression)


def _member(found: Any, path: str) -> Any:
    """Helm fails where we do: a member of nothing."""
    *parents, last = path[1:].split(".")
    for member in parents:
        found = found[member]
    return found.get(last)
