"""Digit-wise addition: the entry points ``addition_rnn``, ``addition_study`` and ``add``."""
