// Any bytes from a client of the HTTP server, which then ends its side: heads, bodies, chunks and
// parts of forms. No request makes the server fail, and it answers the next one.

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <thread>

#include "server/http_server.hpp"

namespace {

using sam3trt::HttpRequest;
using sam3trt::HttpResponse;

HttpResponse sizes_of(const HttpRequest& request) {
  size_t bytes = request.body.size() + request.content_type().size();
  for (const auto& part : request.parts) {
    bytes += part.name.size() + part.filename.size() + part.body.size();
    if (!part.file.empty() && ::access(part.file.c_str(), F_OK) != 0) std::abort();
  }
  HttpResponse response;
  response.body = std::to_string(bytes);
  return response;
}

/// The port of a server that is never stopped.
int port() {
  static const int kPort = [] {
    auto* routes = new sam3trt::Routes;
    routes->add("POST", "/body", sizes_of);
    routes->add("GET", "/v2/{name}/{rest...}", sizes_of);
    routes->add("POST", "/files", sizes_of,
                {.access = sam3trt::Access::kToken, .token = {}, .files_on_disk = true});
    sam3trt::HttpServerOptions options;
    options.port = 0;
    options.max_body_bytes = 1 << 16;
    options.max_upload_bytes = 1 << 16;
    options.max_parts = 8;
    options.log = [](const sam3trt::RequestRecord& record) {
      if (record.status >= 500 && record.status != 501) std::abort();
    };
    auto* server = new sam3trt::HttpServer(*routes, options);
    std::thread([server] { server->run(); }).detach();
    return server->port();
  }();
  return kPort;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const int client = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port()));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::connect(client, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    std::abort();
  }
  static_cast<void>(::send(client, data, size, MSG_NOSIGNAL));
  ::shutdown(client, SHUT_WR);
  std::array<char, 4096> answer{};
  while (::recv(client, answer.data(), answer.size(), 0) > 0) {
  }
  // No place in TIME_WAIT for each input.
  const linger at_once{1, 0};
  ::setsockopt(client, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
  ::close(client);
  return 0;
}
