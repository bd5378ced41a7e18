"""Which labels a PromQL query's result has; a query that asks for what is not there is refused by name."""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import Any

import promql_parser as promql

__all__ = ["QueryError", "result_labels"]

_TARGET = frozenset({"job", "instance", "namespace", "pod", "service", "endpoint", "container"})
"""What the Prometheus operator adds to every sample; one of the same name that is ours has precedence (honorLabels)."""
_SET_OPERATORS = ("or", "and", "unless")
_WITHOUT_A_VECTOR = frozenset({"vector", "time", "scalar"})

Labels = AbstractSet[str]


class QueryError(ValueError):
    """A query that cannot give what it is for."""


def result_labels(query: str, metrics: Mapping[str, Labels], values: Mapping[str, Labels]) -> Labels:
    """Return the labels of a query's result: empty for a number.

    `metrics` are all that there are, with their labels; `values` are all values of some labels. QueryError names a
    metric, a label or a value that nothing has, and two sides whose samples never meet.
    """
    try:
        tree = promql.parse(query)
    except ValueError as error:
        raise QueryError(f"{query}: {error}") from None
    found = _Query(metrics, values).labels(tree)
    return found or frozenset()


class _Query:
    def __init__(self, metrics: Mapping[str, Labels], values: Mapping[str, Labels]) -> None:
        self._metrics = metrics
        self._values = values

    def labels(self, node: Any) -> Labels | None:
        """Return the labels of a node's samples; None for a number or a text."""
        match node:
            case promql.VectorSelector():
                return self._selected(node)
            case promql.MatrixSelector():
                return self._selected(node.vector_selector)
            case promql.ParenExpr() | promql.SubqueryExpr() | promql.UnaryExpr():
                return self.labels(node.expr)
            case promql.AggregateExpr():
                return self._aggregated(node)
            case promql.BinaryExpr():
                return self._joined(node)
            case promql.Call():
                return self._called(node)
        return None

    def _selected(self, node: promql.VectorSelector) -> Labels:
        name = node.name or ""
        if name not in self._metrics:
            raise QueryError(f"{name}: no such metric")
        labels = self._metrics[name] | _TARGET
        for matcher in node.matchers.matchers:
            self._need(name, {matcher.name}, labels)
            known = self._values.get(matcher.name, {matcher.value})
            if matcher.value not in known:
                raise QueryError(f"{name}: {matcher.name} is never {matcher.value}")
        return labels

    def _aggregated(self, node: promql.AggregateExpr) -> Labels:
        inner = self.labels(node.expr) or frozenset()
        if node.modifier is None:
            return frozenset()
        named = set(node.modifier.labels)
        self._need(str(node.expr), named, inner)
        return named if node.modifier.type == promql.AggModifierType.By else inner - named

    def _called(self, node: promql.Call) -> Labels | None:
        inner = [labels for labels in map(self.labels, node.args) if labels is not None]
        if node.func.name == "absent":
            return {matcher.name for matcher in node.args[0].matchers.matchers}
        if node.func.name in _WITHOUT_A_VECTOR:
            return frozenset()
        return inner[0] if inner else None

    def _joined(self, node: promql.BinaryExpr) -> Labels | None:
        left, right = self.labels(node.lhs), self.labels(node.rhs)
        if left is None or right is None:
            return right if left is None else left
        modifier = node.modifier
        if modifier is not None and modifier.matching is not None:
            on = set(modifier.matching.labels)
            self._need("the left side", on, left)
            self._need("the right side", on, right)
            group = set(modifier.group_labels or ())
            self._need("the right side", group, right)
            return left if str(node.op) in _SET_OPERATORS else left | group
        if str(node.op) not in _SET_OPERATORS and left != right:
            raise QueryError(f"{sorted(left ^ right)}: on one side only, so that no sample meets another")
        return left

    @staticmethod
    def _need(where: str, named: Labels, there: Labels) -> None:
        if missing := named - there:
            raise QueryError(f"{where}: no label {', '.join(sorted(missing))}")
