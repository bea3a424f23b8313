"""The exceptions of sam3trt. Their texts are those of the command ``sam3trt``."""

from __future__ import annotations

from typing import Any


class Error(RuntimeError):
    """What sam3trt raises on purpose; the base of the others.

    The text names what was expected, what was found, and the next step. Of a call with several
    images, ``results`` is the list that ``errors="return"`` would have given, and ``index`` the
    first image that failed.
    """

    results: list[Any] | None = None
    index: int | None = None


class BadInputError(Error, ValueError):
    """An image, prompt, file or option that is not what it should be (exit code 2)."""


class UnavailableError(Error):
    """The asked backend, GPU or library is not there (exit code 3)."""


class VerificationError(Error):
    """A result differs from its reference by more than allowed (exit code 4)."""
