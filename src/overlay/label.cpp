#include "overlay/label.hpp"

#include <algorithm>
#include <cmath>
#include <memory>
#include <string>

namespace sam3trt {
namespace {

struct DestroyCairo {
  void operator()(cairo_t* cairo) const { cairo_destroy(cairo); }
  void operator()(cairo_surface_t* surface) const { cairo_surface_destroy(surface); }
  void operator()(PangoFontDescription* description) const {
    pango_font_description_free(description);
  }
  void operator()(char* text) const { g_free(text); }
};
template <typename T>
using Owned = std::unique_ptr<T, DestroyCairo>;

/// Whether any font has a digit; Pango lists its aliases as families even where there is no font.
/// Asked once: fonts that are installed later are found by the next process.
bool has_fonts() {
  static const bool kHasFonts = [] {
    const GObjectPtr<PangoContext> context(
        pango_font_map_create_context(pango_cairo_font_map_get_default()));
    const GObjectPtr<PangoLayout> layout(pango_layout_new(context.get()));
    pango_layout_set_text(layout.get(), "0", -1);
    return pango_layout_get_unknown_glyphs_count(layout.get()) == 0;
  }();
  return kHasFonts;
}

Owned<char> valid_utf8(const std::string& text) {
  return Owned<char>(g_utf8_make_valid(text.data(), static_cast<gssize>(text.size())));
}

/// Cairo's letters, which need no font file.
void select_built_in(cairo_t* cairo, double pixels) {
  cairo_select_font_face(cairo, "@cairo:", CAIRO_FONT_SLANT_NORMAL, CAIRO_FONT_WEIGHT_NORMAL);
  cairo_set_font_size(cairo, pixels);
}

std::string to_ascii(const char* text) {
  std::string ascii;
  for (const char* at = text; *at != '\0'; at = g_utf8_next_char(at)) {
    const gunichar character = g_utf8_get_char(at);
    ascii += character >= 0x20 && character < 0x7F ? static_cast<char>(character) : '?';
  }
  return ascii;
}

}  // namespace

void Unref::operator()(void* object) const { g_object_unref(object); }

LabelFont::LabelFont(double pixels, bool built_in) : pixels_(pixels) {
  if (built_in || !has_fonts()) return;
  context_.reset(pango_font_map_create_context(pango_cairo_font_map_get_default()));
  const Owned<PangoFontDescription> font(pango_font_description_from_string("Sans Semi-Bold"));
  pango_font_description_set_absolute_size(font.get(), std::round(pixels * PANGO_SCALE));
  pango_context_set_font_description(context_.get(), font.get());
}

Label LabelFont::set(const std::string& text, double max_width) const {
  if (context_ == nullptr) return set_built_in(text, max_width);
  const Owned<char> valid = valid_utf8(text);
  Label label;
  label.layout.reset(pango_layout_new(context_.get()));
  pango_layout_set_single_paragraph_mode(label.layout.get(), TRUE);
  pango_layout_set_text(label.layout.get(), valid.get(), -1);
  int width = 0;
  int height = 0;
  pango_layout_get_pixel_size(label.layout.get(), &width, &height);
  if (width > max_width) {
    pango_layout_set_ellipsize(label.layout.get(), PANGO_ELLIPSIZE_END);
    pango_layout_set_width(label.layout.get(), static_cast<int>(max_width * PANGO_SCALE));
    pango_layout_get_pixel_size(label.layout.get(), &width, &height);
  }
  label.width = width;
  label.height = height;
  return label;
}

Label LabelFont::set_built_in(const std::string& text, double max_width) const {
  const Owned<cairo_surface_t> surface(cairo_image_surface_create(CAIRO_FORMAT_A8, 1, 1));
  const Owned<cairo_t> cairo(cairo_create(surface.get()));
  select_built_in(cairo.get(), pixels_);
  Label label;
  label.ascii = to_ascii(valid_utf8(text).get());
  const auto measure = [&] {
    cairo_text_extents_t extents;
    cairo_text_extents(cairo.get(), label.ascii.c_str(), &extents);
    label.width = std::ceil(extents.x_advance);
  };
  measure();
  constexpr size_t kDots = 3;
  while (label.width > max_width && label.ascii.size() > kDots) {
    label.ascii.resize(label.ascii.size() - kDots - 1);
    label.ascii += "...";
    measure();
  }
  cairo_font_extents_t font;
  cairo_font_extents(cairo.get(), &font);
  label.ascent = font.ascent;
  label.height = std::ceil(font.ascent + font.descent);
  return label;
}

void LabelFont::draw(cairo_t* cairo, const Label& label, double x, double y) const {
  if (label.layout != nullptr) {
    cairo_move_to(cairo, x, y);
    pango_cairo_update_layout(cairo, label.layout.get());
    pango_cairo_show_layout(cairo, label.layout.get());
    return;
  }
  select_built_in(cairo, pixels_);
  cairo_move_to(cairo, x, y + label.ascent);
  cairo_show_text(cairo, label.ascii.c_str());
}

}  // namespace sam3trt
