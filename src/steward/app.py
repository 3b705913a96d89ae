"""`from steward.app import Steward`: one installation, for an application that holds Steward itself."""

from steward.installation.container import Steward

__all__ = ["Steward"]
