#include "text/vocabulary.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <unordered_map>

#include "base/error.hpp"
#include "text/problems.hpp"
#include "text/unicode.hpp"

namespace sam3trt {
namespace {

using Json = nlohmann::json;
using TokenIds = std::unordered_map<std::string_view, int32_t>;

constexpr size_t kMaxFileBytes = size_t{1} << 26;
constexpr size_t kMaxTokens = size_t{1} << 20;
constexpr size_t kMaxAddedTokens = 64;
/// CLIP's vocabulary: 49152 tokens without marks of the text, which are bytes, merges and one
/// spare.
constexpr size_t kMaxListedMerges = 49152 - 256 - 2;

Json parse_json(std::string_view text, const std::string& name) {
  if (text.size() > kMaxFileBytes) {
    throw_bad_input(name + ": " + std::to_string(text.size()) +
                    " bytes are too many for a CLIP "
                    "vocabulary (at most " +
                    std::to_string(kMaxFileBytes) + ")");
  }
  try {
    return Json::parse(text.begin(), text.end());
  } catch (const Json::exception& error) {
    throw_bad_input(name + ": is not valid JSON: " + error.what());
  }
}

/// The value of `key`, or null when the object has none.
const Json& member(const Json& object, const char* key) {
  static const Json kNull;
  if (!object.is_object()) return kNull;
  const auto found = object.find(key);
  return found == object.end() ? kNull : *found;
}

std::string string_or(const Json& value, const std::string& otherwise) {
  return value.is_string() ? value.get<std::string>() : otherwise;
}

/// A short form of a JSON value for messages.
std::string shown(const Json& value) {
  std::string text = value.dump(-1, ' ', true, Json::error_handler_t::replace);
  if (text.size() > 120) text = text.substr(0, 117) + "...";
  return text;
}

bool is_false_or_null(const Json& value) {
  return value.is_null() || (value.is_boolean() && !value.get<bool>());
}

/// Everything of `model` but its tables must be as CLIP has it.
void check_model(const Json& model, Problems& problems) {
  const auto want = [&](const char* key, bool fits, const char* expected) {
    if (!fits) {
      problems.add(std::string("model.") + key + " is " + shown(member(model, key)) +
                   ", expected " + expected);
    }
  };
  const Json& type = member(model, "type");
  want("type", type.is_null() || type == "BPE", "\"BPE\"");
  const Json& prefix = member(model, "continuing_subword_prefix");
  want("continuing_subword_prefix", prefix.is_null() || prefix == Json(""), "\"\"");
  want("end_of_word_suffix", member(model, "end_of_word_suffix") == kEndOfWord, "\"</w>\"");
  const Json& dropout = member(model, "dropout");
  want("dropout", dropout.is_null() || dropout == 0, "null");
  for (const char* key : {"fuse_unk", "byte_fallback", "ignore_merges"}) {
    want(key, is_false_or_null(member(model, key)), "false");
  }
}

void check_normalizer(const Json& normalizer, Problems& problems) {
  const Json& parts = member(normalizer, "normalizers");
  const bool fits = member(normalizer, "type") == "Sequence" && parts.is_array() &&
                    parts.size() == 3 && member(parts[0], "type") == "NFC" &&
                    member(parts[1], "type") == "Replace" &&
                    member(member(parts[1], "pattern"), "Regex") == "\\s+" &&
                    member(parts[1], "content") == " " && member(parts[2], "type") == "Lowercase";
  if (!fits) {
    problems.add("normalizer is " + shown(normalizer) +
                 ", expected CLIP's sequence of NFC, Replace \\s+ by a blank, Lowercase");
  }
}

void check_pre_tokenizer(const Json& pre_tokenizer, Problems& problems) {
  const Json& parts = member(pre_tokenizer, "pretokenizers");
  bool fits = member(pre_tokenizer, "type") == "Sequence" && parts.is_array() && parts.size() == 2;
  if (fits) {
    const Json& pattern = member(member(parts[0], "pattern"), "Regex");
    const Json& use_regex = member(parts[1], "use_regex");
    fits = member(parts[0], "type") == "Split" &&
           (pattern == kSplitPattern || pattern == kSplitPatternWithMarks) &&
           member(parts[0], "behavior") == "Removed" && member(parts[0], "invert") == true &&
           member(parts[1], "type") == "ByteLevel" &&
           is_false_or_null(member(parts[1], "add_prefix_space")) &&
           (use_regex.is_null() || use_regex == true);
  }
  if (!fits) {
    problems.add("pre_tokenizer is " + shown(pre_tokenizer) +
                 ", expected CLIP's sequence of Split and ByteLevel");
  }
}

/// Fills `tokens` from an object of token to id. Ids must be 0 .. size - 1, each once.
void read_tokens(const Json& table, Vocabulary& vocabulary, Problems& problems) {
  if (!table.is_object() || table.empty()) {
    problems.add("the vocabulary is not an object of token to id, or it is empty");
    return;
  }
  const size_t count = table.size();
  if (count > kMaxTokens) {
    problems.add("the vocabulary has " + std::to_string(count) + " tokens, at most " +
                 std::to_string(kMaxTokens) + " are accepted");
    return;
  }
  vocabulary.tokens.assign(count, {});
  std::vector<bool> used(count, false);
  for (const auto& [token, id] : table.items()) {
    // A negative number turns into one that is out of range.
    const uint64_t index = id.is_number_integer() ? id.get<uint64_t>() : count;
    if (index >= count) {
      problems.add("token " + shown(token) + " has the id " + shown(id) + ", expected 0 to " +
                   std::to_string(count - 1));
    } else if (used[index]) {
      problems.add("id " + std::to_string(index) + " belongs to two tokens, " +
                   shown(vocabulary.tokens[index]) + " and " + shown(token));
    } else {
      used[index] = true;
      vocabulary.tokens[index] = token;
    }
  }
  vocabulary.model_size = count;
}

/// The views point into `tokens`, which must not change afterwards.
TokenIds index_tokens(const std::vector<std::string>& tokens) {
  TokenIds ids;
  ids.reserve(tokens.size());
  for (size_t i = 0; i < tokens.size(); ++i) ids.emplace(tokens[i], static_cast<int32_t>(i));
  return ids;
}

void add_merge(std::string_view left, std::string_view right, const TokenIds& ids,
               Vocabulary& vocabulary, Problems& problems) {
  const std::string result = std::string(left).append(right);
  const std::string_view names[] = {left, right, result};
  int32_t found[3] = {};
  for (size_t i = 0; i < 3; ++i) {
    const auto entry = ids.find(names[i]);
    if (entry == ids.end()) {
      problems.add("merge " + std::to_string(vocabulary.merges.size()) + " needs the token " +
                   shown(std::string(names[i])) + ", which the vocabulary lacks");
      return;
    }
    found[i] = entry->second;
  }
  vocabulary.merges.push_back({found[0], found[1], found[2]});
}

/// `rule` is "left right".
void add_merge(std::string_view rule, const TokenIds& ids, Vocabulary& vocabulary,
               Problems& problems) {
  const size_t blank = rule.find(' ');
  if (blank == std::string_view::npos || rule.find(' ', blank + 1) != std::string_view::npos) {
    problems.add("merge " + std::to_string(vocabulary.merges.size()) + " is " +
                 shown(std::string(rule)) + ", expected two tokens with one blank between them");
    return;
  }
  add_merge(rule.substr(0, blank), rule.substr(blank + 1), ids, vocabulary, problems);
}

void read_merges(const Json& merges, const TokenIds& ids, Vocabulary& vocabulary,
                 Problems& problems) {
  if (!merges.is_array()) {
    problems.add("model.merges is not a list");
    return;
  }
  for (const Json& rule : merges) {
    if (problems.full()) return;
    if (rule.is_string()) {
      add_merge(rule.get_ref<const std::string&>(), ids, vocabulary, problems);
    } else if (rule.is_array() && rule.size() == 2 && rule[0].is_string() && rule[1].is_string()) {
      add_merge(rule[0].get_ref<const std::string&>(), rule[1].get_ref<const std::string&>(), ids,
                vocabulary, problems);
    } else {
      problems.add("merge " + std::to_string(vocabulary.merges.size()) + " is " + shown(rule) +
                   ", expected two tokens");
    }
  }
}

/// Tokens that the model's table lacks are appended to it; their ids must continue it.
void read_added_tokens(const Json& added, Vocabulary& vocabulary, Problems& problems) {
  if (added.is_null()) return;
  if (!added.is_array() || added.size() > kMaxAddedTokens) {
    problems.add("added_tokens is not a list of at most " + std::to_string(kMaxAddedTokens) +
                 " entries");
    return;
  }
  for (const Json& entry : added) {
    const std::string content = string_or(member(entry, "content"), "");
    const Json& id = member(entry, "id");
    if (content.empty() || !id.is_number_unsigned()) {
      problems.add("the added token " + shown(entry) + " has no content or no id");
      continue;
    }
    for (const char* key : {"single_word", "lstrip", "rstrip"}) {
      if (!is_false_or_null(member(entry, key))) {
        problems.add("the added token " + shown(content) + " has " + key + ", expected false");
      }
    }
    const auto number = id.get<uint64_t>();
    const auto known = std::find(vocabulary.tokens.begin(), vocabulary.tokens.end(), content);
    const auto expected = static_cast<uint64_t>(known - vocabulary.tokens.begin());
    if (expected == vocabulary.tokens.size()) vocabulary.tokens.push_back(content);
    if (number != expected) {
      problems.add("the added token " + shown(content) + " has the id " + std::to_string(number) +
                   ", expected " + std::to_string(expected));
      continue;
    }
    vocabulary.added.push_back({content, static_cast<int32_t>(number),
                                member(entry, "normalized") == true,
                                member(entry, "special") == true});
  }
}

int32_t find_token(const TokenIds& ids, const std::string& token, const char* role,
                   Problems& problems) {
  const auto found = ids.find(token);
  if (found != ids.end()) return found->second;
  problems.add(std::string("the vocabulary lacks the ") + role + " " + shown(token));
  return 0;
}

/// Marks, the token for unknown bytes, and the ids of all bytes.
void resolve_symbols(const TokenIds& ids, const std::string& bos, const std::string& eos,
                     const std::string& unk, Vocabulary& vocabulary, Problems& problems) {
  vocabulary.bos_id = find_token(ids, bos, "start mark", problems);
  vocabulary.eos_id = find_token(ids, eos, "end mark", problems);
  vocabulary.unk_id = unk.empty() ? -1 : find_token(ids, unk, "unknown token", problems);
  std::string missing;
  for (size_t byte = 0; byte < 256; ++byte) {
    const std::string symbol = byte_symbol(static_cast<uint8_t>(byte));
    const auto id_of = [&](const std::string& token) {
      const auto found = ids.find(token);
      if (found != ids.end()) return found->second;
      if (missing.size() < 100) missing += " " + token;
      return vocabulary.unk_id;
    };
    vocabulary.symbols.inner[byte] = id_of(symbol);
    vocabulary.symbols.last[byte] = id_of(symbol + std::string(kEndOfWord));
  }
  if (!missing.empty() && vocabulary.unk_id < 0) {
    problems.add("the vocabulary lacks bytes and model.unk_token names no token for them:" +
                 missing);
  }
}

}  // namespace

Vocabulary parse_tokenizer_json(std::string_view json, const std::string& name) {
  const Json root = parse_json(json, name);
  Problems problems;
  if (!member(root, "model").is_object()) {
    throw_bad_input(name +
                    ": has no object \"model\"; expected a tokenizer.json of CLIP, or the "
                    "folder where vocab.json lies beside merges.txt");
  }
  const Json& model = member(root, "model");
  check_model(model, problems);
  check_normalizer(member(root, "normalizer"), problems);
  check_pre_tokenizer(member(root, "pre_tokenizer"), problems);
  const Json& post = member(root, "post_processor");
  if (!post.is_null() && member(post, "type") != "RobertaProcessing") {
    problems.add("post_processor is " + shown(post) + ", expected CLIP's RobertaProcessing");
  }
  problems.throw_if_any(name);

  Vocabulary vocabulary;
  read_tokens(member(model, "vocab"), vocabulary, problems);
  read_added_tokens(member(root, "added_tokens"), vocabulary, problems);
  problems.throw_if_any(name);
  const TokenIds ids = index_tokens(vocabulary.tokens);
  read_merges(member(model, "merges"), ids, vocabulary, problems);
  const auto mark = [&](const char* key, std::string_view otherwise) {
    const Json& pair = member(post, key);
    return pair.is_array() && !pair.empty() ? string_or(pair[0], std::string(otherwise))
                                            : std::string(otherwise);
  };
  resolve_symbols(ids, mark("cls", kStartOfText), mark("sep", kEndOfText),
                  string_or(member(model, "unk_token"), ""), vocabulary, problems);
  problems.throw_if_any(name);
  return vocabulary;
}

Vocabulary parse_merges(std::string_view merges_text, const std::string& name) {
  Problems problems;
  std::vector<std::string> rules;
  bool is_first = true;
  while (!merges_text.empty() && rules.size() < kMaxListedMerges) {
    const size_t end = std::min(merges_text.find('\n'), merges_text.size());
    std::string_view line = merges_text.substr(0, end);
    merges_text.remove_prefix(std::min(end + 1, merges_text.size()));
    if (line.ends_with('\r')) line.remove_suffix(1);
    const bool has_version = line.find("#version") != std::string_view::npos;
    if (is_first && !has_version && std::ranges::count(line, ' ') == 1) {
      problems.add("the first line is the merge " + shown(std::string(line)) +
                   ", expected a line with #version before the merges");
      problems.throw_if_any(name);
    }
    if (!is_first && !line.empty()) rules.emplace_back(line);
    is_first = false;
  }
  if (rules.empty()) problems.add("no merges, expected two tokens a line");
  problems.throw_if_any(name);

  Vocabulary vocabulary;
  std::vector<std::string> symbols;
  for (const bool stands_for_itself : {true, false}) {
    for (int byte = 0; byte < 256; ++byte) {
      const std::string symbol = byte_symbol(static_cast<uint8_t>(byte));
      const bool is_own = symbol.size() == 1 || symbol < byte_symbol(0);
      if (is_own == stands_for_itself) symbols.push_back(symbol);
    }
  }
  vocabulary.tokens = symbols;
  for (const std::string& symbol : symbols) {
    vocabulary.tokens.push_back(symbol + std::string(kEndOfWord));
  }
  for (std::string rule : rules) {
    std::erase(rule, ' ');
    vocabulary.tokens.push_back(rule);
  }
  vocabulary.tokens.emplace_back(kStartOfText);
  vocabulary.tokens.emplace_back(kEndOfText);
  vocabulary.model_size = vocabulary.tokens.size();
  const TokenIds ids = index_tokens(vocabulary.tokens);
  if (ids.size() != vocabulary.tokens.size()) problems.add("a token appears twice");
  for (const std::string& rule : rules) {
    if (problems.full()) break;
    add_merge(rule, ids, vocabulary, problems);
  }
  const std::string end_mark(kEndOfText);
  resolve_symbols(ids, std::string(kStartOfText), end_mark, end_mark, vocabulary, problems);
  problems.throw_if_any(name);
  vocabulary.added = {{std::string(kStartOfText), vocabulary.bos_id, false, true},
                      {end_mark, vocabulary.eos_id, false, true}};
  return vocabulary;
}

Vocabulary parse_vocab_and_merges(std::string_view vocab_json, std::string_view merges_text,
                                  const std::string& name) {
  const std::string vocab_name = name + "/vocab.json";
  const Json table = parse_json(vocab_json, vocab_name);
  Problems problems;
  Vocabulary vocabulary;
  read_tokens(table, vocabulary, problems);
  problems.throw_if_any(vocab_name);
  const TokenIds ids = index_tokens(vocabulary.tokens);
  const std::string end_mark(kEndOfText);
  resolve_symbols(ids, std::string(kStartOfText), end_mark, end_mark, vocabulary, problems);
  problems.throw_if_any(vocab_name);
  vocabulary.added = {{std::string(kStartOfText), vocabulary.bos_id, false, true},
                      {end_mark, vocabulary.eos_id, false, true}};

  while (!merges_text.empty() && !problems.full()) {
    const size_t end = std::min(merges_text.find('\n'), merges_text.size());
    std::string_view line = merges_text.substr(0, end);
    merges_text.remove_prefix(std::min(end + 1, merges_text.size()));
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.empty() || line.starts_with("#version")) continue;
    add_merge(line, ids, vocabulary, problems);
  }
  problems.throw_if_any(name + "/merges.txt");
  return vocabulary;
}

}  // namespace sam3trt
