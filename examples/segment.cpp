// segment MODEL IMAGE TEXT...: loads a model once, looks for all texts, prints what it found.
#include <cstdio>
#include <sam3trt/sam3trt.hpp>
#include <span>
#include <vector>

int main(int argc, char** argv) {
  if (argc < 4) {
    std::fprintf(stderr, "usage: segment MODEL IMAGE TEXT...\n");
    return 2;
  }
  try {
    sam3trt::Session session(sam3trt::Model{argv[1]});
    const sam3trt::Image image = sam3trt::read_image(argv[2]);
    std::vector<sam3trt::Prompt> prompts;
    for (const char* text : std::span(argv + 3, argv + argc)) prompts.push_back({text, {}});
    const sam3trt::ImageRequest request{sam3trt::view_of(image), prompts};
    const auto results = session.run({&request, 1});
    for (const auto& prompt : results.front().prompts) {
      for (const sam3trt::Instance& instance : prompt.instances) {
        std::printf("%s: score %.3f, %lld pixels\n", prompt.prompt.text->c_str(),
                    static_cast<double>(instance.score), static_cast<long long>(instance.area));
      }
    }
  } catch (const sam3trt::Error& error) {
    std::fprintf(stderr, "segment: %s\n", error.what());
    return 1;
  }
}
