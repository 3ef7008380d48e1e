"""Trials of a parent run: planned as data, trained by an executor, resumed, compared."""
