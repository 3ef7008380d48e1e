"""Sequence models of five course reports as Keras functional models.

Each task is a package of its own with the same two functions: ``load(...)``
returns a :class:`tfnets.dataset.Dataset`, ``build(...)`` a ``keras.Model``::

    from tfnets import speech

    model = speech.build("gru")      # 70,531 parameters
    data = speech.load()             # the built-in corpus, rendered on first use

Keras must run on TensorFlow, or importing this says so (:mod:`tfnets.keras_settings`).
Nothing here knows MLflow; the runs that MLflow shows are made in ``mlproject``.
"""

from tfnets.keras_settings import check_backend

check_backend()

__version__ = "0.1.0"
