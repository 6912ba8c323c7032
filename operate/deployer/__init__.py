"""The policy for whoever deploys."""

from .policy import EVERYTHING, LARGEST, Statement, documents, size, statements, types

__all__ = ["EVERYTHING", "LARGEST", "Statement", "documents", "size", "statements", "types"]
