#include "server/client_connection.hpp"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "base/error.hpp"

namespace sam3trt {
namespace {

constexpr size_t kBufferBytes = 16 << 10;

SSL* ssl_of(void* ssl) { return static_cast<SSL*>(ssl); }

std::string openssl_error() {
  std::array<char, 256> text{};
  ERR_error_string_n(ERR_get_error(), text.data(), text.size());
  ERR_clear_error();
  return text.data();
}

}  // namespace

TlsContext::TlsContext(const std::string& certificate, const std::string& key)
    : context_(SSL_CTX_new(TLS_server_method())) {
  auto* const context = static_cast<SSL_CTX*>(context_);
  if (context == nullptr) throw Error(ErrorCode::kInternal, "no TLS: " + openssl_error());
  const auto refuse = [&](const std::string& message) {
    const std::string reason = openssl_error();
    SSL_CTX_free(context);
    throw_bad_input(message + ": " + reason);
  };
  SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
  SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  if (SSL_CTX_use_certificate_chain_file(context, certificate.c_str()) != 1) {
    refuse("--tls-cert " + certificate + ": is not a PEM file with a certificate");
  }
  if (SSL_CTX_use_PrivateKey_file(context, key.c_str(), SSL_FILETYPE_PEM) != 1) {
    refuse("--tls-key " + key + ": is not a PEM file with the key of --tls-cert");
  }
  if (SSL_CTX_check_private_key(context) != 1) {
    refuse("--tls-key " + key + ": is not the key of --tls-cert " + certificate);
  }
}

TlsContext::~TlsContext() { SSL_CTX_free(static_cast<SSL_CTX*>(context_)); }

ClientConnection::ClientConnection(int socket, int stop, const TlsContext* tls,
                                   const ConnectionTimes& times)
    : socket_(socket), stop_(stop), times_(times), buffer_(kBufferBytes) {
  const int on = 1;
  ::setsockopt(socket_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  if (tls == nullptr) return;
  ssl_ = SSL_new(static_cast<SSL_CTX*>(tls->get()));
  if (ssl_ != nullptr) SSL_set_fd(ssl_of(ssl_), socket_);
  shaken_ = false;
}

ClientConnection::~ClientConnection() {
  if (ssl_ != nullptr) SSL_free(ssl_of(ssl_));
  ::close(socket_);
}

bool ClientConnection::wait(short events, Clock::time_point deadline) const {
  while (true) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now());
    pollfd state{socket_, events, 0};
    const int ready = ::poll(&state, 1, static_cast<int>(std::max<int64_t>(left.count(), 0)));
    if (ready > 0) return true;
    if (ready == 0 || errno != EINTR) return false;
  }
}

bool ClientConnection::shake_hands() {
  shaken_ = true;
  const Clock::time_point deadline = Clock::now() + times_.head;
  while (true) {
    ERR_clear_error();
    const int result = SSL_accept(ssl_of(ssl_));
    if (result == 1) return true;
    const int error = SSL_get_error(ssl_of(ssl_), result);
    if (error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE) return false;
    if (!wait(error == SSL_ERROR_WANT_READ ? POLLIN : POLLOUT, deadline)) return false;
  }
}

bool ClientConnection::wait_for_request() {
  in_body_ = false;
  head_bytes_ = 0;
  body_bytes_ = 0;
  const auto has_bytes = [&] {
    return begin_ < end_ || (ssl_ != nullptr && SSL_pending(ssl_of(ssl_)) > 0);
  };
  const Clock::time_point deadline = Clock::now() + times_.idle;
  while (!has_bytes()) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now());
    std::array<pollfd, 2> states{pollfd{socket_, POLLIN, 0}, pollfd{stop_, POLLIN, 0}};
    const int ready =
        ::poll(states.data(), states.size(), static_cast<int>(std::max<int64_t>(left.count(), 0)));
    if (ready < 0 && errno == EINTR) continue;
    if (ready <= 0 || states[0].revents == 0) return false;
    break;
  }
  started_ = Clock::now();
  return ssl_ == nullptr || shaken_ || shake_hands();
}

void ClientConnection::begin_body() {
  in_body_ = true;
  started_ = Clock::now();
}

