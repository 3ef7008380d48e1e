"""``python -m mlproject.addition rnn | study | add``."""

from mlproject import command
from mlproject.addition.commands import cli

if __name__ == "__main__":
    command.main(cli)
