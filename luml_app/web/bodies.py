"""Memory for the bodies of requests while they arrive."""

SMALL = 64 * 1024
"""So much of each body is always taken in: who sends large ones, and dawdles, keeps nobody else from a small one."""
SECONDS = 300.0
"""For so long a body may take to arrive."""


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
