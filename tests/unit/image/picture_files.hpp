#pragma once

#include <cstddef>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <vector>

#include "image/image.hpp"

namespace sam3trt {

inline const std::filesystem::path kImageData = std::filesystem::path(SAM3TRT_TEST_DATA) / "image";

inline std::string read_text(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw std::runtime_error("cannot open " + path.string());
  return {std::istreambuf_iterator<char>(file), {}};
}

inline std::span<const std::byte> bytes_of(const std::string& text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

inline const nlohmann::json& image_goldens() {
  static const nlohmann::json kGoldens =
      nlohmann::json::parse(read_text(kImageData / "goldens.json"));
  return kGoldens;
}

/// Names of the files to decode ("decode"), each with its pixels in a .ppm beside it, and of those
/// that are refused ("refused"), as tools/reference/image_decode_goldens.py writes them.
inline const nlohmann::json& decode_goldens() {
  static const nlohmann::json kGoldens =
      nlohmann::json::parse(read_text(kImageData / "decode.json"));
  return kGoldens;
}

/// A binary PPM file as tools/reference/image_goldens.py writes it.
inline Image read_ppm(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::string magic;
  int64_t largest = 0;
  Image image;
  file >> magic >> image.width >> image.height >> largest;
  file.get();
  image.rgb.assign(std::istreambuf_iterator<char>(file), {});
  if (magic != "P6" || largest != 255 ||
      image.rgb.size() != static_cast<size_t>(image.width * image.height) * 3) {
    throw std::runtime_error("not a PPM file: " + path.string());
  }
  return image;
}

inline std::vector<float> read_floats(const std::string& name) {
  const std::string text = read_text(kImageData / name);
  std::vector<float> values(text.size() / sizeof(float));
  std::copy_n(text.data(), values.size() * sizeof(float), reinterpret_cast<char*>(values.data()));
  return values;
}

}  // namespace sam3trt
