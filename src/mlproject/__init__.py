"""The MLflow project: entry points that train the networks of ``tfnets`` and log the runs."""

import os

# Whatever the user's other programs want of Keras; for Dask's workers and other children, too.
os.environ["KERAS_BACKEND"] = "tensorflow"
