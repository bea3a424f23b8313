#include "checkpoint/checkpoint.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>

#include "base/half.hpp"
#include "base/log.hpp"
#include "base/sha256.hpp"
#include "checkpoint/config_json.hpp"
#include "checkpoint/inspect.hpp"
#include "model_files.hpp"

namespace sam3trt {
namespace {

using testing::HasSubstr;
using namespace testing_files;
using nlohmann::json;

Sam3Config tiny() { return parse_config_json(tiny_config_json(), "config.json"); }

class CheckpointFiles : public testing::Test {
 protected:
  /// A Hugging Face folder of the tiny model.
  std::filesystem::path hugging_face(const std::vector<FileTensor>& tensors) {
    folder_.write("config.json", tiny_config_json().dump());
    return folder_.write("model.safetensors", build_safetensors(tensors));
  }

  std::filesystem::path meta(const std::vector<FileTensor>& tensors) {
    return folder_.write("sam3.pt", build_torch_zip(tensors));
  }

  std::string open_error(const std::filesystem::path& path) {
    return error_of([&] { static_cast<void>(Checkpoint::open(path)); });
  }

  TemporaryFolder folder_{"checkpoint_test"};
};

/// Every needed tensor has exactly the values it was written with.
void expect_tiny_weights(const Checkpoint& checkpoint) {
  for (const NamedTensor& needed : needed_tensors(tiny())) {
    ASSERT_TRUE(checkpoint.has(needed.name));
    const WeightView view = checkpoint.weight(needed.name);
    EXPECT_EQ(view.dtype, DType::kF32) << needed.name;
    EXPECT_EQ(view.shape, needed.shape) << needed.name;
    const std::string expected = values_of(needed.name, count_of(needed.shape));
    EXPECT_TRUE(std::ranges::equal(view.bytes, as_bytes(expected))) << needed.name;
  }
}

void expect_same_sizes(const Sam3Config& a, const Sam3Config& b) {
  EXPECT_EQ(a.vision.image_size, b.vision.image_size);
  EXPECT_EQ(a.vision.patch_size, b.vision.patch_size);
  EXPECT_EQ(a.vision.hidden, b.vision.hidden);
  EXPECT_EQ(a.vision.window, b.vision.window);
  EXPECT_EQ(a.vision.pretrain_grid, b.vision.pretrain_grid);
  EXPECT_EQ(a.vision.global_blocks, b.vision.global_blocks);
  EXPECT_EQ(a.vision.rope_theta, b.vision.rope_theta);
  EXPECT_EQ(a.text.vocabulary, b.text.vocabulary);
  EXPECT_EQ(a.text.hidden, b.text.hidden);
  EXPECT_EQ(a.text.context, b.text.context);
  EXPECT_EQ(a.text.bos_token_id, b.text.bos_token_id);
  EXPECT_EQ(a.text.eos_token_id, b.text.eos_token_id);
  EXPECT_EQ(a.text.layer_norm_eps, b.text.layer_norm_eps);
  EXPECT_EQ(a.width, b.width);
  EXPECT_EQ(a.roi_size, b.roi_size);
  EXPECT_EQ(a.queries, b.queries);
  EXPECT_EQ(a.mask_heads, b.mask_heads);
  const auto expect_same_stack = [](const StackConfig& x, const StackConfig& y, const char* name) {
    EXPECT_EQ(x.layers, y.layers) << name;
    EXPECT_EQ(x.heads, y.heads) << name;
    EXPECT_EQ(x.intermediate, y.intermediate) << name;
    EXPECT_EQ(x.activation, y.activation) << name;
  };
  expect_same_stack(a.vision.stack, b.vision.stack, "vision");
  expect_same_stack(a.text.stack, b.text.stack, "text");
  expect_same_stack(a.geometry, b.geometry, "geometry");
  expect_same_stack(a.encoder, b.encoder, "encoder");
  expect_same_stack(a.decoder, b.decoder, "decoder");
}

TEST_F(CheckpointFiles, OpensAHuggingFaceFolderOrItsFile) {
  const auto file = hugging_face(hugging_face_tensors(tiny()));
  for (const auto& path : {file, folder_.path()}) {
    const Checkpoint checkpoint = Checkpoint::open(path);
    expect_tiny_weights(checkpoint);
    EXPECT_EQ(checkpoint.config().semantics, Semantics::kHf);
    EXPECT_EQ(checkpoint.folder(), folder_.path());
  }
}

TEST_F(CheckpointFiles, OpensTheNamesOfTheVideoModel) {
  auto tensors = hugging_face_tensors(tiny(), "detector_model.");
  tensors.push_back({"tracker_model.anything", "F32", {1}, "0123"});
  tensors.push_back({"tracker_neck.fpn_layers.0.proj1.bias", "F32", {1}, "0123"});
  expect_tiny_weights(Checkpoint::open(hugging_face(tensors)));
}

TEST_F(CheckpointFiles, OpensShards) {
  const auto tensors = hugging_face_tensors(tiny());
  const auto middle = tensors.begin() + 100;
  json map;
  for (auto at = tensors.begin(); at != tensors.end(); ++at) {
    map[at->name] = at < middle ? "b.safetensors" : "a.safetensors";
  }
  const std::string first = build_safetensors({middle, tensors.end()});
  const std::string second = build_safetensors({tensors.begin(), middle});
  folder_.write("a.safetensors", first);
  folder_.write("b.safetensors", second);
  folder_.write("config.json", tiny_config_json().dump());
  const auto index =
      folder_.write("model.safetensors.index.json", json{{"weight_map", map}}.dump());
  const Checkpoint checkpoint = Checkpoint::open(folder_.path());
  expect_tiny_weights(checkpoint);
  Sha256 hash;
  hash.update(as_bytes(first + second));
  EXPECT_EQ(checkpoint.sha256(), hash.hex_digest()) << "shards in the order of their names";

  map["extra"] = "a.safetensors";
  folder_.write("model.safetensors.index.json", json{{"weight_map", map}}.dump());
  EXPECT_THAT(open_error(index), HasSubstr("places tensor \"extra\" in a.safetensors, which does "
                                           "not hold it"));
  map.erase("extra");
  map[tensors.front().name] = "a.safetensors";
  folder_.write("model.safetensors.index.json", json{{"weight_map", map}}.dump());
  EXPECT_THAT(open_error(index), HasSubstr("does not place it in this file"));
  std::filesystem::remove(folder_.path() / "b.safetensors");
  EXPECT_THAT(open_error(index), HasSubstr("b.safetensors: is missing though "
                                           "model.safetensors.index.json names it"));
}

TEST_F(CheckpointFiles, BothFormatsGiveTheSameBitsAndSizes) {
  const auto pt = meta(meta_tensors(tiny()));
  const Checkpoint from_pt = Checkpoint::open(pt);
  expect_tiny_weights(from_pt);
  const Checkpoint from_hf = Checkpoint::open(hugging_face(hugging_face_tensors(tiny())));
  expect_same_sizes(from_pt.config(), from_hf.config());
  EXPECT_EQ(from_pt.config().semantics, Semantics::kMeta);
  EXPECT_EQ(from_pt.config().vision.layer_norm_eps, 1e-5);
  EXPECT_EQ(from_hf.config().vision.layer_norm_eps, 1e-6);
  EXPECT_EQ(from_pt.config().text.pad_token_id, 0);
  EXPECT_EQ(from_hf.config().text.pad_token_id, 10);
}

TEST_F(CheckpointFiles, ATensorStoredTurnedIsMadeDense) {
  auto tensors = meta_tensors(tiny());
  const auto turned =
      std::ranges::find(tensors, "detector.backbone.vision_backbone.trunk.blocks.0.attn.qkv.weight",
                        &FileTensor::name);
  const auto rows = static_cast<size_t>(turned->shape[0]);
  const auto columns = static_cast<size_t>(turned->shape[1]);
  const std::string dense = turned->bytes;
  for (size_t row = 0; row < rows; ++row) {
    for (size_t column = 0; column < columns; ++column) {
      std::memcpy(turned->bytes.data() + 4 * (column * rows + row),
                  dense.data() + 4 * (row * columns + column), 4);
    }
  }
  // The builder writes row-major strides; exchange them in the pickle.
  std::string file = build_torch_zip(tensors);
  const std::string before = pickle_tuple(turned->shape) + pickle_tuple({turned->shape[1], 1});
  const std::string after = pickle_tuple(turned->shape) + pickle_tuple({1, turned->shape[0]});
  ASSERT_NE(file.find(before), std::string::npos);
  const size_t name = file.find(turned->name);
  file.replace(file.find(before, name), before.size(), after);
  expect_tiny_weights(Checkpoint::open(folder_.write("sam3.pt", file)));
}

TEST_F(CheckpointFiles, SemanticsCanBeOverridden) {
  const auto hf = hugging_face(hugging_face_tensors(tiny()));
  const Checkpoint as_meta = Checkpoint::open(hf, Semantics::kMeta);
  EXPECT_EQ(as_meta.config().semantics, Semantics::kMeta);
  EXPECT_EQ(as_meta.config().vision.layer_norm_eps, 1e-5);
  EXPECT_EQ(as_meta.config().text.pad_token_id, 0);
  const Checkpoint as_hf = Checkpoint::open(meta(meta_tensors(tiny())), Semantics::kHf);
  EXPECT_EQ(as_hf.config().vision.layer_norm_eps, 1e-6);
  EXPECT_EQ(as_hf.config().text.pad_token_id, 10);
}

TEST_F(CheckpointFiles, HalfPrecisionIsWidenedExactly) {
  auto tensors = hugging_face_tensors(tiny());
  FileTensor& half = *std::ranges::find(tensors, "text_projection.bias", &FileTensor::name);
  FileTensor& brain =
      *std::ranges::find(tensors, "detr_decoder.box_head.layer3.bias", &FileTensor::name);
  half.dtype = "F16";
  half.bytes = little(0x3C00, 2) + little(0xC000, 2) + little(0x0001, 2) + std::string(10, '\0');
  brain.dtype = "BF16";
  brain.bytes = little(0x3F80, 2) + little(0xC049, 2) + std::string(4, '\0');
  const Checkpoint checkpoint = Checkpoint::open(hugging_face(tensors));
  EXPECT_EQ(checkpoint.weight("text_projection.bias").to_f32(),
            (std::vector<float>{1.0F, -2.0F, f16_to_f32(1), 0, 0, 0, 0, 0}));
  EXPECT_EQ(checkpoint.weight("detr_decoder.box_head.layer3.bias").to_f32(),
            (std::vector<float>{1.0F, bf16_to_f32(0xC049), 0, 0}));
}

TEST_F(CheckpointFiles, TheHashIsThatOfTheFile) {
  const auto path = hugging_face(hugging_face_tensors(tiny()));
  Sha256 hash;
  hash.update(as_bytes(read_file(path)));
  EXPECT_EQ(Checkpoint::open(path).sha256(), hash.hex_digest());
}

TEST_F(CheckpointFiles, PreprocessingAndPaddingComeFromTheFolder) {
  const auto path = hugging_face(hugging_face_tensors(tiny()));
  folder_.write("preprocessor_config.json", R"({"image_mean": [0.1, 0.2, 0.3]})");
  folder_.write("tokenizer_config.json",
                R"({"pad_token": {"content": "!"}, "eos_token": "<|endoftext|>",
                    "added_tokens_decoder": {"10": {"content": "<|endoftext|>"},
                                             "3": {"content": "!"}}})");
  Sam3Config config = Checkpoint::open(path).config();
  EXPECT_EQ(config.preprocess.mean, (std::array<double, 3>{0.1, 0.2, 0.3}));
  EXPECT_EQ(config.text.pad_token_id, 3);
  folder_.write("processor_config.json", R"({"target_size": 24})");
  EXPECT_EQ(Checkpoint::open(path).config().preprocess.mean[0], 0.1);
  folder_.write("processor_config.json", R"({"image_processor": {"image_mean": [0.4, 0, 0]}})");
  EXPECT_EQ(Checkpoint::open(path).config().preprocess.mean[0], 0.4);
  folder_.write("tokenizer_config.json", R"({"pad_token": "!", "eos_token": "<|endoftext|>"})");
  folder_.write("tokenizer.json", R"({"added_tokens": [{"id": 4, "content": "!"}]})");
  EXPECT_EQ(Checkpoint::open(path).config().text.pad_token_id, 4);
  folder_.write("tokenizer.json", R"({"added_tokens": [{"id": 11, "content": "!"}]})");
  EXPECT_THAT(open_error(path), HasSubstr("the tokenizer pads with id 11"));
  folder_.write("tokenizer.json", "{}");
  EXPECT_THAT(open_error(path), HasSubstr("pad_token \"!\" has no id"));
  folder_.write("tokenizer_config.json", R"({"pad_token": "<|e|>", "eos_token": "<|e|>"})");
  EXPECT_EQ(Checkpoint::open(path).config().text.pad_token_id, 10);
}

TEST_F(CheckpointFiles, MissingFilesAreNamed) {
  EXPECT_THAT(open_error(folder_.path()),
              HasSubstr("holds no checkpoint: expected model.safetensors, "
                        "model.safetensors.index.json or sam3.pt"));
  EXPECT_THAT(open_error(folder_.path() / "none.pt"), HasSubstr("none.pt: cannot be opened"));
  EXPECT_THAT(open_error(folder_.path() / std::string(5000, 'x')),
              HasSubstr("cannot be opened: File name too long"));
  EXPECT_THAT(open_error("facebook/sam3"),
              HasSubstr("sam3trt download --repo facebook/sam3 --output FOLDER"));
  EXPECT_THAT(open_error("https://example.org/sam3.pt"),
              HasSubstr("sam3trt download --repo OWNER/NAME"));
  const auto path =
      folder_.write("model.safetensors", build_safetensors(hugging_face_tensors(tiny())));
  EXPECT_THAT(open_error(path), HasSubstr("config.json: is missing"));
  folder_.write("config.json", "{\"model_type\": \"sam3\", \"model_type\": \"sam3\"}");
  EXPECT_THAT(open_error(path), HasSubstr("the key \"model_type\" appears twice"));
}

TEST_F(CheckpointFiles, MetasFileWithoutSizingTensorsNamesThemAll) {
  auto tensors = meta_tensors(tiny());
  std::erase_if(tensors, [](const FileTensor& tensor) {
    return tensor.name.find("pos_embed") != std::string::npos ||
           tensor.name.find("query_embed") != std::string::npos;
  });
  const std::string message = open_error(meta(tensors));
  EXPECT_THAT(message, HasSubstr("the sizes of the model cannot be taken from its tensor shapes"));
  EXPECT_THAT(message, HasSubstr("trunk.pos_embed is missing"));
  EXPECT_THAT(message, HasSubstr("transformer.decoder.query_embed.weight is missing"));
}

TEST_F(CheckpointFiles, MetasFileWithAHoleIsListed) {
  auto tensors = meta_tensors(tiny());
  std::erase_if(tensors, [](const FileTensor& tensor) {
    return tensor.name == "detector.transformer.decoder.layers.1.ca_text.in_proj_bias";
  });
  EXPECT_THAT(
      open_error(meta(tensors)),
      HasSubstr("1 missing:\n  detector.transformer.decoder.layers.1.ca_text.in_proj_bias [24]"));
}

TEST_F(CheckpointFiles, TheFormatBeforeTorch16IsRefusedWithTheWayOut) {
  const auto path = folder_.write("old.pt",
                                  "\x80\x02\x8a\x0al\xfc\x9c"
                                  "F\xf9 j\xa8P\x19.");
  EXPECT_THAT(open_error(path), HasSubstr("has torch's format before version 1.6; save it again"));
}

/// The tensors with something before each name.
std::vector<FileTensor> wrapped(std::vector<FileTensor> tensors, const std::string& prefix) {
  for (FileTensor& tensor : tensors) tensor.name = prefix + tensor.name;
  return tensors;
}

TEST_F(CheckpointFiles, WrappersOfTrainingAreNoHindranceInEitherFormat) {
  for (const std::string prefix :
       {"module.", "_orig_mod.", "model.", "module._orig_mod.model.", "state_dict.model."}) {
    expect_tiny_weights(
        Checkpoint::open(hugging_face(wrapped(hugging_face_tensors(tiny()), prefix))));
    expect_tiny_weights(Checkpoint::open(meta(wrapped(meta_tensors(tiny()), prefix))));
  }
  auto bare = meta_tensors(tiny());
  for (FileTensor& tensor : bare) tensor.name = tensor.name.substr(std::strlen("detector."));
  expect_tiny_weights(Checkpoint::open(meta(wrapped(bare, "sam3_model."))));
  expect_tiny_weights(Checkpoint::open(meta(bare)));
}

TEST_F(CheckpointFiles, EachFormatMayHaveTheOthersNames) {
  // Meta's names in safetensors, Hugging Face's in a torch file; the first bytes count, not the
  // name.
  auto tensors = meta_tensors(tiny());
  for (FileTensor& tensor : tensors) {
    tensor.dtype = tensor.dtype == "Float" ? "F32" : "C64";
  }
  expect_tiny_weights(Checkpoint::open(folder_.write("x.pt", build_safetensors(tensors))));
  auto floats = hugging_face_tensors(tiny());
  for (FileTensor& tensor : floats) tensor.dtype = "Float";
  folder_.write("config.json", tiny_config_json().dump());
  expect_tiny_weights(
      Checkpoint::open(folder_.write("model.safetensors", build_torch_zip(floats))));
  std::filesystem::remove(folder_.path() / "model.safetensors");
  folder_.write("pytorch_model.bin", build_torch_zip(floats));
  expect_tiny_weights(Checkpoint::open(folder_.path()));
}

TEST_F(CheckpointFiles, AFurtherCopyOfTheModelIsNotReadAndItIsSaid) {
  std::vector<std::string> messages;
  set_log_sink([&](LogLevel, std::string_view text) { messages.emplace_back(text); });
  auto tensors = wrapped(hugging_face_tensors(tiny()), "model.");
  for (FileTensor& tensor : wrapped(hugging_face_tensors(tiny()), "ema.")) {
    tensor.bytes.assign(tensor.bytes.size(), '\x7f');
    tensors.push_back(tensor);
  }
  expect_tiny_weights(Checkpoint::open(hugging_face(tensors)));
  set_log_sink(nullptr);
  ASSERT_EQ(messages.size(), 1U);
  EXPECT_THAT(messages[0], HasSubstr("the one under \"model.\" is taken, not \"ema.\""));
}

TEST_F(CheckpointFiles, BuffersThatAreComputedAreSkipped) {
  auto tensors = meta_tensors(tiny());
  const size_t count = tensors.size();
  for (size_t i = 0; i < count; ++i) {
    if (!tensors[i].name.ends_with("freqs_cis")) continue;
    for (const char* part : {"_real", "_imag"}) {
      tensors.push_back({tensors[i].name + part, "Float", tensors[i].shape,
                         std::string(tensors[i].bytes.size() / 2, '\0')});
    }
  }
  tensors.push_back({"detector.x.num_batches_tracked", "Long", {}, std::string(8, '\0')});
  tensors.push_back({"n_averaged", "Long", {}, std::string(8, '\0')});
  expect_tiny_weights(Checkpoint::open(meta(tensors)));
  std::erase_if(tensors, [](const FileTensor& t) { return t.name.ends_with("freqs_cis"); });
  const Checkpoint real = Checkpoint::open(meta(tensors));
  expect_tiny_weights(real);
  expect_same_sizes(real.config(), Checkpoint::open(meta(meta_tensors(tiny()))).config());
}

TEST_F(CheckpointFiles, DoublePrecisionIsRoundedToFloat) {
  auto tensors = hugging_face_tensors(tiny());
  std::vector<float> expected;
  for (FileTensor& tensor : tensors) {
    std::string bytes;
    for (size_t at = 0; at < tensor.bytes.size(); at += 4) {
      float value = 0;
      std::memcpy(&value, tensor.bytes.data() + at, 4);
      const double wide = static_cast<double>(value) * (1.0 + 1e-9);
      bytes.append(reinterpret_cast<const char*>(&wide), sizeof(wide));
      if (tensor.name == "text_projection.bias") expected.push_back(value);
    }
    tensor.dtype = "F64";
    tensor.bytes = bytes;
  }
  const Checkpoint checkpoint = Checkpoint::open(hugging_face(tensors));
  EXPECT_EQ(checkpoint.weight("text_projection.bias").to_f32(), expected);
  EXPECT_TRUE(checkpoint.non_finite_weights().empty());
}

TEST_F(CheckpointFiles, WeightsThatAreNotFiniteAreNamed) {
  auto tensors = hugging_face_tensors(tiny());
  const auto spoil = [&](const std::string& name, size_t at, uint32_t bits) {
    FileTensor& tensor = *std::ranges::find(tensors, name, &FileTensor::name);
    tensor.bytes.replace(at * 4, 4, little(bits, 4));
  };
  spoil("text_projection.bias", 3, 0x7FC00000);
  spoil("text_projection.bias", 5, 0xFF800000);
  const Checkpoint checkpoint = Checkpoint::open(hugging_face(tensors));
  const auto found = checkpoint.non_finite_weights();
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].count, 2);
  EXPECT_EQ(found[0].first, 3);
  EXPECT_THAT(error_of([&] { checkpoint.check_finite(); }),
              HasSubstr("1 with NaN or infinity:\n  text_projection.bias: 2 of 8 values, the first "
                        "at index 3"));
  tensors.push_back({"tracker_model.x", "F32", {1}, little(0x7FC00000, 4)});
  EXPECT_EQ(Checkpoint::open(hugging_face(tensors)).non_finite_weights().size(), 1U)
      << "what nothing reads does not matter";
}

