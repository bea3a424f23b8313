// kernels_check [GPU [LAUNCHES [GROUP]]]: runs every kernel, or those of one group of kGroups, on a
// GPU against the CPU path, times it over so many launches (20; with 0 it stays with small sizes,
// as compute-sanitizer needs) and prints one JSON line per case. Exit code 0: all passed; 1: a
// result is wrong, or there was no case; 3: no GPU.
#include <cstdlib>
#include <iostream>
#include <nlohmann/json.hpp>
#include <string_view>

#include "base/error.hpp"
#include "kernel_cases.hpp"

namespace {

struct Group {
  std::string_view name;
  decltype(sam3trt::run_kernel_cases)* run;
};

constexpr Group kGroups[] = {
    {"images", sam3trt::run_kernel_cases},       {"clean", sam3trt::run_clean_cases},
    {"overlap", sam3trt::run_overlap_cases},     {"kept", sam3trt::run_kept_cases},
    {"attention", sam3trt::run_attention_cases}, {"plain", sam3trt::run_plain_attention_cases},
    {"grid", sam3trt::run_grid_attention_cases}, {"memory", sam3trt::run_memory_attention_cases},
    {"bias", sam3trt::run_box_bias_cases},       {"position", sam3trt::run_query_position_cases},
    {"norm", sam3trt::run_residual_norm_cases},  {"pixels", sam3trt::run_pixel_cases},
    {"patches", sam3trt::run_patch_cases}};

/// Those of one group, or all.
int run(int ordinal, int launches, std::string_view only) {
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
  for (const auto& [name, run_cases] : kGroups) {
    if (only.empty() || only == name) {
      run_cases(device, {.exact = false, .timed_launches = launches}, report);
    }
  }
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
    return run(argc > 1 ? std::atoi(argv[1]) : 0, argc > 2 ? std::atoi(argv[2]) : 20,
               argc > 3 ? argv[3] : "");
  } catch (const sam3trt::Error& error) {
    std::cerr << "kernels_check: " << error.what() << "\n";
    return error.code() == sam3trt::ErrorCode::kUnavailable ? 3 : 1;
  } catch (const std::exception& error) {
    std::cerr << "kernels_check: " << error.what() << "\n";
    return 1;
  }
}
