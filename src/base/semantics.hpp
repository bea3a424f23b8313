#pragma once

#include "sam3trt/semantics.hpp"
