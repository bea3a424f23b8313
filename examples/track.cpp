// track MODEL FRAME_PATTERN TEXT: follows what a text names through numbered images ("a/%05d.png").
#include <cstdio>
#include <filesystem>
#include <sam3trt/sam3trt.hpp>
#include <vector>

void print(const std::vector<sam3trt::FrameResult>& frames) {
  for (const sam3trt::FrameResult& frame : frames) {
    for (const sam3trt::TrackedObject& object : frame.objects) {
      std::printf("frame %lld: object %lld, %lld pixels\n", static_cast<long long>(frame.frame),
                  static_cast<long long>(object.id), static_cast<long long>(object.area));
    }
  }
}

int main(int argc, char** argv) {
  if (argc != 4) {
    std::fprintf(stderr, "usage: track MODEL FRAME_PATTERN TEXT\n");
    return 2;
  }
  try {
    sam3trt::VideoSession session(sam3trt::Model{argv[1]});
    session.add(sam3trt::Prompt{argv[3], {}});
    for (int i = 0;; ++i) {
      char path[4096];
      std::snprintf(path, sizeof path, argv[2], i);
      if (!std::filesystem::exists(path)) break;
      const sam3trt::Image image = sam3trt::read_image(path);
      print(session.step(sam3trt::view_of(image), i));
    }
    print(session.finish());
  } catch (const sam3trt::Error& error) {
    std::fprintf(stderr, "track: %s\n", error.what());
    return 1;
  }
}
