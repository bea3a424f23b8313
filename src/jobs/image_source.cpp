#include "jobs/image_source.hpp"

#include <sys/stat.h>

#include <utility>

#include "base/error.hpp"
#include "base/mapped_file.hpp"
#include "image/image.hpp"

namespace sam3trt {

std::optional<ImageFile> ImageSource::next() {
  if (next_ == images_.size()) return std::nullopt;
  ImageFile file{images_[next_++]};
  if (!file.listed.archive.empty()) read_entry(file);
  return file;
}

void ImageSource::read_entry(ImageFile& file) {
  const std::string& path = file.listed.archive;
  try {
    // Entries of one tar file come in their order; a smaller one means that it is named again.
    if (!tar_ || tar_->path() != path || (entry_ && entry_->index >= file.listed.entry)) {
      tar_.reset();
      entry_.reset();
      if (damaged_ != path) tar_.emplace(path);
    }
    if (!tar_) throw_bad_input(reason_);
    do entry_ = tar_->next();
    while (entry_ && entry_->index < file.listed.entry);
    if (!entry_ || entry_->index != file.listed.entry ||
        path + "/" + entry_->name != file.listed.path) {
      throw_bad_input(path + ": was changed while it was read");
    }
    file.stamp = {entry_->bytes, entry_->modified};
    file.bytes = tar_->read();
    file.is_read = true;
  } catch (const Error& error) {
    file.error = error.what();
    tar_.reset();
    damaged_ = path;
    reason_ = error.what();
  }
}

Image decode_image_file(ImageFile& file) {
  if (file.error) throw_bad_input(*file.error);
  if (!file.is_read) {
    file.stamp = stamp_of(file.listed.path);
    file.bytes = read_file(file.listed.path);
    file.is_read = true;
  }
  return decode_image(file.bytes, file.listed.path);
}

std::optional<FileStamp> stamp_of(const std::string& path) {
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0) return std::nullopt;
  return FileStamp{info.st_size,
                   int64_t{info.st_mtim.tv_sec} * 1'000'000'000 + info.st_mtim.tv_nsec};
}

}  // namespace sam3trt
