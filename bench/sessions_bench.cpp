// sessions_bench MODEL IMAGE TEXT [MOST]: what 1, 2, 4, ... MOST sessions of one model cost and
// give. Prints one JSON object: GPU memory with each number of sessions, images per second with a
// thread for each, and whether every result equals that of one session alone.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <span>
#include <thread>
#include <vector>

#include <sam3trt/sam3trt.hpp>

namespace {

using namespace sam3trt;

bool same(const ImageResult& a, const ImageResult& b) {
  if (a.prompts.size() != b.prompts.size() || a.error || b.error) return false;
  for (size_t p = 0; p < a.prompts.size(); ++p) {
    const auto& first = a.prompts[p].instances;
    const auto& second = b.prompts[p].instances;
    if (first.size() != second.size()) return false;
    for (size_t i = 0; i < first.size(); ++i) {
      if (first[i].score != second[i].score || first[i].counts != second[i].counts) return false;
    }
  }
  return true;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 4) {
    std::fprintf(stderr, "usage: sessions_bench MODEL IMAGE TEXT [MOST]\n");
    return 2;
  }
  constexpr int kWarmUp = 5;
  constexpr int kCalls = 30;
  const int most = argc > 4 ? std::atoi(argv[4]) : 4;
  try {
    const Model model{std::filesystem::path(argv[1])};
    const Image image = read_image(argv[2]);
    const std::vector<Prompt> prompts = {{argv[3], {}}};
    const ImageRequest request{view_of(image), prompts};
    std::vector<std::unique_ptr<Session>> sessions;
    ImageResult expected;
    std::printf("{\"memory_model_bytes\": %llu, \"runs\": [",
                static_cast<unsigned long long>(model.device_memory()));
    for (int count = 1; count <= most; count *= 2) {
      while (sessions.size() < static_cast<size_t>(count)) {
        sessions.push_back(std::make_unique<Session>(model));
        for (int i = 0; i < kWarmUp; ++i) {
          ImageResult result = std::move(sessions.back()->run({&request, 1}).front());
          if (sessions.size() == 1) expected = std::move(result);
        }
      }
      std::vector<char> equal(sessions.size(), 1);
      const auto begin = std::chrono::steady_clock::now();
      std::vector<std::thread> threads;
      for (size_t s = 0; s < sessions.size(); ++s) {
        threads.emplace_back([&, s] {
          for (int i = 0; i < kCalls; ++i) {
            if (!same(sessions[s]->run({&request, 1}).front(), expected)) equal[s] = 0;
          }
        });
      }
      for (std::thread& thread : threads) thread.join();
      const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - begin;
      std::printf(
          "%s{\"sessions\": %d, \"memory_bytes\": %llu, \"images_per_s\": %.1f, \"same\": %s}",
          count == 1 ? "" : ", ", count, static_cast<unsigned long long>(model.device_memory()),
          count * kCalls / seconds.count(),
          std::ranges::all_of(equal, [](char e) { return e == 1; }) ? "true" : "false");
    }
    std::printf("]}\n");
  } catch (const Error& error) {
    std::fprintf(stderr, "sessions_bench: %s\n", error.what());
    return 1;
  }
}
