"""Plan and apply syncs from files into ServiceNow and 4me."""

__version__ = "0.1.0"

__all__ = ["__version__"]
