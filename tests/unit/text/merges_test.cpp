#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <zlib.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <string>

#include "base/error.hpp"
#include "text/gzip.hpp"
#include "text/tokenizer.hpp"

namespace sam3trt {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::HasSubstr;

const fs::path kData = fs::path(SAM3TRT_TEST_DATA) / "text";
const fs::path kPacked = kData / "meta" / "bpe_simple_vocab_16e6.txt.gz";
constexpr const char* kHeader = "\"bpe_simple_vocab_16e6.txt#version: 0.2\n";

std::string read(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::string packed(const std::string& text) {
  z_stream stream = {};
  if (deflateInit2(&stream, 9, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY) != Z_OK) abort();
  std::string result(deflateBound(&stream, text.size()), '\0');
  std::string input = text;
  stream.next_in = reinterpret_cast<Bytef*>(input.data());
  stream.avail_in = static_cast<uInt>(input.size());
  stream.next_out = reinterpret_cast<Bytef*>(result.data());
  stream.avail_out = static_cast<uInt>(result.size());
  if (deflate(&stream, Z_FINISH) != Z_STREAM_END) abort();
  result.resize(stream.total_out);
  deflateEnd(&stream);
  return result;
}

fs::path write(const fs::path& path, const std::string& bytes) {
  fs::create_directories(path.parent_path());
  std::ofstream(path, std::ios::binary) << bytes;
  return path;
}

fs::path folder(const std::string& name) {
  const fs::path path = fs::path(testing::TempDir()) / ("merges_" + name);
  fs::remove_all(path);
  fs::create_directories(path);
  return path;
}

std::string message_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kBadInput);
    return error.what();
  }
  ADD_FAILURE() << "no error was thrown";
  return "";
}

std::string message_of_load(const fs::path& path) {
  return message_of([&] { (void)Tokenizer::load(path); });
}

std::string message_of_merges(const std::string& bytes) {
  return message_of([&] { (void)Tokenizer::from_merges(bytes, "merges.gz"); });
}

TEST(Merges, GiveTheTokenizerOfTheJsonOfTheSameVocabulary) {
  const std::string json = Tokenizer::load(kData / "tokenizer.json").to_json();
  EXPECT_EQ(Tokenizer::load(kPacked).to_json(), json);
}

TEST(Merges, AreReadPackedAndUnpackedFromAFileAndAFolder) {
  const std::string json = Tokenizer::load(kPacked).to_json();
  const std::string text = unpack_gzip(read(kPacked), 1 << 20, "packed");
  const fs::path plain = folder("plain");
  EXPECT_EQ(Tokenizer::load(write(plain / "bpe_simple_vocab_16e6.txt", text + "\n")).to_json(),
            json);
  EXPECT_TRUE(Tokenizer::is_in(plain));
  EXPECT_EQ(Tokenizer::load(plain).to_json(), json);
  const fs::path gz = folder("gz");
  write(gz / "bpe_simple_vocab_16e6.txt.gz", read(kPacked));
  EXPECT_TRUE(Tokenizer::is_in(gz));
  EXPECT_EQ(Tokenizer::load(gz).to_json(), json);
  // Another name, line ends of Windows, several members: still what it holds.
  const fs::path other =
      write(folder("other") / "vocab.bin", packed(text.substr(0, 500)) + packed(text.substr(500)));
  EXPECT_EQ(Tokenizer::load(other).to_json(), json);
  EXPECT_EQ(Tokenizer::from_merges("#version: 0.2\r\na b\r\n", "x").to_json(),
            Tokenizer::from_merges("#version: 0.2\na b", "x").to_json());
}

