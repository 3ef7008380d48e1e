"""Entry points for spoken words; ``python -m mlproject.speech --help`` lists them."""
