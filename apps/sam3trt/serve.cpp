#include <sys/stat.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cctype>
#include <iostream>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "arguments.hpp"
#include "base/error.hpp"
#include "base/log.hpp"
#include "base/mapped_file.hpp"
#include "commands.hpp"
#include "model_choice.hpp"
#include "model_runners.hpp"
#include "server/http_server.hpp"
#include "server/kserve.hpp"
#include "server/label_studio.hpp"
#include "server/metrics.hpp"
#include "server/own_routes.hpp"
#include "server/page_routes.hpp"
#include "server/request_log.hpp"
#include "server/roboflow.hpp"
#include "server/video_routes.hpp"
#include "stop_signals.hpp"

namespace sam3trt {
namespace {

/// What `sam3trt serve` is asked for, as it was written.
struct ServeOptions {
  ModelChoice model;
  LoadOptions load;
  std::string devices = "0";
  std::string token_file;
  size_t max_body_mb = 64;
  size_t max_video_mb = 2048;
  size_t cache_mb = 1024;
  int64_t max_megapixels = 64;
  double timeout = 60;
  std::vector<std::string> folders;
  std::vector<std::string> hosts;
  ServiceLimits limits;
  HttpServerOptions http;
};

std::string read_token(const std::string& file) {
  constexpr size_t kMaxBytes = 4096;
  struct stat status {};
  if (::stat(file.c_str(), &status) == 0 && (status.st_mode & (S_IRGRP | S_IROTH)) != 0) {
    log(LogLevel::kWarning, "--token-file " + file + ": other users can read it; 'chmod 600 " +
                                file + "' keeps the token yours");
  }
  const MappedFile mapped(file);
  const auto bytes = mapped.bytes();
  if (bytes.size() > kMaxBytes) {
    throw_bad_input("--token-file " + file + ": is too large for a token");
  }
  std::string token(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  while (!token.empty() && (token.back() == '\n' || token.back() == '\r')) token.pop_back();
  const bool printable =
      std::ranges::all_of(token, [](unsigned char c) { return std::isgraph(c) != 0 && c < 0x7F; });
  if (token.empty() || !printable) {
    throw_bad_input("--token-file " + file +
                    ": expected one line of letters, digits and signs without spaces");
  }
  return token;
}

bool is_loopback(const std::string& host) {
  return host == "localhost" || host == "::1" || host.starts_with("127.");
}

void check_options(ServeOptions& options) {
  HttpServerOptions& http = options.http;
  if (http.tls_certificate.empty() != http.tls_key.empty()) {
    throw_bad_input("--tls-cert and --tls-key go together");
  }
  if (!options.token_file.empty()) http.access.token = read_token(options.token_file);
  http.access.only_loopback = is_loopback(http.host);
  if (!http.access.only_loopback && http.access.token.empty()) {
    log(LogLevel::kWarning, "--host " + http.host +
                                ": everyone who reaches this address may use the server; "
                                "--token-file asks for a token");
  }
  if (!http.access.only_loopback && !http.access.token.empty() && http.tls_certificate.empty()) {
    log(LogLevel::kWarning, "--host " + http.host +
                                ": the token is sent unencrypted; use --tls-cert and --tls-key, "
                                "or a proxy on this machine that does");
  }
  http.max_body_bytes = options.max_body_mb << 20U;
  http.max_upload_bytes = options.max_video_mb << 20U;
  options.limits.max_file_bytes = http.max_body_bytes;
  options.limits.max_pixels = options.max_megapixels << 20U;
  options.limits.cache_bytes = options.cache_mb << 20U;
  options.limits.timeout = std::chrono::milliseconds(static_cast<int64_t>(options.timeout * 1000));
}

/// Stops the server when the program is asked to end, and lets it end by itself then.
class StopWithSignal {
 public:
  StopWithSignal(Service& service, HttpServer& server) {
    const auto stop = [&] {
      service.stop();
      server.stop();
    };
    set_stop_action(stop, true);  // the program ends when all is answered
  }
  ~StopWithSignal() { set_stop_action({}); }
  StopWithSignal(const StopWithSignal&) = delete;
  StopWithSignal& operator=(const StopWithSignal&) = delete;
};

std::vector<Model> load_models(const ServeOptions& options, const ModelFiles& files) {
  std::vector<Model> models;
  for (const int device : devices_for(files, options.devices)) {
    LoadOptions load = options.load;
    load.device = device;
    models.emplace_back(files, load);
  }
  return models;
}

void run_serve(ServeOptions& options, CommandContext& /*context*/) {
  check_options(options);
  if (options.devices != "all") static_cast<void>(parse_devices(options.devices));
  const ModelFiles files = find_model(options.model);
  Routes routes;
  RequestLog request_log(std::cerr);
  Metrics metrics;
  options.http.log = [&](const RequestRecord& record) {
    request_log.add(record);
    metrics.add(record);
  };
  HttpServer server(routes, options.http);  // a port that is taken is said before the model loads
  const RunHeader header{files.form == ModelForm::kEngines ? "tensorrt" : "openvino",
                         files.semantics, find_unverified(files)};
  const std::filesystem::path folder = options.model.model.empty()
                                           ? std::filesystem::path(options.model.detector_engine)
                                           : std::filesystem::path(options.model.model);
  Service service(load_models(options, files),
                  std::filesystem::weakly_canonical(folder).filename().string(), options.limits,
                  header);
  ImageAccess access;
  access.folders.assign(options.folders.begin(), options.folders.end());
  access.hosts = options.hosts;
  const RequestImages images(service, std::move(access));
  add_own_routes(routes, service, images);
  add_video_routes(routes, service);
  add_kserve_routes(routes, service, images);
  add_roboflow_routes(routes, service, images);
  add_label_studio_routes(routes, service, task_images(images));
  add_health_routes(routes, service);
  add_metrics_route(routes, metrics, service);
  add_openapi_route(routes);
  add_page_routes(routes, builtin_page());
  const StopWithSignal stop(service, server);
  const std::string scheme = options.http.tls_certificate.empty() ? "http" : "https";
  const bool is_v6 = options.http.host.find(':') != std::string::npos;
  std::cout << scheme << "://" << (is_v6 ? "[" : "") << options.http.host << (is_v6 ? "]" : "")
            << ":" << server.port() << "/\n"
            << std::flush;
  server.run();
}

void add_model_options(CLI::App& command, ServeOptions& options) {
  command.add_option("--model", options.model.model, "Folder of graphs or engines");
  add_running_options(command, options.model, options.load);
  command
      .add_option("--device", options.devices,
                  "GPU that engines run on, counted from 0 (nvidia-smi); several such as 0,1, or "
                  "all, each with the model")
      ->capture_default_str();
  command
      .add_option("--queue", options.limits.queue,
                  "Calls that wait for the model at most; others are told to come later (503)")
      ->check(CLI::Range(1, 100'000))
      ->capture_default_str();
  command
      .add_option("--cache-mb", options.cache_mb,
                  "MiB of features and images that are kept for further prompts on the same image")
      ->check(CLI::Range(0, 1 << 20))
      ->capture_default_str();
  command
      .add_option("--timeout", options.timeout,
                  "Seconds that a request waits for the model at most (503)")
      ->check(CLI::Range(0.1, 86'400.0))
      ->capture_default_str();
}

void add_network_options(CLI::App& command, ServeOptions& options) {
  command.add_option("--host", options.http.host, "Address to listen on; 0.0.0.0 or :: is all")
      ->capture_default_str();
  command.add_option("--port", options.http.port, "Port to listen on; 0 takes a free one")
      ->check(CLI::Range(0, 65'535))
      ->capture_default_str();
  command.add_option("--token-file", options.token_file,
                     "File with the token that requests must bring; none: everyone may ask");
  command.add_option("--tls-cert", options.http.tls_certificate,
                     "PEM file of a certificate with its chain, for https");
  command.add_option("--tls-key", options.http.tls_key, "PEM file of its key");
}

void add_limit_options(CLI::App& command, ServeOptions& options) {
  command.add_option("--max-body-mb", options.max_body_mb, "MiB of a request at most (413)")
      ->check(CLI::Range(1, 1 << 14))
      ->capture_default_str();
  command
      .add_option("--max-video-mb", options.max_video_mb, "MiB of an uploaded video at most (413)")
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str();
  command
      .add_option("--max-pixels", options.max_megapixels,
                  "Millions of pixels (2^20) of an image at most (413)")
      ->check(CLI::Range(1, 256))
      ->capture_default_str();
  add_list(command, "--allow-folder", options.folders,
           "Folder whose images requests may name by path; none: no file is read");
  add_list(command, "--allow-host", options.hosts,
           "Host, or host:port, whose images requests may name by URL; none: nothing is fetched");
  command
      .add_option("--videos", options.limits.videos, "Videos that are tracked at a time at most")
      ->check(CLI::Range(0, 1024))
      ->capture_default_str();
}

}  // namespace

void add_serve_command(CLI::App& app, CommandContext& context) {
  auto options = std::make_shared<ServeOptions>();
  CLI::App* command = app.add_subcommand("serve", "Answer requests over HTTP, with a page");
  add_model_options(*command, *options);
  add_network_options(*command, *options);
  add_limit_options(*command, *options);
  command->footer(
      "Example:\n  sam3trt serve --model models/sam3_onnx --port 8080\n"
      "  curl -F image=@street.jpg -F text=dog http://127.0.0.1:8080/v1/infer");
  command->callback([options, &context]() { run_serve(*options, context); });
}

}  // namespace sam3trt
