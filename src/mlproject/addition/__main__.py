"""``python -m mlproject.addition rnn | study | add``."""

from mlproject import start

if __name__ == "__main__":
    start.task("addition")
