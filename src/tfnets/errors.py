"""The one exception for input that a user can put right."""


class InputError(ValueError):
    """Bad input from outside: a path, a file, an array or a parameter value.

    The message is one line that names the thing, the value found and what would
    be right. Commands print it without a traceback and exit with a code other
    than 0.
    """


def first_line(error: BaseException) -> str:
    """What an exception says, for a message of one line: its first, or else its type."""
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(".") if lines else type(error).__name__
