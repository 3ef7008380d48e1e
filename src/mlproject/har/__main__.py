"""``python -m mlproject.har rnn | sweep | early-stopping | all``."""

from mlproject import command
from mlproject.har.commands import cli

if __name__ == "__main__":
    command.main(cli)
