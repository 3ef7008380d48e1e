"""``python -m mlproject.speech fc | cnn | gru | compare | from-torch``, and more.

``classify``, ``evaluate`` and ``robustness`` use what was trained.
"""

from mlproject import start

if __name__ == "__main__":
    start.task("speech")
