#include "runtime/model_files.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <string>

#include "base/error.hpp"
#include "manifest/manifest.hpp"
#include "onnx/graph.hpp"

namespace sam3trt {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

Json config() {
  return {{"image_size", 168},
          {"patch_size", 14},
          {"grid", 12},
          {"detector_width", 32},
          {"context_length", 32},
          {"num_queries", 24},
          {"roi_size", 7},
          {"image_mean", {0.5, 0.25, 0.125}},
          {"image_std", {1, 2, 3}},
          {"rescale_factor", 1.0 / 255},
          {"bos_token_id", 1},
          {"eos_token_id", 2},
          {"pad_token_id", 3}};
}

/// A folder of its own for one test, with functions to put graphs into it.
class Folder {
 public:
  explicit Folder(const std::string& name) : path_(fs::path(testing::TempDir()) / name) {
    fs::remove_all(path_);
    fs::create_directories(path_);
  }
  ~Folder() { fs::remove_all(path_); }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;

  [[nodiscard]] const fs::path& path() const { return path_; }

  /// Writes a graph with the metadata of a part; `changes` replaces values, empty ones remove keys.
  void add_graph(const std::string& file, const std::string& component,
                 const std::map<std::string, std::string>& changes = {}) const {
    std::map<std::string, std::string> metadata = {
        {"component", component}, {"format_version", "1"},      {"exporter_version", "0.1.0"},
        {"semantics", "meta"},    {"checkpoint_sha256", "abc"}, {"config", config().dump()}};
    for (const auto& [key, value] : changes) metadata[key] = value;
    Graph graph("part");
    graph.add_output("y", graph.add_input("x", DType::kF32, {1}));
    for (const auto& [key, value] : metadata) {
      if (!value.empty()) graph.set_metadata("sam3trt." + key, value);
    }
    (void)graph.save(path_ / file);
  }

  /// The five parts as engines: a manifest beside an empty file each.
  void add_engines() const {
    for (const std::string component :
         {"vision_encoder", "detector", "text_encoder", "geometry_encoder", "mask_head"}) {
      const bool is_part = component != "vision_encoder" && component != "detector";
      const std::string file = (is_part ? "detector." : "") + component + ".engine";
      EngineManifest manifest;
      manifest.component = component;
      manifest.metadata = {{"sam3trt.component", component},
                           {"sam3trt.format_version", "1"},
                           {"sam3trt.semantics", "hf"},
                           {"sam3trt.checkpoint_sha256", "abc"},
                           {"sam3trt.config", config().dump()}};
      add_file(file, "");
      add_file(file + ".json", manifest.to_json());
    }
  }

  void add_file(const std::string& file, const std::string& text) const {
    std::ofstream(path_ / file) << text;
  }

  void add_model() const {
    add_graph("vision_encoder.onnx", "vision_encoder");
    add_graph("detector.onnx", "detector");
    for (const char* part : {"text_encoder", "geometry_encoder", "mask_head"}) {
      add_graph(std::string("detector.") + part + ".onnx", part);
    }
    add_file("detector.tokenizer.json", "{}");
  }

