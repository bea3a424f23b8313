#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "jobs/result_lines.hpp"

namespace sam3trt {

using WriteText = std::function<void(std::string_view)>;

/// The document of `infer`, version 1, from its lines: the entries under "images", in one
/// document. Reads one line at a time, whatever their number.
void write_json_document(const RunHeader& header, const ResultLines& lines, const WriteText& write);

/// The same as COCO's data set: `images` (id, file_name, width, height), `annotations` (id,
/// image_id, category_id, bbox as x, y, width, height, area, segmentation as compressed run
/// lengths, iscrowd 0, score) and `categories` (id, name), one for each prompt, ids from 1. Boxes
/// without text are the category "visual". Images that have no result are under `errors`
/// (file_name, error). https://cocodataset.org/#format-data
void write_coco_document(std::span<const Prompt> prompts, const ResultLines& lines,
                         const WriteText& write);

}  // namespace sam3trt
