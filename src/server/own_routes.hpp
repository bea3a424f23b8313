#pragma once

#include "server/http.hpp"
#include "server/request_images.hpp"
#include "server/service.hpp"

namespace sam3trt {

/// /v1/infer, /v1/features, /v1/objects and /v1/model; all must outlive the routes.
void add_own_routes(Routes& routes, Service& service, const RequestImages& images);

/// /healthz and /readyz.
void add_health_routes(Routes& routes, const Service& service);

}  // namespace sam3trt
