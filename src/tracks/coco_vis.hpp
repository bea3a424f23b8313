#pragma once

#include <functional>
#include <string>

#include "jobs/job_documents.hpp"
#include "tracks/line_index.hpp"
#include "video/frame_source.hpp"

namespace sam3trt {

/// YouTube-VIS's form of COCO, one video: "annotations" has one entry for each object with
/// "segmentations" (run lengths), "bboxes" (left, top, width, height) and "areas" for every frame,
/// null where the object is not seen, and the mean of its "score"s. "categories" are the texts in
/// the order in which they appear; clicked objects are "object". `name_of` names a frame's file
/// without ending. Objects are written in groups: of what was read from the lines at most
/// `max_bytes`, but for one object, are held at a time.
void write_coco_vis(const LineIndex& lines, const VideoInfo& video,
                    const std::function<std::string(int64_t)>& name_of, const WriteText& write,
                    size_t max_bytes = size_t{256} << 20);

}  // namespace sam3trt
