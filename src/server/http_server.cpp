#include "server/http_server.hpp"

#include <fcntl.h>
#include <httplib.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cctype>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "base/error.hpp"
#include "base/log.hpp"
#include "base/temporary.hpp"
#include "server/thread_group.hpp"

namespace sam3trt {
namespace {

using Clock = std::chrono::steady_clock;

/// A connection as the library reads and writes it.
class LibraryStream : public httplib::Stream {
 public:
  explicit LibraryStream(ClientConnection& connection) : connection_(connection) {}

  [[nodiscard]] bool is_readable() const override { return true; }
  [[nodiscard]] bool is_writable() const override { return !connection_.is_gone(); }
  ssize_t read(char* data, size_t size) override { return connection_.read(data, size); }
  ssize_t write(const char* data, size_t size) override {
    if (holds_ && size <= kMaxHeld) {
      held_.append(data, size);
      holds_ = false;
      return static_cast<ssize_t>(size);
    }
    if (held_.empty()) return connection_.write(data, size);
    if (size > kMaxHeld) return flush() ? connection_.write(data, size) : -1;
    held_.append(data, size);
    return flush() ? static_cast<ssize_t>(size) : -1;
  }

  /// The next piece goes together with the one behind it, or with flush(): the library writes head
  /// and body of a response one after the other, which would wake its client twice.
  void hold() { holds_ = true; }

  /// What is held is sent. False: the client cannot be reached.
  bool flush() {
    holds_ = false;
    const std::string held = std::exchange(held_, {});
    return held.empty() || connection_.write(held.data(), held.size()) >= 0;
  }

  void get_remote_ip_and_port(std::string& ip, int& /*port*/) const override { ip.clear(); }
  void get_local_ip_and_port(std::string& ip, int& /*port*/) const override { ip.clear(); }
  /// The library refuses descriptors that do not fit select(), which it never calls on this one.
  [[nodiscard]] socket_t socket() const override { return 0; }

 private:
  static constexpr size_t kMaxHeld = 64 << 10;
  ClientConnection& connection_;
  std::string held_;
  bool holds_ = false;
};

/// Bytes of bodies that are in memory, of all requests.
class BodyBudget {
 public:
  explicit BodyBudget(size_t limit) : limit_(limit) {}

  [[nodiscard]] bool take(size_t bytes) {
    if (used_.fetch_add(bytes) + bytes <= limit_) return true;
    used_.fetch_sub(bytes);
    return false;
  }
  void give_back(size_t bytes) { used_.fetch_sub(bytes); }

 private:
  size_t limit_;
  std::atomic<size_t> used_ = 0;
};

/// One request on its way.
struct Exchange {
  Exchange(ClientConnection& its_connection, LibraryStream& its_stream, BodyBudget& its_budget)
      : connection(its_connection), stream(its_stream), budget(its_budget) {}
  ~Exchange() { budget.give_back(body_bytes); }
  Exchange(const Exchange&) = delete;
  Exchange& operator=(const Exchange&) = delete;

