#pragma once
// The address space: every mapping outside of the arena, and which pages are to be stored.
//
//   kind of mapping      pages stored                     comes back by
//   private, anonymous   those of its own                 mmap, pages
//   private, ELF file    all                              mmap of the file if it has the same size,
//                                                         then the pages that differ from it
//   private, other file  those of its own                 mmap of the unchanged file, pages
//   private, lost file   all                              anonymous memory, pages
//   shared, anonymous    with its object                  mmap, again for every further view
//   shared, file, memfd  the file's own business          mmap of the open file
//
// Executables and libraries are saved by content, so a changed or missing library does no harm. All of
// their pages are equal from one generation to the next, and stored once.

#include "resources/context.h"

namespace cairn::resources {

Result<> capture_memory(CaptureContext& context);
void join_shared_pages(CaptureJob& job);  // after the memory of all processes

Result<> map_memory(RebuildContext& context);
Result<> write_memory(RebuildContext& context);   // private pages, and shared ones that are mapped only
Result<> finish_memory(RebuildContext& context);  // protections, advice, locks, names

// prctl(PR_SET_MM_MAP)
Result<> capture_layout(CaptureContext& context);
Result<> restore_layout(RebuildContext& context);

// Files that must be there unchanged, and are not.
std::vector<std::string> missing_files(const image::ProcessImage& image);

}  // namespace cairn::resources
