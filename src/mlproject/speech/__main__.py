"""``python -m mlproject.speech fc | cnn | gru | compare | from-torch | classify``."""

from mlproject import command
from mlproject.speech.commands import cli

if __name__ == "__main__":
    command.main(cli)
