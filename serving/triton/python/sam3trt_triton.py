"""What both models of the repository share: reading inputs, sending answers."""

import base64
import binascii
import json

import numpy as np
import sam3trt
import triton_python_backend_utils as pb_utils


def load_segmenter(args, sessions):
    """The model of config.pbtxt's parameters, on the GPU of the instance or on the CPU."""
    parameters = json.loads(args["model_config"])["parameters"]
    values = {key: value["string_value"] for key, value in parameters.items()}
    on_gpu = args["model_instance_kind"] == "GPU"
    segmenter = sam3trt.Segmenter(
        values["model"],
        device=int(args["model_instance_device_id"]) if on_gpu else "cpu",
        allow_unverified=values["allow_unverified"] == "true",
        sessions=sessions,
    )
    # Once, so that the first request does not pay for what a first run costs.
    segmenter.encode(np.zeros((64, 64, 3), dtype=np.uint8))
    return segmenter


class Metric:
    """A number of /metrics, sam3_NAME; `value` is what Triton gives to change it."""

    def __init__(self, args, name, kind, description):
        self.family = pb_utils.MetricFamily(
            name=f"sam3_{name}",
            description=f"sam3trt: {description}",
            kind=getattr(pb_utils.MetricFamily, kind),
        )
        self.value = self.family.Metric(labels={"model": args["model_name"]})


def values_of(request, name):
    """The elements of an input; None where it was left out."""
    tensor = pb_utils.get_input_tensor_by_name(request, name)
    return None if tensor is None else tensor.as_numpy()


def image_of(request):
    """The bytes of the image's file; in JSON they are base64, which no image file looks like."""
    values = values_of(request, "image")
    if values is None:
        raise sam3trt.BadInputError('expected input "image"')
    try:
        return base64.b64decode(values[0], validate=True)
    except binascii.Error:
        return values[0]


def texts_of(request, name):
    """The elements of an input of texts."""
    values = values_of(request, name)
    try:
        return [] if values is None else [value.decode("utf-8") for value in values]
    except UnicodeDecodeError as error:
        raise sam3trt.BadInputError(f'input "{name}": expected UTF-8: {error}') from error


def boxes_of(request):
    """Boxes and their labels as lists, None where there are none."""
    boxes, labels = values_of(request, "boxes"), values_of(request, "box_labels")
    count = 0 if boxes is None else len(boxes)
    if labels is not None and len(labels) != count:
        raise sam3trt.BadInputError(
            f'input "box_labels": expected {count} labels, one for each box, found {len(labels)}'
        )
    if count == 0:
        return None, None
    return boxes.tolist(), None if labels is None else labels.tolist()


def masks_of(found):
    """Run lengths as elements of a tensor of BYTES."""
    texts = [json.dumps(one, separators=(",", ":"), sort_keys=True).encode() for one in found]
    return np.array(texts, dtype=object)


def send(sender, answer):
    """Answers a request: arrays by the names of their outputs, or an error. Never raises."""
    if isinstance(answer, Exception):
        codes = [
            (ValueError, pb_utils.TritonError.INVALID_ARG),
            (TypeError, pb_utils.TritonError.INVALID_ARG),
            (sam3trt.UnavailableError, pb_utils.TritonError.UNAVAILABLE),
            (Exception, pb_utils.TritonError.INTERNAL),
        ]
        code = next(code for kind, code in codes if isinstance(answer, kind))
        message = str(answer) or type(answer).__name__
        response = pb_utils.InferenceResponse(error=pb_utils.TritonError(message, code))
    else:
        tensors = [pb_utils.Tensor(name, array) for name, array in answer.items()]
        response = pb_utils.InferenceResponse(tensors)
    try:
        sender.send(response, flags=pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL)
    except Exception as error:
        pb_utils.Logger.log_error(f"sam3trt: an answer was not sent: {error}")
