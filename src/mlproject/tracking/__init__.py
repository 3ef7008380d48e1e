"""MLflow: runs and what they log, queries, models, the registry, saved views.

The only part of the project that imports MLflow, but for the program that travels with a
deployed adder.
"""
