"""Wall-clock budget and learning rate of a training run."""

import math
import time


class Budget:
    """Seconds that were spent, of the minutes that a run may take; goes on where it was resumed."""

    def __init__(self, minutes: float):
        self.minutes = minutes
        self.spent = 0.0
        self.start()

    def start(self) -> None:
        """What passed since the last tick does not count."""
        self.last = time.monotonic()

    def tick(self) -> float:
        """The part of the budget that is spent."""
        now = time.monotonic()
        self.spent += now - self.last
        self.last = now
        return self.spent / (60 * self.minutes)


def learning_rate(options, step: int, part: float, floor: float) -> float:
    """Linear warm-up, then a cosine down to `floor` of the rate over the wall-clock budget."""
    cosine = floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * min(part, 1.0)))
    return options.rate * min(1.0, (step + 1) / options.warmup) * cosine
