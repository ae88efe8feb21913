"Shared-teacher training."
from .trainer import fit

__all__ = ["fit"]
