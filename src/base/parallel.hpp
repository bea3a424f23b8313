#pragma once

#include <cstddef>
#include <functional>

namespace sam3trt {

/// Calls `work(i)` for every i below `count`, in any order, and returns when all are done: on this
/// thread alone for less than 2 * `each` of them, else on as many more as have `each` to do, up to
/// one a processor and eight in all. What a call throws is thrown again when the others are done.
void run_parallel(size_t count, size_t each, const std::function<void(size_t)>& work);

}  // namespace sam3trt
