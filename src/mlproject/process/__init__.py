"""One command's process: start, late imports, signals, environment, kinds of options.

Nothing here knows MLflow, sweeps or tasks.
"""
