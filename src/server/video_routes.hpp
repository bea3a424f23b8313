#pragma once

#include "server/http.hpp"
#include "server/service.hpp"

namespace sam3trt {

/// /v1/videos; the service must outlive the routes.
void add_video_routes(Routes& routes, Service& service);

/// Whether a file begins as a container of video does that ffmpeg reads without opening other files
/// or addresses, as playlists make it do: MP4, QuickTime, Matroska, WebM, AVI, Ogg, FLV, MPEG.
[[nodiscard]] bool is_video_container(std::string_view begin);

}  // namespace sam3trt