TEST_F(CheckpointFiles, PartsOfAPackedTensorThatAreNotFiniteAreToldAsOne) {
  auto tensors = meta_tensors(tiny());
  FileTensor& packed = *std::ranges::find(
      tensors, "detector.backbone.vision_backbone.trunk.blocks.0.attn.qkv.bias", &FileTensor::name);
  packed.bytes.replace(20 * 4, 4, little(0x7F800000, 4));
  packed.bytes.replace(40 * 4, 4, little(0x7F800000, 4));
  const auto found = Checkpoint::open(meta(tensors)).non_finite_weights();
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].name, packed.name);
  EXPECT_EQ(found[0].count, 2);
  EXPECT_EQ(found[0].first, 20);
  EXPECT_EQ(found[0].shape, (Shape{48}));
}

TEST_F(CheckpointFiles, AModelWithoutItsMaskHeadIsNamed) {
  auto tensors = meta_tensors(tiny());
  std::erase_if(tensors, [](const FileTensor& tensor) {
    return tensor.name.starts_with("detector.segmentation_head.");
  });
  EXPECT_THAT(open_error(meta(tensors)),
              testing::AllOf(HasSubstr("has no mask head (segmentation_head.*)"),
                             HasSubstr("enable_segmentation: False")));
  auto hf = hugging_face_tensors(tiny());
  std::erase_if(hf, [](const FileTensor& t) { return t.name.starts_with("mask_decoder."); });
  EXPECT_THAT(open_error(hugging_face(hf)), HasSubstr("has no mask head (mask_decoder.*)"));
}

