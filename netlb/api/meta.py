"""What all Kubernetes objects share, and the label selectors that pick among them."""

from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal

import msgspec

from netlb.findings import ObjectRef

__all__ = ["LabelSelector", "LabelSelectorRequirement", "ObjectMeta", "Record", "selects"]


class ObjectMeta(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The part of `metadata` that netlb reads."""

    name: str
    namespace: str = ""
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    creation_timestamp: str = ""
    """As the API server writes it (RFC 3339, UTC), so that the order of texts is the order of times; or empty."""


class Record(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Base of every declared object: immutable, and only the fields that netlb reads."""

    NAMESPACED: ClassVar[bool] = True
    """Whether objects of this kind are in a namespace."""
    KIND: ClassVar[str] = ""
    """The kind's name, where the class has another one."""

    metadata: ObjectMeta

    @classmethod
    def kind(cls) -> str:
        """Return the kind's name."""
        return cls.KIND or cls.__name__

    @property
    def ref(self) -> ObjectRef:
        """The object's name, complete with kind and namespace."""
        return ObjectRef(self.kind(), self.metadata.namespace, self.metadata.name)


class LabelSelectorRequirement(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """One condition on one label."""

    key: str
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist"]
    values: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.operator in ("In", "NotIn") and not self.values:
            raise ValueError(f"values: operator {self.operator} on label {self.key!r} needs values")
        if self.operator in ("Exists", "DoesNotExist") and self.values:
            raise ValueError(f"values: operator {self.operator} on label {self.key!r} takes no values")

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Say whether the labels meet the condition (an absent label meets NotIn, as in Kubernetes)."""
        value = labels.get(self.key)
        match self.operator:
            case "In":
                return value in self.values
            case "NotIn":
                return value not in self.values
            case "Exists":
                return value is not None
            case "DoesNotExist":
                return value is None


class LabelSelector(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """`metav1.LabelSelector`: all of it must match; an empty one matches everything."""

    match_labels: dict[str, str] = {}
    match_expressions: tuple[LabelSelectorRequirement, ...] = ()

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Say whether an object with these labels is selected."""
        return all(labels.get(key) == value for key, value in self.match_labels.items()) and all(
            requirement.matches(labels) for requirement in self.match_expressions
        )


def selects(selectors: Sequence[LabelSelector], labels: Mapping[str, str]) -> bool:
    """Say whether any selector matches; no selector at all selects everything (MetalLB's rule)."""
    return not selectors or any(selector.matches(labels) for selector in selectors)