  ClientConnection& connection;
  LibraryStream& stream;
  BodyBudget& budget;
  Clock::time_point begin = Clock::now();
  int64_t received = connection.received();
  int64_t sent = connection.sent();
  HttpRequest request;
  Routes::Match match;
  /// The head or the body was not read to its end: the connection cannot go on.
  bool unread = true;
  size_t body_bytes = 0;
  uint64_t file_bytes = 0;
  std::optional<HttpProblem> problem;  ///< Why reading the body ended.
  std::vector<std::unique_ptr<TemporaryFile>> files;
};

/// Where the library's handlers, which get no such argument, find it.
thread_local Exchange* current = nullptr;

/// How long the body is, as the head says.
struct BodyLength {
  bool chunked = false;
  uint64_t bytes = 0;
};

/// A token of RFC 9110: what else is a name here may be one that says where the body ends to
/// others.
bool is_header_name(const std::string& name) {
  constexpr std::string_view kSigns = "!#$%&'*+-.^_`|~";
  return !name.empty() && std::ranges::all_of(name, [&](unsigned char c) {
    return (c < 0x80 && std::isalnum(c) != 0) ||
           kSigns.find(static_cast<char>(c)) != std::string_view::npos;
  });
}

/// Throws HttpError(400, 501) for heads whose end of the body is doubtful.
BodyLength body_length(const httplib::Headers& headers) {
  for (const auto& [name, value] : headers) {
    if (!is_header_name(name)) {
      throw HttpError(400, "bad_request", "a header has a name that cannot be one");
    }
  }
  const auto lengths = headers.equal_range("Content-Length");
  const auto encodings = headers.equal_range("Transfer-Encoding");
  BodyLength length;
  if (encodings.first != encodings.second) {
    if (lengths.first != lengths.second || std::next(encodings.first) != encodings.second) {
      throw HttpError(400, "bad_request", "the request says in two ways where its body ends");
    }
    if (::strcasecmp(encodings.first->second.c_str(), "chunked") != 0) {
      throw HttpError(501, "not_available", "the only Transfer-Encoding is chunked");
    }
    length.chunked = true;
    return length;
  }
  if (lengths.first == lengths.second) return length;
  const std::string& text = lengths.first->second;
  const char* const end = text.data() + text.size();
  const auto [at, error] = std::from_chars(text.data(), end, length.bytes);
  if (std::next(lengths.first) != lengths.second || error != std::errc() || at != end) {
    throw HttpError(400, "bad_request", "Content-Length is not one number");
  }
  return length;
}

void put(const HttpResponse& from, httplib::Response& to) {
  to.status = from.status;
  for (const auto& [name, value] : from.headers) to.set_header(name, value);
  to.set_header("X-Content-Type-Options", "nosniff");
  if (!to.has_header("Cache-Control")) to.set_header("Cache-Control", "no-store");
  if (!from.stream) {
    to.set_content(from.body, from.content_type);
    if (current != nullptr) current->stream.hold();
    return;
  }
  to.set_chunked_content_provider(
      from.content_type, [stream = from.stream](size_t, httplib::DataSink& sink) {
        const auto send = [&](std::string_view piece) {
          return piece.empty() || sink.write(piece.data(), piece.size());
        };
        try {
          stream(send);
        } catch (const std::exception& error) {
          log(LogLevel::kWarning, std::string("a response broke off: ") + error.what());
          return false;
        } catch (...) {  // nothing that goes wrong with one response may end the process
          log(LogLevel::kWarning, "a response broke off");
          return false;
        }
        sink.done();
        return true;
      });
}

}  // namespace

class HttpServer::Impl : public httplib::Server {
 public:
  Impl(const Routes& routes, HttpServerOptions options)
      : routes_(routes), options_(std::move(options)), budget_(options_.all_bodies_bytes) {
    if (!options_.tls_certificate.empty()) {
      tls_ = std::make_unique<TlsContext>(options_.tls_certificate, options_.tls_key);
    }
    set_tcp_nodelay(true);
    set_keep_alive_timeout(std::chrono::ceil<std::chrono::seconds>(options_.times.idle).count());
    set_keep_alive_max_count(1'000'000);
    set_socket_options([](socket_t socket) {
      const int on = 1;
      ::setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    });
    set_payload_max_length(std::max(options_.max_body_bytes, options_.max_upload_bytes));
    add_handlers();
    listen_on_port();
  }
  ~Impl() override {
    ::close(listener_);
    ::close(stop_);
  }

  void run() {
    ThreadGroup threads(options_.threads);
    threads_ = &threads;
    while (std::optional<int> socket = accept()) {
      if (!threads.start([this, client = *socket] { serve(client); })) refuse(*socket);
    }
  }

  void stop() {
    const uint64_t one = 1;
    stopping_ = true;
    static_cast<void>(::write(stop_, &one, sizeof one));
  }

  [[nodiscard]] int port() const { return port_; }

