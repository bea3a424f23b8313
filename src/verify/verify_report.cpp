#include <nlohmann/json.hpp>

#include "verify/verify_model.hpp"

namespace sam3trt {

std::string to_json(const VerifyOutcome& outcome) {
  return nlohmann::ordered_json{{"passed", outcome.passed},
                                {"precision", name_of(outcome.precision)},
                                {"backend", outcome.backend},
                                {"end_to_end_undecidable", outcome.undecidable},
                                {"marked", outcome.marked},
                                {"outputs", nlohmann::json::parse(to_json(outcome.outputs))},
                                {"result", nlohmann::json::parse(to_json(outcome.result))}}
      .dump(1);
}

}  // namespace sam3trt
