#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace sam3trt {

/// Token ids of one text, padded to the context length, and which of them are valid.
struct EncodedText {
  std::vector<int64_t> ids;
  std::vector<float> mask;  ///< 1 for start mark, text and end mark; 0 for padding.
};

/// CLIP's byte-level byte-pair encoding as `CLIPTokenizerFast` of transformers 5 does it: added
/// tokens are found first, in the raw text; then NFC, white space collapsed, lower case, split into
/// words, `</w>` suffixes. Character classes and NFC are those of the linked ICU: a character that
/// only a newer or only an older Unicode version knows may be split in another way.
class Tokenizer {
 public:
  /// Reads `tokenizer.json` of a folder, or its `vocab.json` and `merges.txt`; `path` may also name
  /// a tokenizer JSON file itself. Throws Error(kBadInput).
  static Tokenizer load(const std::filesystem::path& path);

  /// Reads the text of a tokenizer JSON file; `name` appears in messages.
  static Tokenizer from_json(std::string_view json, const std::string& name);

  Tokenizer(Tokenizer&&) noexcept;
  Tokenizer& operator=(Tokenizer&&) noexcept;
  ~Tokenizer();

  /// Start mark, the text's tokens cut to `context_length` - 2, end mark, padding with `pad_id`.
  /// Invalid UTF-8 is an Error(kBadInput).
  [[nodiscard]] EncodedText encode(std::string_view text, size_t context_length,
                                   int64_t pad_id) const;

  /// Ids of the text alone: no marks, not cut, not padded.
  [[nodiscard]] std::vector<int64_t> encode_plain(std::string_view text) const;

  [[nodiscard]] int64_t bos_id() const;
  [[nodiscard]] int64_t eos_id() const;
  [[nodiscard]] size_t vocabulary_size() const;

  /// The same tokenizer as a `tokenizer.json` that load() and Hugging Face's tokenizers read;
  /// deterministic bytes.
  [[nodiscard]] std::string to_json() const;

 private:
  struct State;
  explicit Tokenizer(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace sam3trt
