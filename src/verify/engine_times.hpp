#pragma once

#include <map>
#include <memory>
#include <string>

#include "base/engine.hpp"

namespace sam3trt {

/// How long calls of engines take, added up by name. Not for several threads.
class EngineTimes {
 public:
  /// The engine, whose calls count from now on. This object must outlive it.
  [[nodiscard]] std::unique_ptr<Engine> watch(std::string name, std::unique_ptr<Engine> engine);

  void add(const std::string& name, double seconds);

  /// "11.2 s: vision_encoder 8.1 (4 calls), detector 3.1 (1 call)", the slowest first; "0.0 s"
  /// where nothing ran.
  [[nodiscard]] std::string text() const;

 private:
  struct Calls {
    double seconds = 0;
    int count = 0;
  };

  std::map<std::string, Calls> calls_;
};

}  // namespace sam3trt
