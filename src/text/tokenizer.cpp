#include "text/tokenizer.hpp"

#include <algorithm>
#include <utility>

#include "base/error.hpp"
#include "base/mapped_file.hpp"
#include "text/byte_pairs.hpp"
#include "text/unicode.hpp"
#include "text/vocabulary.hpp"

namespace sam3trt {
namespace {

constexpr std::u32string_view kRawMarks[] = {U"<|startoftext|>", U"<|endoftext|>"};
constexpr std::u32string_view kContractions[] = {U"'s", U"'t",  U"'re", U"'ve",
                                                 U"'m", U"'ll", U"'d"};

struct Pattern {
  std::u32string content;
  int32_t id = 0;
};

/// Cuts `text` at the patterns (leftmost, then longest) and hands the parts between and the ids of
/// the matches to the two functions in their order.
template <typename OnText, typename OnToken>
void split_at(std::u32string_view text, const std::vector<Pattern>& patterns, OnText on_text,
              OnToken on_token) {
  size_t start = 0;
  for (size_t i = 0; i < text.size();) {
    const Pattern* best = nullptr;
    for (const Pattern& pattern : patterns) {
      if (text.substr(i).starts_with(pattern.content) &&
          (best == nullptr || pattern.content.size() > best->content.size())) {
        best = &pattern;
      }
    }
    if (best == nullptr) {
      ++i;
      continue;
    }
    if (i > start) on_text(text.substr(start, i - start));
    on_token(best->id);
    i += best->content.size();
    start = i;
  }
  if (start < text.size()) on_text(text.substr(start));
}

/// End of the run of characters of one class that starts at `i`.
size_t run_end(std::u32string_view text, size_t i, CharClass kind) {
  while (i < text.size() && char_class(text[i]) == kind) ++i;
  return i;
}

/// Splits normalized text into words as kSplitPatternWithMarks does and hands each to `on_word`.
template <typename OnWord>
void split_words(std::u32string_view text, OnWord on_word) {
  const auto starts_with = [&](size_t i, std::u32string_view prefix) {
    return text.substr(i).starts_with(prefix);
  };
  for (size_t i = 0; i < text.size();) {
    const auto mark = std::find_if(std::begin(kRawMarks), std::end(kRawMarks),
                                   [&](std::u32string_view m) { return starts_with(i, m); });
    if (mark != std::end(kRawMarks)) {
      // The byte-level step after the split has an expression of its own that parts "<|" and "|>".
      on_word(mark->substr(0, 2));
      on_word(mark->substr(2, mark->size() - 4));
      on_word(mark->substr(mark->size() - 2));
      i += mark->size();
      continue;
    }
    const auto suffix = std::find_if(std::begin(kContractions), std::end(kContractions),
                                     [&](std::u32string_view c) { return starts_with(i, c); });
    size_t end = i + 1;
    const CharClass kind = char_class(text[i]);
    if (suffix != std::end(kContractions)) {
      end = i + suffix->size();
    } else if (kind == CharClass::kLetter || kind == CharClass::kOther) {
      end = run_end(text, i, kind);
    }
    if (kind != CharClass::kSpace) on_word(text.substr(i, end - i));
    i = end;
  }
}

}  // namespace

struct Tokenizer::State {
  explicit State(Vocabulary v)
      : vocabulary(std::move(v)), pairs(vocabulary.symbols, vocabulary.merges) {
    for (const AddedToken& token : vocabulary.added) {
      const std::u32string content = decode_utf8(token.content);
      if (token.normalized) {
        normalized_patterns.push_back({clip_normalize(content), token.id});
      } else {
        raw_patterns.push_back({content, token.id});
      }
    }
  }

  Vocabulary vocabulary;
  BytePairs pairs;
  std::vector<Pattern> raw_patterns;
  std::vector<Pattern> normalized_patterns;
};

Tokenizer::Tokenizer(std::unique_ptr<State> state) : state_(std::move(state)) {}
Tokenizer::Tokenizer(Tokenizer&&) noexcept = default;
Tokenizer& Tokenizer::operator=(Tokenizer&&) noexcept = default;
Tokenizer::~Tokenizer() = default;

Tokenizer Tokenizer::load(const std::filesystem::path& path) {
  const auto text_of = [](const MappedFile& file) {
    return std::string_view(reinterpret_cast<const char*>(file.bytes().data()),
                            file.bytes().size());
  };
  std::filesystem::path json_path = path;
  std::error_code ignored;  // what cannot be looked at is reported when it is read
  if (std::filesystem::is_directory(path, ignored)) {
    json_path = path / "tokenizer.json";
    const auto vocab_path = path / "vocab.json";
    const auto merges_path = path / "merges.txt";
    if (!std::filesystem::exists(json_path, ignored)) {
      if (!std::filesystem::exists(vocab_path, ignored) ||
          !std::filesystem::exists(merges_path, ignored)) {
        throw_bad_input(path.string() +
                        ": holds neither tokenizer.json nor vocab.json with merges.txt; name the "
                        "folder of a CLIP tokenizer, for example that of facebook/sam3");
      }
      const MappedFile vocab(vocab_path);
      const MappedFile merges(merges_path);
      return Tokenizer(std::make_unique<State>(
          parse_vocab_and_merges(text_of(vocab), text_of(merges), path.string())));
    }
  }
  const MappedFile file(json_path);
  return from_json(text_of(file), json_path.string());
}

Tokenizer Tokenizer::from_json(std::string_view json, const std::string& name) {
  return Tokenizer(std::make_unique<State>(parse_tokenizer_json(json, name)));
}

std::vector<int64_t> Tokenizer::encode_plain(std::string_view text) const {
  std::vector<int64_t> ids;
  const auto on_token = [&ids](int32_t id) { ids.push_back(id); };
  const auto on_word = [&](std::u32string_view word) {
    state_->pairs.encode(encode_utf8(word), ids);
  };
  split_at(
      decode_utf8(text), state_->raw_patterns,
      [&](std::u32string_view part) {
        split_at(
            clip_normalize(part), state_->normalized_patterns,
            [&](std::u32string_view rest) { split_words(rest, on_word); }, on_token);
      },
      on_token);
  return ids;
}

EncodedText Tokenizer::encode(std::string_view text, size_t context_length, int64_t pad_id) const {
  if (context_length < 2) {
    throw_bad_input("a context of " + std::to_string(context_length) +
                    " tokens has no room for the start and end marks; at least 2 are needed");
  }
  std::vector<int64_t> words = encode_plain(text);
  words.resize(std::min(words.size(), context_length - 2));
  EncodedText result;
  result.ids.reserve(context_length);
  result.ids.push_back(bos_id());
  result.ids.insert(result.ids.end(), words.begin(), words.end());
  result.ids.push_back(eos_id());
  result.mask.assign(result.ids.size(), 1.0F);
  result.ids.resize(context_length, pad_id);
  result.mask.resize(context_length, 0.0F);
  return result;
}

int64_t Tokenizer::bos_id() const { return state_->vocabulary.bos_id; }
int64_t Tokenizer::eos_id() const { return state_->vocabulary.eos_id; }
size_t Tokenizer::vocabulary_size() const { return state_->vocabulary.tokens.size(); }
std::string Tokenizer::to_json() const { return write_tokenizer_json(state_->vocabulary); }

}  // namespace sam3trt
