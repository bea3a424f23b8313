// kernels_check [GPU [LAUNCHES]]: runs every kernel on a GPU against the CPU path, times it over so
// many launches (20; with 0 it stays with small sizes, as compute-sanitizer needs) and prints one
// JSON line per case. Exit code 0: all passed; 1: a result is wrong; 3: no GPU.
#include <cstdlib>
#include <iostream>
#include <nlohmann/json.hpp>

#include "base/error.hpp"
#include "kernel_cases.hpp"

namespace {

int run(int ordinal, int launches) {
  const sam3trt::CudaDevice device(ordinal);
  int failed = 0;
  int cases = 0;
  const auto report = [&](const sam3trt::CaseResult& result) {
    ++cases;
    failed += result.passed ? 0 : 1;
    std::cout << nlohmann::ordered_json{{"case", result.name},
                                        {"passed", result.passed},
                                        {"values", result.values},
                                        {"differing", result.differing},
                                        {"largest_difference", result.largest},
                                        {"microseconds", result.microseconds}}
                     .dump()
              << std::endl;
  };
  sam3trt::run_kernel_cases(device, {.exact = false, .timed_launches = launches}, report);
  sam3trt::run_clean_cases(device, {.exact = false, .timed_launches = launches}, report);
  sam3trt::run_overlap_cases(device, {.exact = false, .timed_launches = launches}, report);
  sam3trt::run_kept_cases(device, {.exact = false, .timed_launches = launches}, report);
  sam3trt::run_attention_cases(device, {.exact = false, .timed_launches = launches}, report);
  sam3trt::run_plain_attention_cases(device, {.exact = false, .timed_launches = launches}, report);
  sam3trt::run_grid_attention_cases(device, {.exact = false, .timed_launches = launches}, report);
  sam3trt::run_memory_attention_cases(device, {.exact = false, .timed_launches = launches}, report);
  sam3trt::run_box_bias_cases(device, {.exact = false, .timed_launches = launches}, report);
  sam3trt::run_query_position_cases(device, {.exact = false, .timed_launches = launches}, report);
  sam3trt::run_residual_norm_cases(device, {.exact = false, .timed_launches = launches}, report);
  sam3trt::run_pixel_cases(device, {.exact = false, .timed_launches = launches}, report);
  sam3trt::run_patch_cases(device, {.exact = false, .timed_launches = launches}, report);
  std::cout << nlohmann::ordered_json{{"gpu", device.info().name},
                                      {"cuda", device.driver().cuda_version()},
                                      {"cases", cases},
                                      {"failed", failed}}
                   .dump()
            << std::endl;
  return failed == 0 && cases > 0 ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(argc > 1 ? std::atoi(argv[1]) : 0, argc > 2 ? std::atoi(argv[2]) : 20);
  } catch (const sam3trt::Error& error) {
    std::cerr << "kernels_check: " << error.what() << "\n";
    return error.code() == sam3trt::ErrorCode::kUnavailable ? 3 : 1;
  } catch (const std::exception& error) {
    std::cerr << "kernels_check: " << error.what() << "\n";
    return 1;
  }
}
