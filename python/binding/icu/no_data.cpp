// ICU's data library without any data: a table of contents of no entries, in the format of ICU's
// data files ("Common Data Format", unicode/udata.h).
#include <unicode/udata.h>
#include <unicode/utypes.h>

namespace {

struct Contents {
  uint16_t header_bytes;
  uint8_t magic[2];
  UDataInfo info;
  uint8_t padding[8];
  uint32_t entries;
  uint32_t reserved;
};

}  // namespace

extern "C" {
alignas(16) extern const Contents U_ICUDATA_ENTRY_POINT;
alignas(16) __attribute__((visibility("default"))) const Contents U_ICUDATA_ENTRY_POINT = {
    32,
    {0xDA, 0x27},
    {sizeof(UDataInfo),
     0,
     U_IS_BIG_ENDIAN,
     U_CHARSET_FAMILY,
     sizeof(UChar),
     0,
     {'T', 'o', 'C', 'P'},
     {1, 0, 0, 0},
     {0, 0, 0, 0}},
    {},
    0,
    0};
}
