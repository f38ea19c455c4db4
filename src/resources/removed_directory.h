#pragma once
// Directories that were removed while the process was in them or had them open. Nothing can be in
// them or come into them: a new directory, removed as well, is the same.

#include "resources/context.h"

namespace cairn::resources {

// Whether the name in a /proc link, less " (deleted)", belongs to a directory that is removed.
bool is_removed_directory(const struct stat& info);

// Its former path and what identifies it.
void identify_removed(const struct stat& info, const std::string& link,
                      image::FileIdentity& identity);

// Our descriptor of it, made on the first call for this directory.
Result<int> removed_directory(RebuildContext& context, const image::FileIdentity& identity);

}  // namespace cairn::resources
