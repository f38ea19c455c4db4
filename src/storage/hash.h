#pragma once
// 128 bits of XXH3: the identity of pages and tree nodes, and every checksum.
//
// Collision argument: for n different pages the chance that any two share a hash is n^2 / 2^129. A
// store that sees 2^40 different pages (4 PiB) has a chance of 2^-49, about one in 10^15: below the
// rate of undetected errors of disks and memory. XXH3 is not a cryptographic hash: whoever chooses
// the contents of a job's memory on purpose can make pages collide, and thereby damage that job's
// own image. Nobody else's: stores are never shared between jobs. In return it runs at memory
// speed.

#include <compare>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace cairn::storage {

struct Hash {
  std::uint64_t low = 0;
  std::uint64_t high = 0;
  auto operator<=>(const Hash&) const = default;
};

Hash hash_bytes(std::span<const std::byte> bytes, std::uint64_t seed = 0);
Hash hash_text(std::string_view text);
Hash hash_page(const std::byte* page);
const Hash& zero_page_hash();
std::string to_hex(const Hash& hash);

}  // namespace cairn::storage
