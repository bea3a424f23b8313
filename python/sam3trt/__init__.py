"""SAM 3 on CPU and NVIDIA GPUs: images and prompts to masks.

>>> seg = sam3trt.Segmenter("engines")
>>> result = seg("street.jpg", text=["dog", "cat"])
>>> result.scores, result.boxes, result.masks

Colours are RGB, boxes are x0 y0 x1 y1 in pixels of the image.
"""

from __future__ import annotations

from . import _core
from ._tensorrt import announce_package_folders
from .download import download
from .errors import BadInputError, Error, UnavailableError, VerificationError
from .objects import MaskCandidate, ObjectResult, Objects
from .result import PromptFound, Result
from .segmenter import Features, Segmenter
from .tools import build, export, verify
from .video import FrameResult, TrackedObject, VideoSession

announce_package_folders()

__version__: str = _core.version()

__all__ = [
    "BadInputError",
    "Error",
    "Features",
    "FrameResult",
    "MaskCandidate",
    "ObjectResult",
    "Objects",
    "PromptFound",
    "Result",
    "Segmenter",
    "TrackedObject",
    "UnavailableError",
    "VerificationError",
    "VideoSession",
    "__version__",
    "build",
    "download",
    "export",
    "verify",
]