 private:
  void listen_on_port() {
    const std::string where = options_.host + ":" + std::to_string(options_.port);
    port_ = options_.port == 0 ? bind_to_any_port(options_.host)
                               : (bind_to_port(options_.host, options_.port) ? options_.port : -1);
    if (port_ < 0) {
      throw_bad_input("cannot listen on " + where + ": " + std::strerror(errno) +
                      "; --port 0 takes a free port, --host names an address of this machine");
    }
    listener_ = svr_sock_;
    ::fcntl(listener_, F_SETFD, FD_CLOEXEC);
    ::fcntl(listener_, F_SETFL, O_NONBLOCK);
    ::listen(listener_, static_cast<int>(options_.threads));  // the library's queue holds five
  }

  /// The next client; none when the server stops.
  std::optional<int> accept() {
    while (true) {
      std::array<pollfd, 2> states{pollfd{listener_, POLLIN, 0}, pollfd{stop_, POLLIN, 0}};
      ::poll(states.data(), states.size(), -1);
      if (stopping_) return std::nullopt;
      const int socket = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
      if (socket >= 0) return socket;
      const bool exhausted =
          errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM;
      if (exhausted) std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
  }

  /// All threads are busy.
  static void refuse(int socket) {
    static const std::string kBody =
        to_response({503, "too_many_connections", "the server has as many clients as it may"}).body;
    static const std::string kAnswer =
        "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nConnection: close\r\n"
        "Content-Type: application/json\r\nContent-Length: " +
        std::to_string(kBody.size()) + "\r\n\r\n" + kBody;
    static_cast<void>(::send(socket, kAnswer.data(), kAnswer.size(), MSG_NOSIGNAL));
    ::shutdown(socket, SHUT_WR);
    ::close(socket);
  }

  void serve(int socket) {
    ClientConnection connection(socket, stop_, tls_.get(), options_.times);
    LibraryStream stream(connection);
    while (connection.wait_for_request()) {
      Exchange exchange(connection, stream, budget_);
      current = &exchange;
      const bool last = stopping_ || threads_->is_full();
      bool closed = false;
      bool ok = false;
      try {
        ok = process_request(stream, last, closed,
                             [&](httplib::Request& request) { take_head(exchange, request); });
      } catch (const std::exception& error) {
        log(LogLevel::kWarning, std::string("a connection failed: ") + error.what());
      } catch (...) {
        log(LogLevel::kWarning, "a connection failed");
      }
      ok = stream.flush() && ok;
      current = nullptr;
      if (ok && !closed && !last && !exchange.unread && !stopping_) continue;
      connection.finish(exchange.unread || !ok);
      return;
    }
  }

  /// After the head of a request was read. What is wrong with it is `problem`.
  void take_head(Exchange& exchange, httplib::Request& from) const {
    HttpRequest& to = exchange.request;
    to.method = from.method;
    to.path = from.path;
    for (const char* name : {"REMOTE_ADDR", "REMOTE_PORT", "LOCAL_ADDR", "LOCAL_PORT"}) {
      from.headers.erase(name);
    }
    for (const auto& [name, value] : from.headers) to.headers.emplace(name, value);
    for (const auto& [name, value] : from.params) to.query.emplace(name, value);
    to.gone = [&connection = exchange.connection] { return connection.is_gone(); };
    from.path = "/";      // routes are found here
    from.ranges.clear();  // and nothing is sent in parts or compressed
    from.headers.erase("Accept-Encoding");
    exchange.match = routes_.find(to.method, to.path);
    try {
      const BodyLength length = body_length(from.headers);
      exchange.unread = length.chunked || length.bytes > 0;
      if (!exchange.unread) from.headers.emplace("Content-Length", "0");
      check_head(exchange, length);
    } catch (...) {
      exchange.problem = problem_of(std::current_exception());
    }
    exchange.connection.begin_body();
  }

  void check_head(Exchange& exchange, const BodyLength& length) const {
    check_origin(exchange.request, options_.access);
    const RouteOptions* route = exchange.match.options;
    if (route == nullptr) return;
    const bool asks_token = route->access == Access::kToken && !route->token;
    if (asks_token && !brings_token(exchange.request, options_.access.token)) {
      throw token_is_missing();
    }
    const size_t limit = limit_of(*route);
    if (length.bytes > limit) throw too_large(limit);
  }

  [[nodiscard]] size_t limit_of(const RouteOptions& route) const {
    return route.files_on_disk ? options_.max_upload_bytes : options_.max_body_bytes;
  }

  /// What the problem is, as the route's clients expect it.
  static HttpResponse refusal(const Exchange& exchange) {
    const RouteOptions* route = exchange.match.options;
    return to_response(*exchange.problem, route == nullptr ? ErrorForm() : route->errors);
  }

  static HttpProblem too_slow() { return {408, "too_slow", "the request did not come in time"}; }

  static HttpError too_large(size_t limit) {
    return {413, "body_too_large",
            "the request is larger than " + std::to_string(limit >> 20U) + " MiB"};
  }

  void add_handlers() {
    set_expect_100_continue_handler([](const httplib::Request&, httplib::Response& response) {
      if (!current->problem) return 100;
      put(refusal(*current), response);
      return response.status;
    });
    set_pre_routing_handler([this](const httplib::Request& request, httplib::Response& response) {
      Exchange& exchange = *current;
      const bool answered = exchange.problem || exchange.match.handler == nullptr;
      const bool reads_body = request.method == "POST" || request.method == "PUT" ||
                              request.method == "PATCH" || request.method == "DELETE";
      if (!answered && reads_body && exchange.unread) return HandlerResponse::Unhandled;
      answer(exchange, response);
      return HandlerResponse::Handled;
    });
    const auto with_body = [this](const httplib::Request& request, httplib::Response& response,
                                  const httplib::ContentReader& reader) {
      read_body(*current, request, reader);
      answer(*current, response);
    };
    Post("/", with_body);
    Put("/", with_body);
    Patch("/", with_body);
    Delete("/", with_body);
    set_error_handler(httplib::Server::HandlerWithResponse(
        [](const httplib::Request&, httplib::Response& response) {
          if (!response.body.empty() || response.has_header("X-Content-Type-Options")) {
            return HandlerResponse::Unhandled;
          }
          const int status = response.status < 400 ? 400 : response.status;
          const bool late = current != nullptr && current->connection.is_late();
          put(to_response(late ? too_slow()
                               : HttpProblem{status, "bad_request",
                                             "the request is not HTTP as it should be"}),
              response);
          return HandlerResponse::Handled;
        }));
    set_post_routing_handler([this](const httplib::Request&, httplib::Response& response) {
      const bool goes_on = current != nullptr && !current->unread && !stopping_;
      if (!goes_on) {
        response.headers.erase("Keep-Alive");
        response.headers.erase("Connection");
        response.set_header("Connection", "close");
      }
    });
    set_logger([this](const httplib::Request&, const httplib::Response& response) {
      if (current != nullptr) static_cast<void>(current->stream.flush());  // a head without a body
      record(response.status);
    });
  }

  void record(int status) const {
    if (!options_.log || current == nullptr) return;
    const Exchange& exchange = *current;
    RequestRecord record;
    record.method = exchange.request.method;
    record.route = exchange.match.pattern;
    record.status = status;
    record.milliseconds =
        std::chrono::duration<double, std::milli>(Clock::now() - exchange.begin).count();
    record.received = exchange.connection.received() - exchange.received;
    record.sent = exchange.connection.sent() - exchange.sent;
    options_.log(record);
  }

  void answer(Exchange& exchange, httplib::Response& response) const {
    if (!exchange.problem && exchange.match.options != nullptr && exchange.match.options->token) {
      check_body_token(exchange);
    }
    if (exchange.problem) {
      put(refusal(exchange), response);
      return;
    }
    put(routes_.handle(exchange.request), response);
  }

  void check_body_token(Exchange& exchange) const {
    const std::string& token = options_.access.token;
    if (brings_token(exchange.request, token)) return;
    try {
      if (equal_in_constant_time(exchange.match.options->token(exchange.request), token)) return;
    } catch (const Error&) {  // a body that cannot be read has none
    }
    exchange.problem = problem_of(std::make_exception_ptr(token_is_missing()));
  }

  void read_body(Exchange& exchange, const httplib::Request& request,
                 const httplib::ContentReader& reader) const {
    bool whole = false;
    try {
      whole = request.is_multipart_form_data()
                  ? read_parts(exchange, reader)
                  : reader([&](const char* data, size_t size) {
                      return take(exchange, exchange.request.body, {data, size});
                    });
    } catch (...) {
      exchange.problem = problem_of(std::current_exception());
    }
    if (whole && !exchange.problem) {
      exchange.unread = false;
    } else if (!exchange.problem) {
      exchange.problem =
          exchange.connection.is_late()
              ? too_slow()
              : HttpProblem{400, "bad_request", "the body of the request is cut off or malformed"};
    }
  }

  bool read_parts(Exchange& exchange, const httplib::ContentReader& reader) const {
    std::vector<HttpPart>& parts = exchange.request.parts;
    const bool on_disk = exchange.match.options->files_on_disk;
    return reader(
        [&](const httplib::MultipartFormData& head) {
          if (parts.size() >= options_.max_parts) {
            throw HttpError(
                413, "too_many_parts",
                "the request has more than " + std::to_string(options_.max_parts) + " parts");
          }
          parts.push_back({head.name, head.filename, head.content_type, {}});
          if (on_disk && !head.filename.empty()) {
            exchange.files.push_back(upload_file());
            parts.back().file = exchange.files.back()->path();
          }
          return true;
        },
        [&](const char* data, size_t size) {
          if (parts.back().file.empty()) return take(exchange, parts.back().body, {data, size});
          return save(exchange, {data, size});
        });
  }

  /// An upload that has no room is the server's trouble, which others have to hear of: its folder
  /// and the reason are in the log only.
  static HttpError not_kept(int error) {
    log(LogLevel::kWarning, std::string("an upload cannot be kept: ") + std::strerror(error));
    const bool full = error == ENOSPC || error == EDQUOT || error == EFBIG;
    if (!full) return {500, "internal", "the server cannot keep the upload; its log says why"};
    return {507, "disk_full", "the server has no room for the upload"};
  }

  static std::unique_ptr<TemporaryFile> upload_file() {
    std::error_code missing;
    const std::filesystem::path folder = std::filesystem::temp_directory_path(missing);
    if (missing) {
      log(LogLevel::kWarning, "TMPDIR does not name a folder, where uploads are kept");
      throw not_kept(missing.value());
    }
    try {
      return std::make_unique<TemporaryFile>(folder, "an upload");
    } catch (const Error& error) {
      const int reason = errno;
      log(LogLevel::kWarning, error.what());
      throw not_kept(reason);
    }
  }

  /// Adds to a body in memory.
  bool take(Exchange& exchange, std::string& body, std::string_view piece) const {
    if (exchange.body_bytes + piece.size() > options_.max_body_bytes) {
      throw too_large(options_.max_body_bytes);
    }
    if (!exchange.budget.take(piece.size())) {
      throw HttpError(503, "busy", "the server holds as many bytes of requests as it may", {}, 1);
    }
    exchange.body_bytes += piece.size();
    body.append(piece);
    return true;
  }

  /// Adds to the last file.
  bool save(Exchange& exchange, std::string_view piece) const {
    exchange.file_bytes += piece.size();
    if (exchange.file_bytes > options_.max_upload_bytes) throw too_large(options_.max_upload_bytes);
    while (!piece.empty()) {
      const ssize_t put = ::write(exchange.files.back()->descriptor(), piece.data(), piece.size());
      if (put < 0 && errno == EINTR) continue;
      if (put < 0) throw not_kept(errno);
      piece.remove_prefix(static_cast<size_t>(put));
    }
    return true;
  }

  const Routes& routes_;
  HttpServerOptions options_;
  BodyBudget budget_;
  std::unique_ptr<TlsContext> tls_;
  int stop_ = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  int listener_ = -1;
  int port_ = -1;
  std::atomic<bool> stopping_ = false;
  ThreadGroup* threads_ = nullptr;
};

HttpServer::HttpServer(const Routes& routes, HttpServerOptions options)
    : impl_(std::make_unique<Impl>(routes, std::move(options))) {}
HttpServer::~HttpServer() = default;
int HttpServer::port() const { return impl_->port(); }
void HttpServer::run() { impl_->run(); }
void HttpServer::stop() { impl_->stop(); }

}  // namespace sam3trt
