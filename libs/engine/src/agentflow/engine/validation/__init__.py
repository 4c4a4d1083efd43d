"""Checking workflow specs: every error and warning at once, each with its place and a hint."""

from agentflow.engine.validation.check import Checked, validate, validate_node, validate_spec
from agentflow.engine.validation.codes import CODES

__all__ = ["CODES", "Checked", "validate", "validate_node", "validate_spec"]
