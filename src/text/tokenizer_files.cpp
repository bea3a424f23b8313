#include <string>
#include <system_error>

#include "base/error.hpp"
#include "base/mapped_file.hpp"
#include "text/gzip.hpp"
#include "text/tokenizer.hpp"
#include "text/vocabulary.hpp"

namespace sam3trt {
namespace {

namespace fs = std::filesystem;

// The list of merges that CLIP's and SAM 3's repositories ship, and the same unpacked.
constexpr const char* kMergeFiles[] = {"bpe_simple_vocab_16e6.txt.gz", "bpe_simple_vocab_16e6.txt"};
/// CLIP's list has 3.2 MB when unpacked.
constexpr size_t kMostMergeBytes = size_t{1} << 24;

constexpr const char* kWanted =
    "expected tokenizer.json, vocab.json with merges.txt, or bpe_simple_vocab_16e6.txt.gz of "
    "CLIP's "
    "tokenizer, for example the files of facebook/sam3";

std::string_view text_of(const MappedFile& file) {
  return {reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size()};
}

/// Whether there is something of that name; not when that cannot be found out.
bool is_there(const fs::path& path) {
  std::error_code ignored;
  return fs::exists(path, ignored);
}

bool has_vocab_and_merges(const fs::path& folder) {
  return is_there(folder / "vocab.json") && is_there(folder / "merges.txt");
}

/// The file of the folder that says all; an empty path without one.
fs::path single_file(const fs::path& folder) {
  if (is_there(folder / "tokenizer.json")) return folder / "tokenizer.json";
  if (has_vocab_and_merges(folder)) return {};
  for (const char* name : kMergeFiles) {
    if (is_there(folder / name)) return folder / name;
  }
  return {};
}

bool starts_as_json(std::string_view text) {
  const size_t first = text.find_first_not_of(" \t\r\n");
  return first != std::string_view::npos && text[first] == '{';
}

/// The first line of a list of merges names the version of its format.
bool starts_as_merges(std::string_view text) {
  return text.substr(0, text.find('\n')).find("#version") != std::string_view::npos;
}

}  // namespace

bool Tokenizer::is_in(const fs::path& folder) {
  return has_vocab_and_merges(folder) || !single_file(folder).empty();
}

Tokenizer Tokenizer::load(const fs::path& path) {
  fs::path single = path;
  std::error_code ignored;
  if (fs::is_directory(path, ignored)) {
    single = single_file(path);
    if (single.empty() && !has_vocab_and_merges(path)) {
      throw_bad_input(path.string() + ": holds no tokenizer; " + kWanted);
    }
    if (single.empty()) {
      const MappedFile vocab(path / "vocab.json");
      const MappedFile merges(path / "merges.txt");
      return from_vocabulary(
          parse_vocab_and_merges(text_of(vocab), text_of(merges), path.string()));
    }
  }
  const MappedFile file(single);
  const std::string_view text = text_of(file);
  if (is_gzip(text) || starts_as_merges(text)) return from_merges(text, single.string());
  if (!starts_as_json(text)) throw_bad_input(single.string() + ": is not a tokenizer; " + kWanted);
  return from_json(text, single.string());
}

Tokenizer Tokenizer::from_json(std::string_view json, const std::string& name) {
  return from_vocabulary(parse_tokenizer_json(json, name));
}

Tokenizer Tokenizer::from_merges(std::string_view bytes, const std::string& name) {
  if (!is_gzip(bytes)) {
    if (bytes.size() > kMostMergeBytes) {
      throw_bad_input(name + ": " + std::to_string(bytes.size()) +
                      " bytes are too many for a list of merges");
    }
    return from_vocabulary(parse_merges(bytes, name));
  }
  return from_vocabulary(parse_merges(unpack_gzip(bytes, kMostMergeBytes, name), name));
}

}  // namespace sam3trt
