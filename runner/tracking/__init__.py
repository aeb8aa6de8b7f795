"""MLflow as a mirror of run folders: what it shows can be written again from the folder at any time.

``mirror.mirror`` reads a run folder and brings a ``base.Tracker`` to its state; ``memory_tracker`` and
``mlflow_tracker`` are the two trackers. Nothing else in the project talks to MLflow.
"""
