#pragma once

namespace sam3trt::python {

/// Makes the library's messages wait for deliver_messages(): they come from any thread, with or
/// without the GIL, and must not wait for it.
void collect_messages();

/// Hands what has come to Python's logging, as the logger "sam3trt". Needs the GIL.
void deliver_messages() noexcept;

/// Delivers at the end of a scope, also when something is thrown. Made before the GIL is released.
struct DeliverMessages {
  DeliverMessages() = default;
  ~DeliverMessages() { deliver_messages(); }
  DeliverMessages(const DeliverMessages&) = delete;
  DeliverMessages& operator=(const DeliverMessages&) = delete;
};

}  // namespace sam3trt::python
