"Networks by name, and how their layers are read."
from .create import create_model

__all__ = ["create_model"]
