#pragma once

#include <functional>
#include <string>

#include "server/http.hpp"
#include "server/request_images.hpp"
#include "server/service.hpp"

namespace sam3trt {

/// Finds the image that a task's data names: a data: URL, a URL, a path. `token` is what Label
/// Studio gave to fetch images from its own host, or empty; `where` is the image's place in the
/// request. Throws HttpError that names it.
using TaskImages = std::function<ServedImage(const std::string& source, const std::string& token,
                                             const std::string& where)>;

/// data: URLs, http and https URLs of allowed hosts, and other sources as paths below allowed
/// folders. `images` must outlive it.
[[nodiscard]] TaskImages task_images(const RequestImages& images);

/// The machine learning backend of a Label Studio project: GET /health and /versions, POST /setup,
/// /predict and /webhook. With a context, /predict answers what was drawn in the editor: clicks
/// and rectangles point at one object, rectangles alone at one each; where the model has no clicks,
/// rectangles are examples of what to find; a TextArea's texts are looked for. Without one it looks
/// for each label of the project on each task, and a task that cannot be read has an "error" and no
/// regions. Regions are those of the tag that parse_label_config() chooses. Paths that begin with
/// "/" are of the host that Label Studio named in /setup. The service must outlive the routes.
void add_label_studio_routes(Routes& routes, Service& service, TaskImages images);

}  // namespace sam3trt
