"""Entry points for human activity recognition; ``python -m mlproject.har --help`` lists them."""