TEST(Merges, CountUpToTheSizeOfClipsVocabulary) {
  std::string text = kHeader;
  const auto letter = [](int i) { return std::string(1, static_cast<char>('a' + i)); };
  for (int i = 0; i < 26; ++i) {
    for (int j = 0; j < 26; ++j) text += letter(i) + " " + letter(j) + "\n";
  }
  for (int i = 0; i < 26; ++i) {
    for (int j = 0; j < 26 * 26 * 4; ++j) {
      text += letter(i) + letter(j % 26) + " " + letter(j / 26 % 26) + letter(j / 676) + "\n";
    }
  }
  const Tokenizer tokenizer = Tokenizer::from_merges(packed(text), "x");
  EXPECT_EQ(tokenizer.vocabulary_size(), 49408U);
  EXPECT_EQ(tokenizer.bos_id(), 49406);
  EXPECT_EQ(tokenizer.eos_id(), 49407);
}

TEST(Merges, AreRefusedWhenTheyDoNotFit) {
  EXPECT_THAT(message_of_merges(packed("")), AllOf(HasSubstr("merges.gz"), HasSubstr("no merges")));
  EXPECT_THAT(message_of_merges(packed(kHeader)), HasSubstr("no merges"));
  EXPECT_THAT(message_of_merges(packed("a b\nc d\n")), HasSubstr("#version before the merges"));
  EXPECT_THAT(message_of_merges(packed(std::string(kHeader) + "a\n")), HasSubstr("\"a\""));
  EXPECT_THAT(message_of_merges(packed(std::string(kHeader) + "a b c\n")), HasSubstr("\"a b c\""));
  EXPECT_THAT(message_of_merges(packed(std::string(kHeader) + "a xyz\n")), HasSubstr("\"xyz\""));
  EXPECT_THAT(message_of_merges(packed(std::string(kHeader) + "a b\na b\n")), HasSubstr("twice"));
}

TEST(GzipFiles, AreRefusedWhenDamagedOrTooLarge) {
  const std::string bytes = read(kPacked);
  EXPECT_THAT(message_of_merges(bytes.substr(0, 1000)), HasSubstr("ends too early"));
  EXPECT_THAT(message_of_merges(bytes.substr(0, 4)), HasSubstr("ends too early"));
  std::string changed = bytes;
  changed[changed.size() - 6] ^= 1;  // its checksum
  EXPECT_THAT(message_of_merges(changed), HasSubstr("damaged"));
  EXPECT_THAT(message_of_merges(bytes + "x"),
              testing::AnyOf(HasSubstr("damaged"), HasSubstr("early")));
  EXPECT_NO_THROW((void)Tokenizer::from_merges(bytes + std::string(512, '\0'), "padded"));
  const std::string bomb = packed(std::string(size_t{1} << 25, 'a'));
  ASSERT_LT(bomb.size(), 100'000U);
  EXPECT_THAT(message_of_merges(bomb), HasSubstr("more than 16777216 bytes when unpacked"));
}

TEST(TokenizerFiles, AreNamedWhenSomethingElseIsGiven) {
  const auto wanted = AllOf(HasSubstr("tokenizer.json"), HasSubstr("vocab.json with merges.txt"),
                            HasSubstr("bpe_simple_vocab_16e6.txt.gz"));
  const fs::path none = folder("none");
  EXPECT_FALSE(Tokenizer::is_in(none));
  EXPECT_THAT(message_of_load(none), wanted);
  for (const char* bytes : {"", "hello", "\x89PNG", "PK\x03\x04", "\x80\x02"}) {
    EXPECT_THAT(message_of_load(write(none / "file", bytes)),
                AllOf(HasSubstr("none/file"), wanted));
  }
  write(none / "vocab.json", "{}");
  EXPECT_FALSE(Tokenizer::is_in(none));
  EXPECT_THAT(message_of_load(none), wanted);
  EXPECT_THAT(message_of_load(none / "vocab.json"), HasSubstr("merges.txt"));
  EXPECT_THAT(message_of_load(none / "absent"), HasSubstr("absent"));
  EXPECT_THAT(message_of_load(std::string(5000, 'x')), HasSubstr("too long"));
}

}  // namespace
}  // namespace sam3trt
