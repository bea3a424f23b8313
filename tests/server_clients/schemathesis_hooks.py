"""Images for schemathesis: some of what it makes up is replaced by files that the server can read,
so that requests come as far as the model. SAM3TRT_IMAGES names their folder.
"""

import base64
import os
import random
from pathlib import Path

import schemathesis

FILES = [path.read_bytes() for path in sorted(Path(os.environ["SAM3TRT_IMAGES"]).iterdir())]
SHARE = 0.7  # of images and texts of JSON that are replaced
REQUESTS = {
    "/v1/infer": ['{"prompts": [{"text": "dog"}, {"boxes": [[1, 1, 30, 20]]}]}'],
    "/v1/objects": [
        '{"objects": [{"points": [[9, 9]]}], "multimask": true}',
        '{"objects": [{"id": 3, "box": [1, 1, 30, 20]}, {"points": [[9, 9], [1, 2]]}]}',
    ],
    "/v1/videos": ['{"texts": ["dog"]}', '{"prompts": {"objects": [{"points": [[9, 9]]}]}}'],
}

dice = random.Random(1)


def chosen() -> bytes | None:
    return dice.choice(FILES) if dice.random() < SHARE else None


def is_number(value) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def with_image(value):
    """The same JSON with other bytes for its images, and boxes and points that lie in them."""
    if isinstance(value, list):
        if len(value) in (2, 4) and all(map(is_number, value)) and dice.random() < SHARE:
            return [abs(number) % 20 + (1 if i < 2 else 21) for i, number in enumerate(value)]
        return [with_image(item) for item in value]
    if not isinstance(value, dict):
        return value
    value = {name: with_image(item) for name, item in value.items()}
    for things, labels in (("boxes", "box_labels"), ("points", "point_labels")):
        if isinstance(value.get(labels), list) and all(map(is_number, value[labels])):
            count = len(value[things]) if isinstance(value.get(things), list) else 0
            value[labels] = (value[labels] + [1] * count)[:count]
    names = list(value)
    # What is wrong on purpose stays wrong.
    good = len(names) == 1 and isinstance(value[names[0]], str) and value[names[0]]
    if good and names[0] in ("base64", "features", "path", "url") and (image := chosen()):
        return {"base64": base64.b64encode(image).decode()}
    return value


def is_bytes(value) -> bool:
    return isinstance(value, bytes) or type(value).__name__ == "Binary"


@schemathesis.hook
def map_body(context, body):
    if isinstance(body, dict):
        for name in ("image", "video"):
            value = body.get(name)
            if is_bytes(value) and (image := chosen()):
                body = {**body, name: image}
            elif isinstance(value, list) and value and all(map(is_bytes, value)):
                body = {**body, name: [chosen() or item for item in value]}
        if isinstance(body.get("request"), str) and dice.random() < SHARE:
            body = {**body, "request": dice.choice(REQUESTS[context.operation.path])}
        for name in ("threshold", "mask_threshold"):
            if isinstance(body.get(name), str) and dice.random() < SHARE:
                body = {**body, name: "0.25"}
        for name in ("box", "negative_box"):
            value = body.get(name)
            if isinstance(value, list) and all(isinstance(item, str) for item in value):
                body = {**body, name: ["1,1,30,20" if dice.random() < SHARE else x for x in value]}
        return with_image(body)
    if is_bytes(body):
        return chosen() or body
    return body
