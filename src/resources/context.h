#pragma once
// What the kinds of kernel objects are given when they capture and rebuild.

#include <sys/stat.h>

#include <cstdint>
#include <deque>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/fd.h"
#include "image/schema/object.pb.h"
#include "image/schema/process.pb.h"
#include "resources/capture.h"
#include "resources/rebuild.h"
#include "resources/remote_process.h"

namespace cairn::resources {

// One open file of the process, however many descriptors lead to it.
struct OpenFile {
  Fd copy;                             // our own descriptor of the same open file
  std::vector<abi::LinkFd> numbers;    // ascending; empty if it is only in flight
  struct stat info {};
  std::string link;                    // what /proc/PID/fd/N says
  std::uint32_t flags = 0;             // F_GETFL
  std::uint64_t object_id = 0;
  bool captured = false;

  [[nodiscard]] std::string name() const;  // "descriptor 7"
  [[nodiscard]] std::uint32_t access() const { return flags & 3; }
  [[nodiscard]] bool readable() const { return access() != 1; }
  [[nodiscard]] bool writable() const { return access() != 0; }
};

struct CaptureContext {
  RemoteProcess& process;
  const CaptureOptions& options;
  ProcessCapture& result;
  abi::RuntimeState* runtime = nullptr;
  std::vector<abi::ThreadState> threads;
  std::uint64_t next_id = 1;
  std::deque<OpenFile> files;
  std::map<std::pair<dev_t, ino_t>, std::uint64_t> pipes;   // to the Pipe's object id
  std::map<std::pair<dev_t, ino_t>, std::uint64_t> shared;  // memory objects, to their object id

  std::uint64_t new_id() { return next_id++; }
  // A descriptor that came out of a queue: finds the open file it belongs to, or adds it.
  Result<OpenFile*> adopt(Fd fd);
};

// "descriptor 7: WHAT PATH cannot be saved".
Failure cannot_save(const OpenFile& file, std::string_view what);

// The value of a "name:\tvalue" line of our copy's /proc/self/fdinfo.
Result<std::string> fdinfo_of(int fd);
std::string fdinfo_value(const std::string& fdinfo, std::string_view name);

struct RebuildContext {
  RemoteProcess& process;
  const image::ProcessImage& image;
  const std::vector<image::KernelObject>& objects;
  RebuildOptions options;
  std::map<std::uint64_t, const image::KernelObject*> by_id{};
  std::map<std::uint64_t, Fd> made{};                            // by object id
  std::map<std::uint64_t, std::vector<int>> numbers{};           // by object id
  std::map<std::uint64_t, std::pair<Fd, Fd>> pipes{};            // by Pipe id: reader, writer
  std::map<std::uint64_t, Fd> lost_peers{};                      // by id of the socket that is left
  std::map<std::pair<dev_t, ino_t>, Fd> removed_directories{};   // by what they were
  std::map<std::uint64_t, std::string> file_paths{};             // where regular files are now
  std::vector<Fd> held{};                                        // open until the rebuild is done
  std::map<std::string, Fd> mapped_files{};                      // behind private mappings, by path
  std::set<std::uint64_t> writable_now{};                        // regions, mapped writable for now
  std::set<std::uint64_t> protection_changed{};                  // regions, parts of them
  std::vector<std::int32_t> thread_ids{};                        // real ones, as image.threads()

  [[nodiscard]] const image::KernelObject* object(std::uint64_t id) const;
  // A number in the process that leads to the object; -1: none.
  [[nodiscard]] int number_of(std::uint64_t id) const;
  [[nodiscard]] std::int32_t real_tid(std::int32_t virtual_tid) const;  // 0: no such thread
};

// Writes stored pages at their offsets and sets the length.
Result<> fill_file(const RebuildContext& context, int fd, const image::Content& content);

}  // namespace cairn::resources
