#pragma once
// Everything that a frozen process owns in the kernel, as records of an image, and the list of the
// pages whose bytes belong to it. What cannot be saved is an Error that names it.
//
//   CAIRN_ASSIGN(auto capture, capture_process(process, options));
//   for (auto& content : capture.contents) {
//     auto writer = generation.memory();
//     for (auto& batch : storage::plan_batches(content.runs)) {
//       ... for each run that is not zero: read_content(process, content, run.address, buffer) ...
//     }
//     set_content(capture, content, *writer->finish());
//   }

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/fd.h"
#include "image/schema/object.pb.h"
#include "image/schema/process.pb.h"
#include "resources/remote_process.h"
#include "storage/page.h"

namespace cairn::resources {

enum class FilePolicy {
  kAuto,  // append-only files by length, others that are written by content
  kSave,  // and the clean pages of private file mappings, and files that are only read, by content
  kNone,  // files are left as they are: the user answers for them
};

struct CaptureOptions {
  std::uint64_t first_object_id = 1;
  FilePolicy files = FilePolicy::kAuto;
  std::uint64_t file_content_limit = 4ULL << 30;  // largest file that is saved by content
  bool door_uses_seccomp = false;  // the process' seccomp filter is the runtime's
};

// Pages to be stored together under one PageDataRef.
struct ContentPlan {
  std::uint64_t object_id = 0;          // 0: the process' private memory
  std::vector<storage::PageRun> runs;   // by address (private memory) or by offset (objects)
  std::uint64_t bytes = 0;              // an object's length; its last page may be partly used

  // Where an object's bytes are read: from a file, or where the process has it mapped.
  Fd file;
  struct View {
    std::uint64_t offset;
    std::uint64_t bytes;
    std::uint64_t address;
  };
  std::vector<View> views;
};

struct ProcessCapture {
  image::ProcessImage process;
  std::vector<image::KernelObject> objects;
  std::vector<ContentPlan> contents;
};

Result<ProcessCapture> capture_process(RemoteProcess& process, const CaptureOptions& options);

// The bytes at `position` (an address or an offset, within the plan's runs). What lies beyond the end
// of the object is zero. May be called by several threads at once.
Result<> read_content(RemoteProcess& process, const ContentPlan& content, std::uint64_t position,
                      std::span<std::byte> into);

// Notes where a content was stored, in the record that it belongs to.
void set_content(ProcessCapture& capture, const ContentPlan& content,
                 const storage::PageDataRef& ref);

}  // namespace cairn::resources
