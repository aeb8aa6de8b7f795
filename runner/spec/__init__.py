"""What was asked: one experiment as a frozen tree, decoded strictly once.

``load_spec`` reads YAML (or JSON), applies overrides, refuses unknown keys and tells the user file, key and expectation
in one sentence. Defaults are written here and nowhere else; ``ExperimentSpec.resolved`` writes them all out.
"""

from runner.spec.experiment import DEFAULT_RANGES, ExperimentSpec
from runner.spec.fields import RESERVED_NAMES, Sign
from runner.spec.loading import (
    absolute_paths,
    apply_override,
    decode,
    load_spec,
    parse_value,
    read_yaml,
    set_key,
)
from runner.spec.messages import sentence
from runner.spec.refresh import PreviousComponent, PreviousMedium, PreviousSpec, RefreshSpec
from runner.spec.scenarios import DEFAULT_BOUNDS, HorizonSpec, ScenarioSpec
from runner.spec.sections import (
    BaselineSpec,
    CalibrationSpec,
    ChannelSpec,
    ContextSpec,
    CurveSpec,
    OrganicSpec,
)

__all__ = [
    "DEFAULT_BOUNDS",
    "DEFAULT_RANGES",
    "RESERVED_NAMES",
    "BaselineSpec",
    "CalibrationSpec",
    "ChannelSpec",
    "ContextSpec",
    "CurveSpec",
    "ExperimentSpec",
    "HorizonSpec",
    "OrganicSpec",
    "PreviousComponent",
    "PreviousMedium",
    "PreviousSpec",
    "RefreshSpec",
    "ScenarioSpec",
    "Sign",
    "absolute_paths",
    "apply_override",
    "decode",
    "load_spec",
    "parse_value",
    "read_yaml",
    "sentence",
    "set_key",
]
