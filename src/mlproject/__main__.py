"""``python -m mlproject`` is ``tfnets``."""

from mlproject.cli import main

if __name__ == "__main__":
    main()
