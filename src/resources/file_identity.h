#pragma once
// Files behind private mappings: whether they are still there, and the same.

#include <sys/types.h>

#include <string>

#include "base/error.h"
#include "base/fd.h"
#include "image/schema/common.pb.h"

namespace cairn::resources {

struct KnownFile {
  bool present = false;  // the name leads to the mapped inode
  bool is_elf = false;
  image::FileIdentity identity;
};

Result<KnownFile> look_at_file(const std::string& path, ino_t inode);

// Empty: the file is there and its bytes are those of the checkpoint, as far as samples can tell.
std::string what_changed(const image::FileIdentity& identity);

}  // namespace cairn::resources
