#pragma once

#include <cairo.h>

#include <memory>
#include <string>

#include <pango/pangocairo.h>

namespace sam3trt {

struct Unref {
  void operator()(void* object) const;
};
template <typename T>
using GObjectPtr = std::unique_ptr<T, Unref>;

/// A line of text that can be drawn. Sizes are in pixels.
struct Label {
  double width = 0.0;  ///< Of the text alone.
  double height = 0.0;
  GObjectPtr<PangoLayout> layout;  ///< With the system's fonts.
  std::string ascii;               ///< With Cairo's own letters.
  double ascent = 0.0;
};

/// Sets text in the system's sans-serif fonts, each letter in one that has it; a letter that none
/// has is one box with its number. Where no font is installed, in the letters that Cairo brings
/// along: ASCII, and one question mark for each other character.
class LabelFont {
 public:
  /// `pixels` is the size of the font; `built_in` takes Cairo's letters in any case.
  LabelFont(double pixels, bool built_in);

  /// `text` is UTF-8; bytes that are not are shown as replacement marks, and line ends as such.
  /// Text wider than `max_width` ends in an ellipsis.
  [[nodiscard]] Label set(const std::string& text, double max_width) const;

  /// Draws with the context's colour; (x, y) is the upper left corner.
  void draw(cairo_t* cairo, const Label& label, double x, double y) const;

 private:
  [[nodiscard]] Label set_built_in(const std::string& text, double max_width) const;

  double pixels_;
  GObjectPtr<PangoContext> context_;  ///< Nothing with Cairo's letters.
};

}  // namespace sam3trt
