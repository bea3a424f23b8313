#pragma once

#include "server/http.hpp"
#include "server/request_images.hpp"
#include "server/service.hpp"

namespace sam3trt {

/// The routes that roboflow's clients of SAM 3 call: POST /sam3/concept_segment, texts and example
/// boxes; /sam3/visual_segment, clicks and boxes on objects; /sam3/embed_image, which fills the
/// cache. Masks are polygons whose filling gives the mask again, holes included (OutlinePoints::
/// kPixels), or COCO run lengths for "format": "rle". Fields that choose a model or a cache are
/// taken and not needed. Errors are {"message": ".."} with "error" as other routes have it. All
/// must outlive the routes.
void add_roboflow_routes(Routes& routes, Service& service, const RequestImages& images);

}  // namespace sam3trt