TEST_F(CheckpointFiles, WhatStandsInPlaceOfItsFilesIsNamed) {
  const std::string pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n";
  const auto path = hugging_face(hugging_face_tensors(tiny()));
  folder_.write("tokenizer_config.json", pointer);
  EXPECT_THAT(open_error(path), HasSubstr("tokenizer_config.json: is a Git LFS pointer"));
  std::filesystem::remove(folder_.path() / "tokenizer_config.json");
  folder_.write("config.json", "<!doctype html>");
  EXPECT_THAT(open_error(path), HasSubstr("config.json: is a web page"));
  folder_.write("config.json", "{\"error\": \"gated\"}");
  EXPECT_THAT(open_error(path), HasSubstr("config.json: is a server's answer about an error"));
  folder_.write("config.json", "");
  EXPECT_THAT(open_error(path), HasSubstr("config.json: is empty"));
  folder_.write("model.safetensors", pointer);
  EXPECT_THAT(open_error(path), HasSubstr("model.safetensors: is a Git LFS pointer"));
  EXPECT_THAT(open_error(folder_.path() / "config.json"), HasSubstr("config.json: is empty"));
  folder_.write("config.json", tiny_config_json().dump());
  EXPECT_THAT(open_error(folder_.path() / "config.json"),
              HasSubstr("config.json: is not a checkpoint; name its folder"));
  folder_.write("adapter_config.json", "{}");
  EXPECT_THAT(open_error(folder_.path()), HasSubstr("holds a LoRA or another PEFT adapter"));
}

