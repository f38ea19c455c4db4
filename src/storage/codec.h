#pragma once
// Compression of chunks.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include "base/error.h"

namespace cairn::storage {

// The numbers are part of the format.
enum class Codec : std::uint8_t { kNone = 0, kZstd = 1, kLz4 = 2 };

Result<Codec> codec_from_name(std::string_view name);  // "none", "zstd", "lz4"
std::string_view codec_name(Codec codec);

// One thread's state. Compressing never fails: what does not get smaller is returned as kNone.
class Compressor {
 public:
  Compressor(Codec codec, int level);
  ~Compressor();
  Compressor(const Compressor&) = delete;
  Compressor& operator=(const Compressor&) = delete;

  struct Output {
    Codec codec;
    std::span<const std::byte> bytes;  // `input` itself, or in a buffer of ours until the next call
  };
  Output compress(std::span<const std::byte> input);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// Fills `output` exactly, or fails.
class Decompressor {
 public:
  Decompressor();
  ~Decompressor();
  Decompressor(const Decompressor&) = delete;
  Decompressor& operator=(const Decompressor&) = delete;
  Result<> decompress(Codec codec, std::span<const std::byte> input, std::span<std::byte> output,
                      std::string_view where);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace cairn::storage
