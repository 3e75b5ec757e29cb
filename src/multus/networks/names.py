"""Names of Kubernetes objects (DNS-1123; NPWG 3.3), checked without a regular expression's cost."""

from __future__ import annotations

_ENDS = frozenset("abcdefghijklmnopqrstuvwxyz0123456789")
_INNER = _ENDS | {"-"}

#: What Kubernetes allows for the name of a namespace, and of most other objects.
LABEL_LENGTH = 63
SUBDOMAIN_LENGTH = 253


def is_label(text: str, longest: int = LABEL_LENGTH) -> bool:
    """Lower case alphanumerics and ``-``, beginning and ending with an alphanumeric: a namespace."""
    inner = 0 < len(text) <= longest and all(letter in _INNER for letter in text)
    return inner and text[0] in _ENDS and text[-1] in _ENDS


def is_subdomain(text: str) -> bool:
    """Labels joined by dots, 253 characters at most: a NetworkAttachmentDefinition."""
    return len(text) <= SUBDOMAIN_LENGTH and all(is_label(part, SUBDOMAIN_LENGTH) for part in text.split("."))
