"""``python -m mlproject`` is ``tfnets``."""

from mlproject.start import main

if __name__ == "__main__":
    main()
