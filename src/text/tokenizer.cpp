#include "text/tokenizer.hpp"

#include <algorithm>
#include <utility>

#include "base/error.hpp"
#include "text/byte_pairs.hpp"
#include "text/meta_text.hpp"
#include "text/unicode.hpp"
#include "text/vocabulary.hpp"

namespace sam3trt {
namespace {

constexpr std::u32string_view kRawMarks[] = {U"<|startoftext|>", U"<|endoftext|>"};
constexpr std::u32string_view kMetaMarks[] = {U"<start_of_text>", U"<end_of_text>"};
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

/// Whether `text` starts with `prefix`. Meta's expression ignores case, and in a text in lower case
/// the long s is what an "s" of the expression meets beside "s" itself.
bool starts_with(std::u32string_view text, std::u32string_view prefix, Semantics semantics) {
  if (semantics == Semantics::kHf) return text.starts_with(prefix);
  constexpr char32_t kLongS = 0x17F;
  return text.size() >= prefix.size() && std::equal(prefix.begin(), prefix.end(), text.begin(),
                                                    [](char32_t wanted, char32_t found) {
                                                      return wanted == found ||
                                                             (wanted == U's' && found == kLongS);
                                                    });
}

/// Length of the first of `prefixes` that `text` starts with; 0 when it starts with none.
size_t prefix_length(std::u32string_view text, std::span<const std::u32string_view> prefixes,
                     Semantics semantics) {
  for (const std::u32string_view prefix : prefixes) {
    if (starts_with(text, prefix, semantics)) return prefix.size();
  }
  return 0;
}

/// Splits normalized text into words as kSplitPatternWithMarks (or Meta's expression) does and
/// hands each to `on_word`, and each mark to `on_mark`.
template <typename OnWord, typename OnMark>
void split_words(std::u32string_view text, Semantics semantics, OnWord on_word, OnMark on_mark) {
  const std::span<const std::u32string_view> marks =
      semantics == Semantics::kHf ? std::span(kRawMarks) : std::span(kMetaMarks);
  for (size_t i = 0; i < text.size();) {
    const std::u32string_view rest = text.substr(i);
    if (const size_t length = prefix_length(rest, marks, semantics); length > 0) {
      on_mark(rest.substr(0, length));
      i += length;
      continue;
    }
    size_t end = i + prefix_length(rest, kContractions, semantics);
    const CharClass kind = char_class(text[i]);
    if (end == i) {
      const bool is_run = kind == CharClass::kLetter || kind == CharClass::kOther;
      end = is_run ? run_end(text, i, kind) : i + 1;
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

  [[nodiscard]] std::vector<int64_t> encode_hf(std::string_view text) const {
    std::vector<int64_t> ids;
    const auto on_token = [&ids](int32_t id) { ids.push_back(id); };
    const auto on_word = [&](std::u32string_view word) { pairs.encode(encode_utf8(word), ids); };
    const auto on_mark = [&](std::u32string_view mark) {
      // The byte-level step after the split has an expression of its own that parts "<|" and "|>".
      on_word(mark.substr(0, 2));
      on_word(mark.substr(2, mark.size() - 4));
      on_word(mark.substr(mark.size() - 2));
    };
    const auto on_rest = [&](std::u32string_view rest) {
      split_words(rest, Semantics::kHf, on_word, on_mark);
    };
    const auto on_text = [&](std::u32string_view part) {
      split_at(clip_normalize(part), normalized_patterns, on_rest, on_token);
    };
    split_at(decode_utf8(text), raw_patterns, on_text, on_token);
    return ids;
  }

  [[nodiscard]] std::vector<int64_t> encode_meta(std::string_view text) const {
    std::vector<int64_t> ids;
    const auto on_word = [&](std::u32string_view word) { pairs.encode(encode_utf8(word), ids); };
    const auto on_mark = [&](std::u32string_view mark) {
      if (mark == kMetaMarks[0]) {
        ids.push_back(vocabulary.bos_id);
      } else if (mark == kMetaMarks[1]) {
        ids.push_back(vocabulary.eos_id);
      } else {
        on_word(mark);
      }
    };
    split_words(decode_utf8(clean_meta_text(text)), Semantics::kMeta, on_word, on_mark);
    return ids;
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

Tokenizer Tokenizer::from_vocabulary(Vocabulary vocabulary) {
  return Tokenizer(std::make_unique<State>(std::move(vocabulary)));
}

std::vector<int64_t> Tokenizer::encode_plain(std::string_view text, Semantics semantics) const {
  return semantics == Semantics::kHf ? state_->encode_hf(text) : state_->encode_meta(text);
}

EncodedText Tokenizer::encode(std::string_view text, size_t context_length, int64_t pad_id,
                              Semantics semantics) const {
  if (context_length < 2) {
    throw_bad_input("a context of " + std::to_string(context_length) +
                    " tokens has no room for the start and end marks; at least 2 are needed");
  }
  std::vector<int64_t> words = encode_plain(text, semantics);
  EncodedText result;
  result.tokens = words.size() + 2;
  if (result.tokens > context_length) {
    result.cut_off = decode(std::span(words).subspan(context_length - 2));
    // The cut may part a character.
    const auto is_further = [](char c) { return (static_cast<uint8_t>(c) & 0xC0) == 0x80; };
    const auto first = std::ranges::find_if_not(result.cut_off, is_further);
    result.cut_off.erase(result.cut_off.begin(), first);
    words.resize(context_length - 2);
    if (semantics == Semantics::kHf) {
      throw_bad_input("the text " + in_quotes(text) + " has " + std::to_string(result.tokens) +
                      " tokens with its start and end marks, the text encoder takes " +
                      std::to_string(context_length) + "; too much is " +
                      in_quotes(result.cut_off) + "; shorten the text");
    }
  }
  result.ids.reserve(context_length);
  result.ids.push_back(bos_id());
  result.ids.insert(result.ids.end(), words.begin(), words.end());
  result.ids.push_back(eos_id());
  result.mask.assign(result.ids.size(), 1.0F);
  result.ids.resize(context_length, pad_id);
  result.mask.resize(context_length, 0.0F);
  if (semantics == Semantics::kMeta) {
    std::ranges::transform(result.ids, result.mask.begin(),
                           [&](int64_t id) { return id == pad_id ? 0.0F : 1.0F; });
  }
  return result;
}

std::string Tokenizer::decode(std::span<const int64_t> ids) const {
  std::string symbols;
  for (const int64_t id : ids) {
    std::string token = state_->vocabulary.tokens.at(static_cast<size_t>(id));
    if (token.ends_with(kEndOfWord)) {
      token.replace(token.size() - kEndOfWord.size(), kEndOfWord.size(), " ");
    }
    symbols += token;
  }
  if (symbols.ends_with(' ')) symbols.pop_back();
  return symbol_bytes(symbols);
}

int64_t Tokenizer::bos_id() const { return state_->vocabulary.bos_id; }
int64_t Tokenizer::eos_id() const { return state_->vocabulary.eos_id; }
size_t Tokenizer::vocabulary_size() const { return state_->vocabulary.tokens.size(); }
std::string Tokenizer::to_json() const { return write_tokenizer_json(state_->vocabulary); }

}  // namespace sam3trt
