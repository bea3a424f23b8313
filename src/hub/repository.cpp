#include "hub/repository.hpp"

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>

#include "base/foreign_file.hpp"

namespace sam3trt {
namespace {

constexpr size_t kLargestListing = size_t{4} * 1024 * 1024;
constexpr uint64_t kLargestFile = uint64_t{1} << 40U;
constexpr size_t kLongestName = 200;
constexpr size_t kCommitDigits = 40;

bool is_name_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
         c == '_' || c == '-';
}

bool is_repository_name(const std::string& repo) {
  const size_t slash = repo.find('/');
  return slash != std::string::npos && is_plain_file_name(repo.substr(0, slash)) &&
         is_plain_file_name(repo.substr(slash + 1));
}

bool is_commit(const std::string& text) {
  return text.size() == kCommitDigits && std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
         });
}

/// What the server wrote about an error, fit for one line; "" when it wrote nothing.
std::string server_message(const HubResponse& response) {
  constexpr size_t kLongest = 200;
  std::string text = response.header("x-error-message").substr(0, kLongest);
  std::replace_if(
      text.begin(), text.end(), [](char c) { return c < ' ' || c > '~'; }, '?');
  return text.empty() ? "" : " (the server says: " + text + ")";
}

std::optional<uint64_t> parsed_size(const std::string& text) {
  uint64_t size = 0;
  const char* end = text.data() + text.size();
  const auto result = std::from_chars(text.data(), end, size);
  if (result.ec != std::errc() || result.ptr != end || size > kLargestFile) return std::nullopt;
  return size;
}

}  // namespace

bool is_plain_file_name(const std::string& name) {
  return !name.empty() && name.size() <= kLongestName && name.front() != '.' &&
         std::all_of(name.begin(), name.end(), is_name_character);
}

Repository::Repository(RepositoryName name, const HubToken& token, HttpClient& client)
    : name_(std::move(name)), token_(token), client_(client) {
  if (!is_repository_name(name_.repo)) {
    throw_bad_input("--repo '" + name_.repo + "': expected OWNER/NAME, such as facebook/sam3");
  }
  if (name_.revision.empty() || name_.revision.size() > kLongestName) {
    throw_bad_input("--revision '" + name_.revision + "': expected a branch, tag or commit");
  }
}

std::string Repository::gated_message(const HubResponse& response) const {
  const long status = response.status;
  const std::string page = name_.endpoint + "/" + name_.repo;
  if (!token_.value.empty() && !response.url.empty() &&
      !keeps_token(name_.endpoint, response.url)) {
    const std::string target = server_of(response.url);
    return name_.repo + " is gated, and " + name_.endpoint + " (HF_ENDPOINT) redirects to " +
           target + ", to which the token from " + token_.source +
           " is not sent; set HF_ENDPOINT=" + target + " if that is the hub to trust with it";
  }
  if (status == 403) {
    return name_.repo + " is gated and the account of the token from " + token_.source +
           " has no access yet: accept the licence on " + page +
           ", wait for the approval if it is asked for, and allow a fine-grained token to read "
           "gated repositories";
  }
  if (token_.value.empty()) {
    return name_.repo + " is gated: accept the licence on " + page + ", create a token on " +
           name_.endpoint + "/settings/tokens and give it with --token or HF_TOKEN";
  }
  return "the token from " + token_.source + " is not accepted for " + name_.repo +
         ": create a new one on " + name_.endpoint +
         "/settings/tokens and give it with --token or HF_TOKEN";
}

void Repository::check(const HubResponse& response, const std::string& what) const {
  if (response.status == 200 || response.status == 206) return;
  const std::string code = response.header("x-error-code");
  const std::string said = server_message(response);
  if (code == "EntryNotFound") {
    throw_bad_input(what + ": " + name_.repo + " has no such file at revision " + name_.revision +
                    said);
  }
  if (code == "RevisionNotFound") {
    throw_bad_input("--revision " + name_.revision + ": " + name_.repo +
                    " has no such branch, tag or commit" + said);
  }
  // The hub answers 401, not 404, for a repository that does not exist when no token is given.
  const bool other_server =
      !token_.value.empty() && !response.url.empty() && !keeps_token(name_.endpoint, response.url);
  if (response.status == 401 && other_server) throw_bad_input(gated_message(response) + said);
  if (response.status == 404 || code == "RepoNotFound") {
    throw_bad_input("--repo " + name_.repo + ": " + name_.endpoint +
                    " has no such repository or revision " + name_.revision +
                    ", or it is private: correct the name, or give a token with access" + said);
  }
  if (response.status == 401 || response.status == 403) {
    throw_bad_input(gated_message(response) + said);
  }
  const std::string status =
      what + ": the server answered with status " + std::to_string(response.status) + said;
  if (response.status == 429 || response.status >= 500) throw ConnectionError(status);
  throw Error(ErrorCode::kInternal, status + "; check HF_ENDPOINT");
}

void Repository::open() {
  const std::string url =
      name_.endpoint + "/api/models/" + name_.repo + "/revision/" + percent_encoded(name_.revision);
  const HubResponse response = client_.get(url, kLargestListing);
  check(response, url);
  const auto fail = [&](const std::string& what) {
    throw Error(ErrorCode::kInternal, url + ": " + what + "; check HF_ENDPOINT");
  };
  const auto document = nlohmann::json::parse(response.body, nullptr, false);
  if (!document.is_object()) {
    const auto bytes = std::as_bytes(std::span(response.body));
    const bool page = foreign_content(bytes) == ForeignContent::kWebPage;
    fail(std::string("expected a JSON object, found ") +
         (page ? "a web page, such as a sign-in page" : "something else"));
  }
  const auto sha = document.find("sha");
  if (sha == document.end() || !sha->is_string() || !is_commit(sha->get<std::string>())) {
    fail("'sha' is not a commit");
  }
  commit_ = sha->get<std::string>();
  const auto siblings = document.find("siblings");
  if (siblings == document.end() || !siblings->is_array())
    fail("'siblings' is not a list of files");
  files_.clear();
  for (const auto& entry : *siblings) {
    if (!entry.is_object()) continue;
    const auto name = entry.find("rfilename");
    if (name == entry.end() || !name->is_string()) continue;
    std::string text = name->get<std::string>();
    if (is_plain_file_name(text)) files_.push_back(std::move(text));
  }
}

RemoteFile Repository::find(const std::string& file) {
  RemoteFile remote;
  remote.name = file;
  remote.url = name_.endpoint + "/" + name_.repo + "/resolve/" + commit_ + "/" + file;
  const HubResponse response = client_.head(remote.url);
  const bool elsewhere = response.status >= 300 && response.status < 400;
  if (!elsewhere) check(response, file);
  const std::string linked = response.header("x-linked-size");
  const std::string size =
      linked.empty() && !elsewhere ? response.header("content-length") : linked;
  const auto parsed = parsed_size(size);
  if (!parsed) {
    throw Error(ErrorCode::kInternal, file + ": the server announces the size '" +
                                          size.substr(0, kLongestName) +
                                          "', which is not a number; check HF_ENDPOINT");
  }
  remote.size = *parsed;
  const std::string etag = response.header("x-linked-etag");
  remote.digest = digest_from_etag(etag.empty() && !elsewhere ? response.header("etag") : etag);
  return remote;
}

}  // namespace sam3trt
