#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/semantics.hpp"

namespace sam3trt {

struct Vocabulary;

/// Token ids of one text, padded to the context length, and which of them are valid.
struct EncodedText {
  std::vector<int64_t> ids;
  std::vector<float> mask;  ///< 1 for tokens that take part in attention, 0 for the others.
  size_t tokens = 0;        ///< With both marks, before anything was cut.
  std::string cut_off;      ///< What did not fit into the context, as text; usually empty.
};

/// CLIP's byte-level byte-pair encoding.
///
/// Under Semantics::kHf as `CLIPTokenizerFast` of transformers 5 does it: added tokens are found
/// first, in the raw text; then NFC, white space collapsed, lower case, split into words, `</w>`
/// suffixes. Under Semantics::kMeta as the SimpleTokenizer of sam3 0.1.4 does it: cleaned
/// (text/meta_text.hpp), then "<start_of_text>" and "<end_of_text>" are the marks and no other
/// added token is known. Character classes, NFC and lower case are those of the linked ICU: a
/// character that only a newer or only an older Unicode version knows may be split in another way.
class Tokenizer {
 public:
  /// Reads the tokenizer of a folder: `tokenizer.json`, or `vocab.json` and `merges.txt`, or
  /// `bpe_simple_vocab_16e6.txt.gz`, also unpacked. `path` may also name such a file itself, except
  /// `vocab.json`. Throws Error(kBadInput) that says which files are wanted.
  static Tokenizer load(const std::filesystem::path& path);

  /// Whether load() finds the files that it reads in this folder.
  [[nodiscard]] static bool is_in(const std::filesystem::path& folder);

  /// Reads the text of a tokenizer JSON file; `name` appears in messages.
  static Tokenizer from_json(std::string_view json, const std::string& name);

  /// Reads a list of merges as CLIP's `bpe_simple_vocab_16e6.txt.gz` is one, packed with gzip or
  /// not: the vocabulary follows from it. `name` appears in messages.
  static Tokenizer from_merges(std::string_view bytes, const std::string& name);

  Tokenizer(Tokenizer&&) noexcept;
  Tokenizer& operator=(Tokenizer&&) noexcept;
  ~Tokenizer();

  /// Start mark, the text's tokens, end mark, padding with `pad_id`. A text of more than
  /// `context_length` tokens is an Error(kBadInput) under Semantics::kHf, as in transformers, and
  /// cut before the end mark under Semantics::kMeta, whose mask also takes every token that equals
  /// the padding for padding, as Meta's VETextEncoder does. Invalid UTF-8 is an Error(kBadInput).
  [[nodiscard]] EncodedText encode(std::string_view text, size_t context_length, int64_t pad_id,
                                   Semantics semantics) const;

  /// Ids of the text alone: no marks, not cut, not padded.
  [[nodiscard]] std::vector<int64_t> encode_plain(std::string_view text, Semantics semantics) const;

  /// The text that tokens stand for, one blank after each word but the last.
  [[nodiscard]] std::string decode(std::span<const int64_t> ids) const;

  [[nodiscard]] int64_t bos_id() const;
  [[nodiscard]] int64_t eos_id() const;
  [[nodiscard]] size_t vocabulary_size() const;

  /// The same tokenizer as a `tokenizer.json` that load() and Hugging Face's tokenizers read;
  /// deterministic bytes.
  [[nodiscard]] std::string to_json() const;

 private:
  struct State;
  static Tokenizer from_vocabulary(Vocabulary vocabulary);
  explicit Tokenizer(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace sam3trt
