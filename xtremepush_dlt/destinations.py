"""Where dlt looks up the shorthand name `destination="xtremepush"`."""

from xtremepush_dlt.factory import xtremepush

__all__ = ["xtremepush"]
