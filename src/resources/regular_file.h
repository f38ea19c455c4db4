#pragma once
// Regular files: offset, flags, and what to do about what was written after the commit (the file
// rule). Files without a name any more are saved with their contents.
//
//   read-only                     nothing but the offset
//   append-only (O_APPEND)        by length: file_rewind cuts it back
//   written otherwise, or mapped  by content: file_rewind writes it back
//   writable and shared
//   no name left                  by content: made anew, without a name

#include "resources/registry.h"

namespace cairn::resources {

extern const Kind kRegularFileKind;

// The object of the file behind a shared mapping: that of an open file of the same inode if there
// is one, else a new one without a descriptor.
struct MappedFile {
  std::string path;
  dev_t device;
  ino_t inode;
  bool writable;  // through the mapping, now or after an mprotect
  ContentPlan::View view;
};
// The object of a file that somebody has open; 0: nobody.
std::uint64_t open_file_of_inode(const CaptureJob& job, const std::string& path, ino_t inode);

Result<std::uint64_t> capture_mapped_file(CaptureContext& context, const MappedFile& mapped);

// Present pages of a file, by offset: its holes are left out.
Result<std::vector<storage::PageRun>> pages_of_file(int fd, std::uint64_t bytes);

void identify(const struct stat& info, const std::string& path, image::FileIdentity& identity);

}  // namespace cairn::resources
