"""The empty mapping that is the default of fields: one that cannot be changed."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

EMPTY_MAPPING: Mapping[Any, Any] = MappingProxyType({})
