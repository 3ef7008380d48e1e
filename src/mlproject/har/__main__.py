"""``python -m mlproject.har rnn | sweep | early-stopping | all``."""

from mlproject import start

if __name__ == "__main__":
    start.task("har")
