"""What goes wrong with data."""


class DataError(ValueError):
    """A data set that cannot be used; the message names the file, what was expected, and what came."""
