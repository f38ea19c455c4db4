#include "storage/codec.h"

#include <lz4.h>
#include <zstd.h>

#include <algorithm>
#include <vector>

namespace cairn::storage {
namespace {

// Worth it only if it saves an eighth: below that (arrays of doubles, mostly) compressing takes
// longer than a disk takes to write the difference, and decompressing at restart comes on top.
constexpr bool pays(std::size_t compressed, std::size_t original) {
  return compressed < original - original / 8;
}

// A chunk that will not pay is found by three samples, for 5 % of the cost of compressing all of
// it.
constexpr std::size_t kSampleBytes = 16384;

}  // namespace

Result<Codec> codec_from_name(std::string_view name) {
  if (name == "none") return Codec::kNone;
  if (name == "zstd") return Codec::kZstd;
  if (name == "lz4") return Codec::kLz4;
  return refusal("unknown compression \"" + std::string(name) + "\" (none, zstd, lz4)");
}

std::string_view codec_name(Codec codec) {
  switch (codec) {
    case Codec::kNone:
      return "none";
    case Codec::kZstd:
      return "zstd";
    case Codec::kLz4:
      return "lz4";
  }
  return "unknown";
}

struct Compressor::State {
  Codec codec;
  int level;
  ZSTD_CCtx* zstd = nullptr;
  std::vector<std::byte> output;
  // The last chunk was compressed in vain: neighbours are alike, so the next is only tried if its
  // samples leave no doubt.
  bool doubtful = false;

  ~State() { ZSTD_freeCCtx(zstd); }

  // Bytes written to `output`; 0 if it did not fit.
  std::size_t run(std::span<const std::byte> input) {
    if (codec == Codec::kLz4) {
      const int written = LZ4_compress_default(
          reinterpret_cast<const char*>(input.data()), reinterpret_cast<char*>(output.data()),
          static_cast<int>(input.size()), static_cast<int>(output.size()));
      return written > 0 ? static_cast<std::size_t>(written) : 0;
    }
    const std::size_t written =
        ZSTD_compressCCtx(zstd, output.data(), output.size(), input.data(), input.size(), level);
    return ZSTD_isError(written) ? 0 : written;
  }

  bool looks_like_noise(std::span<const std::byte> input) {
    if (input.size() < 16 * kSampleBytes) return false;
    for (const std::size_t part : {std::size_t{0}, input.size() / 2, input.size() - kSampleBytes}) {
      const std::size_t written = run(input.subspan(part, kSampleBytes));
      if (written == 0 || !pays(written, kSampleBytes)) continue;
      if (!doubtful || written < kSampleBytes - kSampleBytes / 4) return false;
    }
    return true;
  }
};

Compressor::Compressor(Codec codec, int level) : state_(std::make_unique<State>()) {
  state_->codec = codec;
  state_->level = level;
  if (codec == Codec::kZstd) state_->zstd = ZSTD_createCCtx();
}
Compressor::~Compressor() = default;

Compressor::Output Compressor::compress(std::span<const std::byte> input) {
  const Output as_it_is{Codec::kNone, input};
  if (state_->codec == Codec::kNone) return as_it_is;
  // No larger than what pays: the codec stops by itself when it runs out of room.
  state_->output.resize(std::max(state_->output.size(), input.size()));
  if (state_->looks_like_noise(input)) return as_it_is;
  const std::size_t written = state_->run(input);
  state_->doubtful = written == 0 || !pays(written, input.size());
  if (state_->doubtful) return as_it_is;
  return {state_->codec, std::span(state_->output).first(written)};
}

struct Decompressor::State {
  ZSTD_DCtx* zstd = ZSTD_createDCtx();
  ~State() { ZSTD_freeDCtx(zstd); }
};

Decompressor::Decompressor() : state_(std::make_unique<State>()) {}
Decompressor::~Decompressor() = default;

Result<> Decompressor::decompress(Codec codec, std::span<const std::byte> input,
                                  std::span<std::byte> output, std::string_view where) {
  std::size_t written = 0;
  switch (codec) {
    case Codec::kNone:
      if (input.size() == output.size()) {
        std::copy(input.begin(), input.end(), output.begin());
        written = input.size();
      }
      break;
    case Codec::kZstd:
      written = ZSTD_decompressDCtx(state_->zstd, output.data(), output.size(), input.data(),
                                    input.size());
      break;
    case Codec::kLz4:
      written = static_cast<std::size_t>(LZ4_decompress_safe(
          reinterpret_cast<const char*>(input.data()), reinterpret_cast<char*>(output.data()),
          static_cast<int>(input.size()), static_cast<int>(output.size())));
      break;
  }
  if (written != output.size())
    return refusal("decompress a chunk: it is damaged", std::string(where));
  return {};
}

}  // namespace cairn::storage
