#pragma once

#include "server/http.hpp"
#include "server/request_images.hpp"
#include "server/service.hpp"

namespace sam3trt {

/// The KServe v2 protocol over HTTP, with Triton's binary extension and repository index, for one
/// model "sam3" of version 1. Inputs: `image` BYTES [1], the bytes of an image's file (in JSON as
/// base64); `text` BYTES [n], each of them a prompt; `boxes` FP32 [n, 4], x0 y0 x1 y1 in pixels,
/// examples for each text, or a prompt of their own where there is none; `box_labels` INT32 [n], 1
/// or 0, left out: all 1; `threshold` FP32 [1]. Outputs, one row for each instance, by prompts and
/// falling score: `scores` FP32 [n], `boxes` FP32 [n, 4], `labels` INT32 [n], the index of the
/// prompt, `rle` BYTES [n], {"size": [height, width], "counts": ".."} as pycocotools reads it.
/// Errors are {"error": ".."}: 400 for a wrong request, 404 for another model or version. All
/// must outlive the routes.
void add_kserve_routes(Routes& routes, Service& service, const RequestImages& images);

}  // namespace sam3trt
