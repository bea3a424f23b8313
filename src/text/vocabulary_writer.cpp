#include <nlohmann/json.hpp>

#include "text/vocabulary.hpp"

namespace sam3trt {
namespace {

using OrderedJson = nlohmann::ordered_json;

}  // namespace

std::string write_tokenizer_json(const Vocabulary& vocabulary) {
  const auto& tokens = vocabulary.tokens;
  const auto token = [&](int32_t id) { return tokens[static_cast<size_t>(id)]; };
  OrderedJson added = OrderedJson::array();
  for (const AddedToken& entry : vocabulary.added) {
    added.push_back({{"id", entry.id},
                     {"content", entry.content},
                     {"single_word", false},
                     {"lstrip", false},
                     {"rstrip", false},
                     {"normalized", entry.normalized},
                     {"special", entry.special}});
  }
  std::string table;
  for (size_t i = 0; i < vocabulary.model_size; ++i) {
    table += (i == 0 ? "" : ",") + OrderedJson(tokens[i]).dump() + ":" + std::to_string(i);
  }
  OrderedJson merges = OrderedJson::array();
  for (const Merge& merge : vocabulary.merges) {
    merges.push_back({token(merge.left), token(merge.right)});
  }
  const OrderedJson normalizer = {
      {"type", "Sequence"},
      {"normalizers",
       {{{"type", "NFC"}},
        {{"type", "Replace"}, {"pattern", {{"Regex", "\\s+"}}}, {"content", " "}},
        {{"type", "Lowercase"}}}}};
  const OrderedJson byte_level = {{"type", "ByteLevel"},
                                  {"add_prefix_space", false},
                                  {"trim_offsets", true},
                                  {"use_regex", true}};
  const OrderedJson pre_tokenizer = {{"type", "Sequence"},
                                     {"pretokenizers",
                                      {{{"type", "Split"},
                                        {"pattern", {{"Regex", kSplitPatternWithMarks}}},
                                        {"behavior", "Removed"},
                                        {"invert", true}},
                                       byte_level}}};
  OrderedJson post_processor = {{"type", "RobertaProcessing"}};
  post_processor["sep"] = OrderedJson::array({token(vocabulary.eos_id), vocabulary.eos_id});
  post_processor["cls"] = OrderedJson::array({token(vocabulary.bos_id), vocabulary.bos_id});
  post_processor["trim_offsets"] = false;
  post_processor["add_prefix_space"] = false;
  const OrderedJson unk =
      vocabulary.unk_id < 0 ? OrderedJson(nullptr) : OrderedJson(token(vocabulary.unk_id));
  // The table is written by hand: an ordered object finds its keys one after the other.
  return R"({"version":"1.0","truncation":null,"padding":null,"added_tokens":)" + added.dump() +
         R"(,"normalizer":)" + normalizer.dump() + R"(,"pre_tokenizer":)" + pre_tokenizer.dump() +
         R"(,"post_processor":)" + post_processor.dump() + R"(,"decoder":)" + byte_level.dump() +
         R"(,"model":{"type":"BPE","dropout":null,"unk_token":)" + unk.dump() +
         R"(,"continuing_subword_prefix":"","end_of_word_suffix":"</w>","fuse_unk":false,)"
         R"("byte_fallback":false,"ignore_merges":false,"vocab":{)" +
         table + R"(},"merges":)" + merges.dump() + "}}\n";
}

}  // namespace sam3trt
