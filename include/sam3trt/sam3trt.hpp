#pragma once

/// The whole public interface.
#include "sam3trt/error.hpp"
#include "sam3trt/image.hpp"
#include "sam3trt/image_view.hpp"
#include "sam3trt/model.hpp"
#include "sam3trt/object_prompt.hpp"
#include "sam3trt/prompt.hpp"
#include "sam3trt/request.hpp"
#include "sam3trt/result.hpp"
#include "sam3trt/semantics.hpp"
#include "sam3trt/session.hpp"
#include "sam3trt/version.hpp"
#include "sam3trt/video.hpp"
