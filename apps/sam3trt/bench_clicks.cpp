#include "bench_clicks.hpp"

#include <array>
#include <cmath>
#include <cstdio>
#include <functional>
#include <iostream>
#include <nlohmann/json.hpp>
#include <vector>

#include "bench_times.hpp"
#include "runtime/model_files.hpp"
#include "runtime/result.hpp"
#include "sam3trt/session.hpp"

namespace sam3trt {
namespace {

using Json = nlohmann::ordered_json;

/// One click for each, spread over the image.
std::vector<ObjectPrompt> clicks_on(const Image& image, size_t count) {
  const auto columns = static_cast<size_t>(std::ceil(std::sqrt(static_cast<double>(count))));
  const size_t rows = (count + columns - 1) / columns;
  std::vector<ObjectPrompt> objects(count);
  for (size_t i = 0; i < count; ++i) {
    const auto share = [](size_t index, size_t all) {
      return (static_cast<double>(index) + 0.5) / static_cast<double>(all);
    };
    objects[i].id = static_cast<int64_t>(i) + 1;
    objects[i].points = {{static_cast<double>(image.width) * share(i % columns, columns),
                          static_cast<double>(image.height) * share(i / columns, rows), true}};
  }
  return objects;
}

class ClicksRun {
 public:
  ClicksRun(const ModelFiles& files, const ClicksBench& bench)
      : bench_(bench), session_(Model(files, bench.load)) {}

  Json run() {
    const ImageView view = view_of(bench_.image);
    Json json = {{"backend", session_.model().backend()},
                 {"width", bench_.image.width},
                 {"height", bench_.image.height}};
    json["encode"] = time([&] { static_cast<void>(session_.encode({&view, 1})); });
    const auto first = clicks_on(bench_.image, 1);
    json["encode_and_first_click"] = time([&] {
      interact(session_.encode({&view, 1}), first, {});
    });
    json["runs"] = Json::array();
    const Features features = session_.encode({&view, 1});
    for (const bool multimask : {false, true}) {
      for (const size_t count : {size_t{1}, size_t{4}, size_t{16}}) {
        const auto objects = clicks_on(bench_.image, count);
        size_t pixels = 0;
        Json entry = {{"objects", count}, {"multimask", multimask}};
        entry["total"] =
            time([&] { pixels = interact(features, objects, {.multimask = multimask}); });
        entry["pixels"] = pixels;
        json["runs"].push_back(std::move(entry));
      }
    }
    return json;
  }

 private:
  /// Pixels inside the masks.
  size_t interact(const Features& features, std::span<const ObjectPrompt> objects,
                  const InteractOptions& options) {
    const auto results = session_.interact(features, std::array{objects}, options);
    throw_if_failed(results.front());
    size_t pixels = 0;
    for (const ObjectResult& object : results.front().objects) {
      pixels += static_cast<size_t>(object.area);
    }
    return pixels;
  }

  Json time(const std::function<void()>& work) const {
    for (int i = 0; i < bench_.warm_up; ++i) work();
    std::vector<double> times;
    times.reserve(static_cast<size_t>(bench_.iterations));
    for (int i = 0; i < bench_.iterations; ++i) {
      const auto begin = BenchClock::now();
      work();
      times.push_back(milliseconds(BenchClock::now() - begin));
    }
    return to_json(statistics_of(std::move(times)));
  }

  const ClicksBench& bench_;
  Session session_;
};

}  // namespace

Json bench_clicks(const ModelFiles& files, const ClicksBench& bench) {
  return ClicksRun(files, bench).run();
}

void print_clicks_bench(const Json& result) {
  const auto line = [](const char* what, const Json& times) {
    std::array<char, 128> text{};
    std::snprintf(text.data(), text.size(), "%-42s%10.3f%10.3f\n", what,
                  times.at("median_ms").get<double>(), times.at("p95_ms").get<double>());
    std::cout << text.data();
  };
  std::cout << "clicks in " << result.at("backend").get<std::string>()
            << ", to run lengths                median    p95 ms\n";
  line("encode", result.at("encode"));
  line("encode and first click", result.at("encode_and_first_click"));
  for (const Json& run : result.at("runs")) {
    const std::string what = std::to_string(run.at("objects").get<int>()) + " objects, " +
                             (run.at("multimask").get<bool>() ? "several masks" : "one mask");
    line(what.c_str(), run.at("total"));
  }
}

}  // namespace sam3trt
