"""``python -m mlproject.addition rnn | study | add``."""

from mlproject.addition.commands import cli
from mlproject.tracking.task import main

if __name__ == "__main__":
    main(cli)