TEST_F(CheckpointFiles, EveryMissingShardIsNamed) {
  const json map{{"a", "x-1.safetensors"}, {"b", "x-2.safetensors"}, {"c", "x-3.safetensors"}};
  const auto index =
      folder_.write("model.safetensors.index.json", json{{"weight_map", map}}.dump());
  folder_.write("x-1.safetensors", build_safetensors({{"a", "F32", {1}, "0123"}}));
  EXPECT_THAT(open_error(index),
              testing::AllOf(HasSubstr("2 of its 3 files are missing"),
                             HasSubstr("x-2.safetensors"), HasSubstr("x-3.safetensors")));
}

TEST_F(CheckpointFiles, AnUnknownInternalNameIsADefect) {
  const Checkpoint checkpoint = Checkpoint::open(hugging_face(hugging_face_tensors(tiny())));
  EXPECT_FALSE(checkpoint.has("nothing"));
  try {
    static_cast<void>(checkpoint.weight("nothing"));
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kInternal);
  }
}

TEST_F(CheckpointFiles, AnyFileCanBeListed) {
  folder_.write("x.safetensors",
                build_safetensors({{"b", "F8_E4M3", {2}, "01"}, {"a", "F32", {1, 1}, "0123"}}));
  const CheckpointListing plain = list_checkpoint(folder_.path() / "x.safetensors");
  EXPECT_EQ(plain.format, "safetensors");
  ASSERT_EQ(plain.tensors.size(), 2U);
  EXPECT_EQ(plain.tensors[0].name, "a");
  EXPECT_EQ(plain.tensors[0].dtype, "f32");
  EXPECT_EQ(plain.tensors[0].shape, (Shape{1, 1}));
  EXPECT_EQ(plain.tensors[0].bytes, 4U);
  EXPECT_EQ(plain.tensors[1].dtype, "F8_E4M3");
  const CheckpointListing torch = list_checkpoint(meta(meta_tensors(tiny())));
  EXPECT_EQ(torch.format, "torch zip");
  EXPECT_EQ(torch.tensors.size(), meta_tensors(tiny()).size());
}

}  // namespace
}  // namespace sam3trt
