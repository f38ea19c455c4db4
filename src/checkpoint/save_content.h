#pragma once
// Pages of a frozen process, or of an object that it has open or mapped, into the store.

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/error.h"
#include "resources/capture.h"
#include "storage/generation_writer.h"

namespace cairn::checkpoint {

// Called with the bytes that were read since the last call; a failure ends the saving.
using ReadProgress = std::function<Result<>(std::uint64_t bytes)>;

[[nodiscard]] std::uint64_t content_bytes(const resources::ContentPlan& content);

// Without the values that are `secrets` (hide_secrets.h).
[[nodiscard]] Result<storage::PageDataRef> save_content(const resources::ContentPlan& content,
                                                        const std::vector<std::string>& secrets,
                                                        storage::GenerationWriter& writer,
                                                        const ReadProgress& progress);

}  // namespace cairn::checkpoint
