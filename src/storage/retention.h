#pragma once
// Keeping the newest generations, and nothing that none of them needs.
//
// What is needed is found by following the trees of all kept generations; nothing is removed before
// every one of them was followed to its end. A manifest goes first, so that at no moment does a
// generation exist of which a part is missing.

#include <string>
#include <vector>

#include "base/error.h"
#include "storage/buffer_pool.h"
#include "storage/generation_reader.h"
#include "storage/manifest.h"

namespace cairn::storage {

Result<RetentionReport> apply_retention(const std::string& store,
                                        const std::vector<GenerationInfo>& committed, unsigned keep,
                                        BufferPool& blocks);

}  // namespace cairn::storage
