"""The interfaces of other libraries over a `sam3trt.Segmenter`, for code that was written for them.

`sam3trt.compat.transformers`, `sam3trt.compat.ultralytics` and `sam3trt.compat.meta`. Each gives
torch tensors where its library would and torch is installed, else numpy arrays.
"""
