#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace sam3trt {

/// A certificate and its key, for connections of any number of threads.
class TlsContext {
 public:
  /// PEM files: the certificate with its chain, and its key. Throws Error(kBadInput) that names the
  /// file that is not one, or when they do not belong together.
  TlsContext(const std::string& certificate, const std::string& key);
  ~TlsContext();
  TlsContext(const TlsContext&) = delete;
  TlsContext& operator=(const TlsContext&) = delete;

  [[nodiscard]] void* get() const { return context_; }

 private:
  void* context_;  ///< SSL_CTX
};

/// How long a client may take.
struct ConnectionTimes {
  std::chrono::milliseconds idle{5'000};    ///< Between two requests.
  std::chrono::milliseconds head{10'000};   ///< From the first byte of a request to its body.
  std::chrono::milliseconds pause{10'000};  ///< Between two pieces of a body or of a response.
  std::chrono::milliseconds body{30'000};   ///< For a body, besides what slow_bytes allows.
  int64_t slow_bytes = 16 << 10;            ///< Bytes a second that a body has to come with.
};

/// The bytes of one client, encrypted or not. One thread reads and writes; is_gone() may be called
/// from any.
class ClientConnection {
 public:
  using Clock = std::chrono::steady_clock;

  /// Takes the socket, which does not block. `stop` is a descriptor that can be read when idle
  /// connections are to be closed. Without `tls` the bytes are sent as they are.
  ClientConnection(int socket, int stop, const TlsContext* tls, const ConnectionTimes& times);
  ~ClientConnection();
  ClientConnection(const ClientConnection&) = delete;
  ClientConnection& operator=(const ClientConnection&) = delete;

  /// Waits for the first byte of a request; false when none comes, and when the server stops.
  [[nodiscard]] bool wait_for_request();

  /// The body of the request begins; before that at most `kMaxHeadBytes` are read.
  void begin_body();

  /// What came, at most `size` bytes; 0 at the end, -1 when the client is too slow, its head too
  /// large or the connection broken.
  [[nodiscard]] ssize_t read(char* data, size_t size);

  /// All of it, or -1.
  [[nodiscard]] ssize_t write(const char* data, size_t size);

  /// read() gave up because the client was too slow.
  [[nodiscard]] bool is_late() const { return late_; }

  /// The client has left, or ended its side.
  [[nodiscard]] bool is_gone() const;

  /// Sends the end and reads what still comes, for a short time, so that a client that is still
  /// sending gets the response.
  void finish(bool unread);

  [[nodiscard]] int64_t received() const { return received_; }
  [[nodiscard]] int64_t sent() const { return sent_; }
  [[nodiscard]] std::string peer() const;

  static constexpr int64_t kMaxHeadBytes = 64 << 10;

 private:
  [[nodiscard]] bool shake_hands();
  [[nodiscard]] bool wait(short events, Clock::time_point deadline) const;
  [[nodiscard]] ssize_t receive(char* data, size_t size, Clock::time_point deadline);

  int socket_;
  int stop_;
  void* ssl_ = nullptr;  ///< SSL; null: not encrypted.
  bool shaken_ = false;
  ConnectionTimes times_;
  std::vector<char> buffer_;
  size_t begin_ = 0;
  size_t end_ = 0;
  bool in_body_ = false;
  int64_t head_bytes_ = 0;
  int64_t body_bytes_ = 0;
  Clock::time_point started_{};
  int64_t received_ = 0;
  int64_t sent_ = 0;
  bool late_ = false;
};

}  // namespace sam3trt
