#pragma once

#include "jobs/job_documents.hpp"
#include "tracks/line_index.hpp"

namespace sam3trt {

/// MOTChallenge's text: a line `frame,id,left,top,width,height,score,-1,-1,-1` for each object that
/// is seen in a frame; frames count from 1, boxes are in pixels from 0 on.
void write_mot(const LineIndex& lines, const WriteText& write);

/// MOTS's text: `frame id class height width counts`, frames from 1 on, in masks that do not
/// overlap (label_map by object_score). Classes are MOTS's own, 1 for "car", 2 for "person" and
/// "pedestrian"; other texts, and clicked objects, get numbers from 3 on in the order in which they
/// appear, without 10, which means "ignore" there.
void write_mots(const LineIndex& lines, const WriteText& write);

}  // namespace sam3trt
