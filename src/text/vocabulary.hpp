#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "text/byte_pairs.hpp"

namespace sam3trt {

/// A token that is looked for in the text before anything is split.
struct AddedToken {
  std::string content;
  int32_t id = 0;
  bool normalized = false;  ///< Looked for after lower-casing instead of in the raw text.
  bool special = true;
};

/// What the files of a tokenizer say, checked: ids are dense, all merges are known.
struct Vocabulary {
  std::vector<std::string> tokens;  ///< By id.
  size_t model_size = 0;            ///< Tokens below this id belong to the model, others are added.
  std::vector<Merge> merges;        ///< By rank.
  std::vector<AddedToken> added;
  int32_t bos_id = 0;
  int32_t eos_id = 0;
  int32_t unk_id = -1;  ///< For bytes the vocabulary lacks; -1 when it lacks none.
  BytePairs::Symbols symbols;
};

/// Reads Hugging Face's tokenizer JSON. `name` appears in messages. Only CLIP's model, normalizer
/// and pre-tokenizer are accepted. Throws Error(kBadInput).
[[nodiscard]] Vocabulary parse_tokenizer_json(std::string_view json, const std::string& name);

/// Reads `vocab.json` and `merges.txt`; the marks are "<|startoftext|>" and "<|endoftext|>".
[[nodiscard]] Vocabulary parse_vocab_and_merges(std::string_view vocab_json,
                                                std::string_view merges_text,
                                                const std::string& name);

/// Reads the unpacked list of merges that CLIP's SimpleTokenizer reads: a first line with a
/// version, which is skipped, then "left right" a line, of which at most 48894 count. Ids are those
/// of the bytes in the order of their symbols, the bytes at the ends of words, the merges, and the
/// marks.
[[nodiscard]] Vocabulary parse_merges(std::string_view merges_text, const std::string& name);

/// The inverse of parse_tokenizer_json.
[[nodiscard]] std::string write_tokenizer_json(const Vocabulary& vocabulary);

inline constexpr std::string_view kEndOfWord = "</w>";
inline constexpr std::string_view kStartOfText = "<|startoftext|>";
inline constexpr std::string_view kEndOfText = "<|endoftext|>";

/// CLIPTokenizerFast's splitting expression (transformers 5, tokenization_clip.py) without and with
/// the marks; published files have either.
inline constexpr std::string_view kSplitPattern =
    R"('s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+)";
inline constexpr std::string_view kSplitPatternWithMarks =
    R"(<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+)";

}  // namespace sam3trt
