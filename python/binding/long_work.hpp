#pragma once

#include <nanobind/nanobind.h>

#include <functional>
#include <stop_token>
#include <string>

namespace sam3trt::python {

namespace nb = nanobind;

/// How far a piece of work is: what is being done, and 0 to 1.
using Report = std::function<void(const std::string& what, double done)>;

/// Runs `work` in a thread of its own while the calling one, which holds the GIL, waits without it:
/// it calls `progress(what, done)` (None: nothing) and handles Python's signals ten times a second.
/// An exception of either, KeyboardInterrupt above all, asks the work to stop, waits until it has,
/// and is raised; else what the work throws is.
void run_long_work(
    const nb::object& progress,
    const std::function<void(const std::stop_token& stop, const Report& report)>& work);

}  // namespace sam3trt::python
