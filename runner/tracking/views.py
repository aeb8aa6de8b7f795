"""Saved views of an experiment in MLflow's pages: a search, a sort and the columns that matter, under a name.

MLflow keeps them as tags of the experiment, one each, as its own button *Save as new view* does. A version of MLflow
that reads them otherwise shows its plain table.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from runner.spec import ExperimentSpec
from runner.tracking.base import legal_key

PREFIX = "mlflow.sharedViewState."
# Of a spec with many channels the first: a table of fifty columns is none.
MOST_CHANNELS = 12
# The view that a link to an experiment opens.
FIRST = "mmm-runs"
FORM = "machine_learning"  # MLflow's other form is about chat models


def link(experiment: str, view: str = FIRST) -> str:
    """Path and fragment of the page of an experiment, by its id, in a view."""
    return f"/#/experiments/{experiment}/runs?viewStateShareKey={view}&workflowType={FORM}"


def view_tags(spec: ExperimentSpec, created: int) -> dict[str, str]:
    """The views as tags of the experiment.

    Args:
        spec: says which channels there are and how they are judged. created: in milliseconds since 1970.
    """
    metric = spec.outcome.kind.efficiency
    channels = [_metric(legal_key(f"{metric}_{channel.name}")) for channel in spec.channels[:MOST_CHANNELS]]
    fit = [_metric(name) for name in ("nrmse", "nrmse_test", "decomp_rssd", "rsq_train")]
    places = [_tag("cluster"), _tag("front")]
    whole = [_tag("best_candidate"), _tag("converged"), _metric("candidates")]
    views = {
        FIRST: _view("Runs", 'tags.`mmm.kind` = "run"', "attributes.start_time", [*whole, *fit, *channels]),
        "mmm-models": _view(
            "Selected models", 'tags.selected = "true"', _metric("nrmse"), [*places, *fit, *channels]
        ),
        "mmm-fronts": _view(
            "Candidates of the kept fronts",
            'tags.front != "0"',
            _metric("decomp_rssd"),
            [*places, _tag("selected"), *fit, *channels],
        ),
    }
    return {
        PREFIX + key: json.dumps({**view, "createdAt": created, "updatedAt": created})
        for key, view in views.items()
    }


def _view(name: str, words: str, sort: str, columns: Sequence[str]) -> dict[str, str]:
    state = {
        "searchFilter": words,
        "orderByKey": sort,
        "orderByAsc": sort.startswith("metrics"),
        "startTime": "ALL",
        "lifecycleFilter": "Active",
        "datasetsFilter": [],
        "modelVersionFilter": "All Runs",
        "selectedColumns": list(columns),
    }
    return {"name": name, "state": json.dumps(state)}


def _metric(name: str) -> str:
    return f"metrics.`{name}`"


def _tag(name: str) -> str:
    return f"tags.`{name}`"