ssize_t ClientConnection::receive(char* data, size_t size, Clock::time_point deadline) {
  while (true) {
    ssize_t got = 0;
    short wanted = POLLIN;
    if (ssl_ != nullptr) {
      ERR_clear_error();
      got = SSL_read(ssl_of(ssl_), data, static_cast<int>(std::min<size_t>(size, 1 << 20)));
      if (got > 0) return got;
      const int error = SSL_get_error(ssl_of(ssl_), static_cast<int>(got));
      if (error == SSL_ERROR_ZERO_RETURN) return 0;
      if (error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE) return -1;
      if (error == SSL_ERROR_WANT_WRITE) wanted = POLLOUT;
    } else {
      got = ::recv(socket_, data, size, 0);
      if (got >= 0) return got;
      if (errno == EINTR) continue;
      if (errno != EAGAIN && errno != EWOULDBLOCK) return -1;
    }
    if (!wait(wanted, deadline)) {
      late_ = true;
      return -1;
    }
  }
}

ssize_t ClientConnection::read(char* data, size_t size) {
  if (begin_ == end_) {
    Clock::time_point deadline = started_ + times_.head;
    if (in_body_) {
      const auto allowed = std::chrono::milliseconds(body_bytes_ * 1000 / times_.slow_bytes);
      deadline = std::min(Clock::now() + times_.pause, started_ + times_.body + allowed);
    }
    late_ = Clock::now() > deadline;
    if (late_) return -1;
    const ssize_t got = receive(buffer_.data(), buffer_.size(), deadline);
    if (got <= 0) return got;
    begin_ = 0;
    end_ = static_cast<size_t>(got);
    received_ += got;
  }
  const size_t count = std::min(size, end_ - begin_);
  std::memcpy(data, buffer_.data() + begin_, count);
  begin_ += count;
  const auto read = static_cast<int64_t>(count);
  if (in_body_) {
    body_bytes_ += read;
  } else {
    head_bytes_ += read;
    if (head_bytes_ > kMaxHeadBytes) return -1;
  }
  return static_cast<ssize_t>(count);
}

ssize_t ClientConnection::write(const char* data, size_t size) {
  for (size_t done = 0; done < size;) {
    ssize_t put = 0;
    short wanted = POLLOUT;
    if (ssl_ != nullptr) {
      ERR_clear_error();
      put = SSL_write(ssl_of(ssl_), data + done,
                      static_cast<int>(std::min<size_t>(size - done, 1 << 20)));
      if (put <= 0) {
        const int error = SSL_get_error(ssl_of(ssl_), static_cast<int>(put));
        if (error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE) return -1;
        if (error == SSL_ERROR_WANT_READ) wanted = POLLIN;
        put = 0;
      }
    } else {
      put = ::send(socket_, data + done, size - done, MSG_NOSIGNAL);
      if (put < 0) {
        if (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR) return -1;
        put = 0;
      }
    }
    done += static_cast<size_t>(put);
    sent_ += put;
    if (put == 0 && !wait(wanted, Clock::now() + times_.pause)) return -1;
  }
  return static_cast<ssize_t>(size);
}

bool ClientConnection::is_gone() const {
  pollfd state{socket_, POLLRDHUP, 0};
  return ::poll(&state, 1, 0) == 1 && (state.revents & (POLLRDHUP | POLLHUP | POLLERR)) != 0;
}

void ClientConnection::finish(bool unread) {
  constexpr std::chrono::milliseconds kPatience{2'000};
  constexpr int64_t kMaxDiscarded = int64_t{256} << 20;
  if (ssl_ != nullptr && shaken_) {
    ERR_clear_error();
    SSL_shutdown(ssl_of(ssl_));
  }
  ::shutdown(socket_, SHUT_WR);
  if (!unread) return;
  const Clock::time_point deadline = Clock::now() + kPatience;
  int64_t discarded = 0;
  while (discarded < kMaxDiscarded && Clock::now() < deadline) {
    const ssize_t got = ::recv(socket_, buffer_.data(), buffer_.size(), 0);
    if (got == 0) return;
    if (got > 0) {
      discarded += got;
    } else if (errno != EINTR &&
               ((errno != EAGAIN && errno != EWOULDBLOCK) || !wait(POLLIN, deadline))) {
      return;
    }
  }
}

std::string ClientConnection::peer() const {
  sockaddr_storage address{};
  socklen_t size = sizeof address;
  std::array<char, INET6_ADDRSTRLEN> text{};
  if (::getpeername(socket_, reinterpret_cast<sockaddr*>(&address), &size) != 0) return {};
  const void* bytes = nullptr;
  if (address.ss_family == AF_INET) {
    bytes = &reinterpret_cast<const sockaddr_in*>(&address)->sin_addr;
  } else if (address.ss_family == AF_INET6) {
    bytes = &reinterpret_cast<const sockaddr_in6*>(&address)->sin6_addr;
  }
  if (bytes == nullptr) return {};
  return ::inet_ntop(address.ss_family, bytes, text.data(), text.size()) == nullptr ? ""
                                                                                    : text.data();
}

}  // namespace sam3trt
