#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "hub/digest.hpp"
#include "hub/http.hpp"
#include "hub/token.hpp"

namespace sam3trt {

/// A model repository at one revision.
struct RepositoryName {
  std::string endpoint;  ///< "https://host", without a slash at the end.
  std::string repo;      ///< "owner/name".
  std::string revision;  ///< Branch, tag or commit.
};

/// One file of a repository as the hub announces it.
struct RemoteFile {
  std::string name;
  std::string url;
  uint64_t size = 0;
  Digest digest;
};

/// A model repository on a server with the hub's HTTP interface. Every failure is an Error whose
/// message says what to do: accept the licence, give a token, correct a name.
class Repository {
 public:
  /// Throws Error(kBadInput) when a name is malformed. `client` must be one for that endpoint.
  Repository(RepositoryName name, const HubToken& token, HttpClient& client);

  /// Asks for the list of files and for the commit that the revision stands for.
  void open();

  /// 40 hexadecimal digits; known after open().
  [[nodiscard]] const std::string& commit() const { return commit_; }

  /// Names of the files at the top level; known after open().
  [[nodiscard]] const std::vector<std::string>& files() const { return files_; }

  /// Size and digest of a file of that commit.
  [[nodiscard]] RemoteFile find(const std::string& file);

  /// Throws what a response other than 200 and 206 to a request for `what` means.
  void check(const HubResponse& response, const std::string& what) const;

 private:
  [[nodiscard]] std::string gated_message(const HubResponse& response) const;

  RepositoryName name_;
  HubToken token_;
  HttpClient& client_;
  std::string commit_;
  std::vector<std::string> files_;
};

/// True for a name that stays in its folder: letters, digits, ".", "_" and "-", not starting with a
/// dot, at most 200 characters.
[[nodiscard]] bool is_plain_file_name(const std::string& name);

}  // namespace sam3trt
