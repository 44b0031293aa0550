"""Memory for the bodies of requests while they arrive."""


class BodyRoom:
    """The bytes that bodies may take up together while they arrive: who sends one has not shown a key yet."""

    def __init__(self, size: int) -> None:
        self.left = size

    def take(self, size: int) -> bool:
        """Take so many bytes, if there are as many left."""
        if size > self.left:
            return False
        self.left -= size
        return True
