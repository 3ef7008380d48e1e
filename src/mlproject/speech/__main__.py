"""``python -m mlproject.speech fc | cnn | gru | compare | from-torch | classify``."""

from mlproject.speech.commands import cli
from mlproject.tracking.task import main

if __name__ == "__main__":
    main(cli)
