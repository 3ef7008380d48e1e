"""The MLflow project: entry points that train the networks of ``tfnets`` and log the runs."""
