"""Patterns from specifications: YAML to C++ in the firmware's own style, built, run and measured (docs/patterns.md)."""

from harness.pipeline.patterns.generate import Generated, generate
from harness.pipeline.patterns.spec import SpecInvalid, load_spec
from harness.pipeline.patterns.trial import Trial, try_patterns

__all__ = ["Generated", "SpecInvalid", "Trial", "generate", "load_spec", "try_patterns"]
