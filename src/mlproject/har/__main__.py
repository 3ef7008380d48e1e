"""``python -m mlproject.har rnn | sweep | early-stopping | all``."""

from mlproject.har.commands import cli
from mlproject.tracking.task import main

if __name__ == "__main__":
    main(cli)