 private:
  fs::path path_;
};

template <typename Action>
Error error_of(Action action) {
  try {
    action();
  } catch (const Error& error) {
    return error;
  }
  ADD_FAILURE() << "no error was thrown";
  return {ErrorCode::kInternal, ""};
}

std::string message_of_folder(const Folder& folder) {
  const Error error = error_of([&] { (void)find_model_files(folder.path()); });
  EXPECT_EQ(error.code(), ErrorCode::kBadInput);
  return error.what();
}

TEST(ModelFiles, AreFoundInAFolderByMetadata) {
  const Folder folder("model_files_found");
  folder.add_model();
  fs::rename(folder.path() / "vision_encoder.onnx", folder.path() / "any name.onnx");
  folder.add_graph("other.onnx", "");
  folder.add_file("broken.onnx", "not a graph");
  const ModelFiles files = find_model_files(folder.path());
  EXPECT_EQ(files.at(Component::kVisionEncoder), folder.path() / "any name.onnx");
  EXPECT_EQ(files.at(Component::kDetector), folder.path() / "detector.onnx");
  EXPECT_EQ(files.at(Component::kMaskHead), folder.path() / "detector.mask_head.onnx");
  EXPECT_EQ(files.tokenizer, folder.path() / "detector.tokenizer.json");
  EXPECT_EQ(files.semantics, Semantics::kMeta);
  EXPECT_EQ(files.checkpoint_sha256, "abc");
  EXPECT_EQ(files.config.num_queries, 24);
  EXPECT_EQ(files.config.image_mean, (std::array<double, 3>{0.5, 0.25, 0.125}));
}

TEST(ModelFiles, AComponentThatIsThereTwiceIsAdvisedInTheCallersWords) {
  const Folder folder("model_files_twice");
  folder.add_model();
  folder.add_graph("second_vision.onnx", "vision_encoder");
  EXPECT_THAT(message_of_folder(folder),
              AllOf(HasSubstr("holds 2 files of the vision_encoder; keep one of them there"),
                    HasSubstr("second_vision.onnx"), testing::Not(HasSubstr("--encoder-engine"))));
  const Error error = error_of([&] {
    (void)find_model_files(folder.path(), std::nullopt, {"--onnx", "build them one by one"});
  });
  EXPECT_THAT(error.what(), HasSubstr("; build them one by one:"));
  const Error missing = error_of([] {
    (void)find_model_files("/nowhere/at/all", std::nullopt, {"--onnx", ""});
  });
  EXPECT_THAT(missing.what(), HasSubstr("--onnx /nowhere/at/all"));
}

TEST(ModelFiles, AGraphThatCalibratesAnotherIsNoComponent) {
  const Folder folder("model_files_calibration");
  folder.add_model();
  folder.add_graph("vision_encoder.onnx.4711.calibration.onnx", "vision_encoder",
                   {{"precision", "calibration"}});
  EXPECT_EQ(find_model_files(folder.path()).at(Component::kVisionEncoder),
            folder.path() / "vision_encoder.onnx");
}

TEST(ModelFiles, AreFoundByTheTwoFiles) {
  const Folder folder("model_files_named");
  folder.add_model();
  folder.add_graph("second_vision.onnx", "vision_encoder");
  const ModelFiles files =
      find_model_files(folder.path() / "second_vision.onnx", folder.path() / "detector.onnx");
  EXPECT_EQ(files.at(Component::kVisionEncoder), folder.path() / "second_vision.onnx");
  EXPECT_EQ(files.at(Component::kTextEncoder), folder.path() / "detector.text_encoder.onnx");
}

TEST(ModelFiles, ComponentsOfTrackingAreFoundByMetadataWhereThereAreSome) {
  const Folder folder("model_files_tracking");
  folder.add_model();
  EXPECT_FALSE(find_model_files(folder.path()).has(Component::kSamDecoder));
  folder.add_graph("any neck.onnx", "tracker_neck");
  folder.add_graph("sam_decoder.onnx", "sam_decoder");
  const ModelFiles files = find_model_files(folder.path());
  EXPECT_EQ(files.at(Component::kTrackerNeck), folder.path() / "any neck.onnx");
  EXPECT_TRUE(files.has(Component::kSamDecoder));
  EXPECT_FALSE(files.has(Component::kMemoryEncoder));
  EXPECT_THROW((void)files.at(Component::kMemoryEncoder), Error);
  EXPECT_FALSE(
      find_model_files(folder.path() / "vision_encoder.onnx", folder.path() / "detector.onnx")
          .has(Component::kSamDecoder));
}

TEST(ModelFiles, AComponentOfTrackingFromAnotherCheckpointIsRefused) {
  const Folder folder("model_files_other_tracker");
  folder.add_model();
  folder.add_graph("sam_decoder.onnx", "sam_decoder", {{"checkpoint_sha256", "xyz"}});
  EXPECT_THAT(message_of_folder(folder), HasSubstr("sam_decoder.onnx: another checkpoint_sha256"));
}

TEST(ModelConfig, NumbersOfTheTrackerAreReadAndChecked) {
  Json json = config();
  EXPECT_FALSE(parse_model_config(json.dump(), "x.onnx").tracker);
  TrackerConfig tracker;
  tracker.vision_width = 64;
  tracker.width = 48;
  tracker.memory_channels = 16;
  tracker.mask_tokens = 4;
  tracker.new_det_thresh = 0.75;
  tracker.min_trk_keep_alive = -1;
  for_each_field(tracker,
                 [&](const char* name, const auto& value) { json["tracker"][name] = value; });
  const auto found = parse_model_config(json.dump(), "x.onnx").tracker;
  ASSERT_TRUE(found);
  EXPECT_EQ(found->vision_width, 64);
  EXPECT_EQ(found->width, 48);
  Json older = json;
  older["tracker"].erase("width");
  EXPECT_EQ(parse_model_config(older.dump(), "x.onnx").tracker->width, 32);
  EXPECT_EQ(found->new_det_thresh, 0.75);
  EXPECT_EQ(found->min_trk_keep_alive, -1);
  json["tracker"].erase("new_det_thresh");
  json["tracker"]["mask_tokens"] = int64_t{1} << 40;
  const Error error = error_of([&] { (void)parse_model_config(json.dump(), "x.onnx"); });
  EXPECT_THAT(error.what(), AllOf(HasSubstr("new_det_thresh: expected a number, found nothing"),
                                  HasSubstr("mask_tokens: expected a whole number")));
}

TEST(ModelFiles, AFolderThatIsNotThereIsAnError) {
  const Error error = error_of([] { (void)find_model_files("/nowhere/at/all"); });
  EXPECT_THAT(error.what(), AllOf(HasSubstr("--model /nowhere/at/all"), HasSubstr("nothing")));
}

TEST(ModelFiles, AnEmptyFolderNamesWhatIsMissing) {
  const Folder folder("model_files_empty");
  folder.add_file("broken.onnx", "not a graph");
  EXPECT_THAT(
      message_of_folder(folder),
      AllOf(HasSubstr("no vision_encoder"), HasSubstr("sam3trt export"), HasSubstr("broken.onnx")));
}

TEST(ModelFiles, TwoCandidatesAreAnErrorThatNamesBoth) {
  const Folder folder("model_files_two");
  folder.add_model();
  folder.add_graph("second.onnx", "detector");
  EXPECT_THAT(message_of_folder(folder),
              AllOf(HasSubstr("2 files of the detector"), HasSubstr("second.onnx"),
                    HasSubstr("detector.onnx"), HasSubstr("name the files")));
}

TEST(ModelFiles, AllMissingPartsAreInOneError) {
  const Folder folder("model_files_missing");
  folder.add_model();
  fs::remove(folder.path() / "detector.text_encoder.onnx");
  fs::remove(folder.path() / "detector.mask_head.onnx");
  fs::remove(folder.path() / "detector.tokenizer.json");
  EXPECT_THAT(message_of_folder(folder),
              AllOf(HasSubstr("detector.text_encoder.onnx: the text_encoder is missing"),
                    HasSubstr("detector.mask_head.onnx: the mask_head is missing"),
                    HasSubstr("detector.tokenizer.json: the tokenizer is missing"),
                    Not(HasSubstr("geometry_encoder.onnx"))));
}

TEST(ModelFiles, PartsOfOtherCheckpointsSemanticsOrSizesAreErrors) {
  const Folder folder("model_files_mixed");
  folder.add_model();
  folder.add_graph("detector.onnx", "detector", {{"checkpoint_sha256", "def"}});
  folder.add_graph("detector.mask_head.onnx", "mask_head", {{"semantics", "hf"}});
  Json other = config();
  other["num_queries"] = 25;
  folder.add_graph("detector.geometry_encoder.onnx", "geometry_encoder",
                   {{"config", other.dump()}});
  EXPECT_THAT(
      message_of_folder(folder),
      AllOf(HasSubstr("detector.onnx: another checkpoint_sha256 (def) than vision_encoder.onnx"),
            HasSubstr("detector.mask_head.onnx: another semantics (hf)"),
            HasSubstr("detector.geometry_encoder.onnx: another config"),
            Not(HasSubstr("text_encoder.onnx"))));
}

TEST(ModelFiles, OtherVersionsComponentsAndSemanticsAreErrors) {
  const Folder folder("model_files_versions");
  folder.add_model();
  folder.add_graph("detector.onnx", "detector", {{"format_version", "2"}});
  folder.add_graph("detector.mask_head.onnx", "detector_part");
  folder.add_graph("detector.text_encoder.onnx", "", {{"component", ""}});
  EXPECT_THAT(message_of_folder(folder),
              AllOf(HasSubstr("detector.onnx: expected format version 1, found '2'"),
                    HasSubstr("expected a mask_head, found a detector_part"),
                    HasSubstr("expected a text_encoder, found a graph that 'sam3trt export' did "
                              "not write")));
  const Folder strange("model_files_semantics");
  strange.add_model();
  strange.add_graph("vision_encoder.onnx", "vision_encoder", {{"semantics", "other"}});
  EXPECT_THAT(message_of_folder(strange), HasSubstr("expected the semantics hf or meta"));
}

TEST(ModelFiles, EnginesAreFoundByTheirManifests) {
  const Folder folder("model_files_engines");
  folder.add_engines();
  folder.add_model();
  const ModelFiles files = find_model_files(folder.path());
  EXPECT_EQ(files.form, ModelForm::kEngines);
  EXPECT_EQ(files.at(Component::kVisionEncoder), folder.path() / "vision_encoder.engine");
  EXPECT_EQ(files.at(Component::kMaskHead), folder.path() / "detector.mask_head.engine");
  EXPECT_EQ(files.config.num_queries, 24);
  const ModelFiles graphs = find_model_files(folder.path(), ModelForm::kGraphs);
  EXPECT_EQ(graphs.at(Component::kDetector), folder.path() / "detector.onnx");
}

TEST(ModelFiles, AnEngineWithoutManifestIsRefused) {
  const Folder folder("model_files_no_manifest");
  folder.add_file("vision_encoder.engine", "plan");
  EXPECT_THAT(message_of_folder(folder), HasSubstr("vision_encoder.engine.json is missing"));
}

TEST(ModelFiles, AnEngineAndAGraphAreNoModel) {
  const Error error = error_of([] { (void)find_model_files("a.engine", "b.onnx"); });
  EXPECT_EQ(error.code(), ErrorCode::kBadInput);
  EXPECT_THAT(error.what(), HasSubstr("one is an engine and one a graph"));
}

TEST(ModelConfig, AllProblemsAreInOneError) {
  Json bad = config();
  bad.erase("roi_size");
  bad["image_size"] = "168";
  bad["detector_width"] = 0;
  bad["num_queries"] = 1e3;
  bad["context_length"] = 18446744073709551615ULL;
  bad["image_std"] = {1, 0, 1};
  bad["image_mean"] = {1, 2};
  bad["rescale_factor"] = -1;
  const Error error = error_of([&] { (void)parse_model_config(bad.dump(), "x.onnx"); });
  EXPECT_EQ(error.code(), ErrorCode::kBadInput);
  for (const char* key : {"roi_size", "image_size", "detector_width", "num_queries",
                          "context_length", "image_std", "image_mean", "rescale_factor"}) {
    EXPECT_THAT(error.what(), HasSubstr(std::string("\n  ") + key + ": expected"));
  }
  EXPECT_THAT(error.what(),
              AllOf(HasSubstr("x.onnx"), HasSubstr("found nothing"), Not(HasSubstr("grid"))));
}

TEST(ModelConfig, TheGridMustFitTheImage) {
  Json bad = config();
  bad["grid"] = 13;
  const Error error = error_of([&] { (void)parse_model_config(bad.dump(), "x.onnx"); });
  EXPECT_THAT(error.what(), HasSubstr("grid: expected 168 / 14"));
}

TEST(ModelConfig, TextThatIsNoObjectIsAnError) {
  for (const std::string text : {"", "[1]", "{", "3", "null", "\xff"}) {
    EXPECT_THAT(error_of([&] { (void)parse_model_config(text, "x.onnx"); }).what(),
                HasSubstr("expected a JSON object"));
  }
  EXPECT_THAT(
      error_of([&] { (void)parse_model_config(std::string(1 << 17, '['), "x.onnx"); }).what(),
      HasSubstr("larger than"));
  EXPECT_THAT(error_of([&] { (void)parse_model_config(std::string(60000, '['), "x.onnx"); }).what(),
              HasSubstr("expected a JSON object"));
}

}  // namespace
}  // namespace sam3trt
