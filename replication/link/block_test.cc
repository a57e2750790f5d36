#include "replication/link/block.h"

#include <gtest/gtest.h>
#include <lz4.h>

#include <random>
#include <vector>

namespace outrigger::link {
namespace {

std::string random_text(std::mt19937& random, size_t size) {
  static const char* const kWords[] = {"oslo", "paris", "rome", "counter", "\x01\x02", "_id"};
  std::string text;
  while (text.size() < size) text += kWords[random() % 6] + std::to_string(random() % 50);
  text.resize(size);
  return text;
}

TEST(BlockTest, BlocksOfAllSizesComeBackInOrder) {
  std::mt19937 random(1);
  BlockPacker packer;
  BlockExpander expander;
  for (int i = 0; i < 300; ++i) {
    size_t size = i % 50 == 0 ? kBlockBytesMax : 1 + random() % (i % 7 == 0 ? 200'000 : 500);
    std::string plain = random_text(random, size);
    std::string out = "before";
    ASSERT_TRUE(expander.expand(packer.pack(plain), plain.size(), out)) << "block " << i;
    ASSERT_EQ(out, "before" + plain) << "block " << i;
  }
}

TEST(BlockTest, WhatWasSentBeforeMakesTheNextBlockSmall) {
  std::mt19937 random(2);
  std::string noise;
  for (int i = 0; i < 300; ++i) noise.push_back(static_cast<char>(random()));
  BlockPacker packer;
  size_t first = packer.pack(noise).size();
  size_t second = packer.pack(noise).size();
  EXPECT_GE(first, noise.size());
  EXPECT_LT(second, noise.size() / 10);
}

TEST(BlockTest, ADeclaredSizeThatIsNotTheProducedOneIsRefused) {
  std::string plain(1000, 'a');
  std::string packed = BlockPacker().pack(plain);
  for (uint64_t declared : {uint64_t{0}, uint64_t{999}, uint64_t{1001}, uint64_t{0x7fffffff},
                            uint64_t{kBlockBytesMax} + 1, UINT64_MAX}) {
    BlockExpander expander;
    std::string out;
    EXPECT_FALSE(expander.expand(packed, declared, out)) << declared;
    EXPECT_TRUE(out.empty()) << declared;
  }
}

TEST(BlockTest, ABombStopsAtItsDeclaredSize) {
  std::string plain(16 * 1024 * 1024, '\0');
  std::string packed(static_cast<size_t>(LZ4_compressBound(static_cast<int>(plain.size()))), '\0');
  int size = LZ4_compress_default(plain.data(), packed.data(), static_cast<int>(plain.size()),
                                  static_cast<int>(packed.size()));
  packed.resize(static_cast<size_t>(size));
  BlockExpander expander;
  std::string out;
  EXPECT_FALSE(expander.expand(packed, kBlockBytesMax, out));
  EXPECT_LE(out.capacity(), 2 * kBlockBytesMax);
}

TEST(BlockTest, RandomBytesNeverExpandOutOfBounds) {
  std::mt19937 random(3);
  for (int i = 0; i < 20'000; ++i) {
    std::string bytes;
    for (size_t n = random() % 40; n > 0; --n) bytes.push_back(static_cast<char>(random()));
    BlockExpander expander;
    std::string out;
    bool expanded = expander.expand(bytes, 1 + random() % 300, out).has_value();
    EXPECT_EQ(expanded, !out.empty());
  }
}

}  // namespace
}  // namespace outrigger::link
