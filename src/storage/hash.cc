#include "storage/hash.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <array>
#include <string_view>

#include "storage/page.h"

namespace cairn::storage {

Hash hash_bytes(std::span<const std::byte> bytes, std::uint64_t seed) {
  const XXH128_hash_t hash = XXH3_128bits_withSeed(bytes.data(), bytes.size(), seed);
  return {hash.low64, hash.high64};
}

Hash hash_text(std::string_view text) {
  return hash_bytes(std::as_bytes(std::span(text)));
}

Hash hash_page(const std::byte* page) {
  const XXH128_hash_t hash = XXH3_128bits(page, kPageBytes);
  return {hash.low64, hash.high64};
}

const Hash& zero_page_hash() {
  static const Hash hash = [] {
    const std::array<std::byte, kPageBytes> zeros{};
    return hash_page(zeros.data());
  }();
  return hash;
}

std::string to_hex(const Hash& hash) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (const std::uint64_t half : {hash.high, hash.low})
    for (int shift = 60; shift >= 0; shift -= 4) text += kDigits[(half >> shift) & 15];
  return text;
}

}  // namespace cairn::storage
